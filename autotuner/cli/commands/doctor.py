"""Show what is installed, reachable and free on this machine.

autotuner doctor
autotuner doctor --address auto
"""

from __future__ import annotations

import argparse

import autotuner as at
from autotuner.cli.commands.study_arguments import add_address
from autotuner.cli.output import print_json, print_table

NAME = "doctor"
HELP = "show what is installed, reachable and free"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_address(parser)


def handle(arguments: argparse.Namespace) -> int:
    findings = at.doctor(address=arguments.address)
    if arguments.json:
        print_json({"findings": [finding.as_dict() for finding in findings]})
    else:
        print_table(("part", "state", "what"), [(f.part, f.state, f.detail) for f in findings])
    return 3 if any(f.state == "broken" for f in findings) else 0
