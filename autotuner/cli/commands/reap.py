"""End servers that a dead study left behind. Only what carries this tool's tags and whose driver is dead.

autotuner reap --dry-run
autotuner reap
autotuner reap --address auto
"""

from __future__ import annotations

import argparse
import dataclasses

from autotuner.cli.commands.study_arguments import add_address
from autotuner.cli.output import print_json, print_table

NAME = "reap"
HELP = "end leftovers of dead studies"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="only show them")
    add_address(parser)


def handle(arguments: argparse.Namespace) -> int:
    from autotuner.api.reaping import reap_nodes  # here: --help must not load it

    by_node = reap_nodes(dry_run=arguments.dry_run, address=arguments.address)
    found = [(node, left) for node, leftovers in by_node.items() for left in leftovers]
    if arguments.json:
        listed = [{"node": node, **dataclasses.asdict(left)} for node, left in found]
        print_json({"ended": not arguments.dry_run, "nodes": list(by_node), "leftovers": listed})
    elif not found:
        print("nothing was left behind")
    else:
        title = "would be ended" if arguments.dry_run else "ended"
        rows = [(node, f.container or f.folder or f.pid, f.study, f.trial, f.command) for node, f in found]
        print_table(("node", "pid, container or folder", "study", "trial", "command"), rows, title)
    return 0
