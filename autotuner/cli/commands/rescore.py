"""Score the kept requests of a study under other SLOs. No server is started.

autotuner rescore studies/quick --slo strict.yaml
"""

from __future__ import annotations

import argparse
from pathlib import Path

import autotuner as at
from autotuner.cli.commands.study_arguments import add_folder
from autotuner.cli.output import print_json, print_table

NAME = "rescore"
HELP = "score what was measured under other SLOs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_folder(parser)
    parser.add_argument("--slo", type=Path, required=True, metavar="FILE", help="YAML: an slo section, or a study")


def handle(arguments: argparse.Namespace) -> int:
    rescored = at.rescore(arguments.folder, arguments.slo)
    if arguments.json:
        print_json(rescored.as_dict())
        return 0
    print_table(rescored.columns, rescored.rows(), title=f"rescored under {arguments.slo}")
    print(rescored.verdict)
    return 0
