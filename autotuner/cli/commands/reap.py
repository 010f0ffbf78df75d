"""End servers that a dead study left behind. Only what carries this tool's tags and whose driver is dead.

autotuner reap --dry-run
autotuner reap
"""

from __future__ import annotations

import argparse
import dataclasses

import autotuner as at
from autotuner.cli.output import print_json, print_table

NAME = "reap"
HELP = "end leftovers of dead studies"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="only show them")


def handle(arguments: argparse.Namespace) -> int:
    found = at.reap(dry_run=arguments.dry_run)
    if arguments.json:
        print_json({"ended": not arguments.dry_run, "leftovers": [dataclasses.asdict(leftover) for leftover in found]})
    elif not found:
        print("nothing was left behind")
    else:
        title = "would be ended" if arguments.dry_run else "ended"
        print_table(("pid", "study", "trial", "command"), [(f.pid, f.study, f.trial, f.command) for f in found], title)
    return 0
