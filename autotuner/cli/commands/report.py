"""Rebuild the report of a study from what was measured.

autotuner report studies/quick
autotuner report studies/quick --format xlsx
"""

from __future__ import annotations

import argparse
from pathlib import Path

import autotuner as at
from autotuner.cli.commands.study_arguments import add_folder
from autotuner.cli.output import print_json

NAME = "report"
HELP = "rebuild the report of a study"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_folder(parser)
    parser.add_argument("--format", choices=("html", "xlsx"), default="html", help="default: %(default)s")
    parser.add_argument("--out", type=Path, help="file to write (default: DIR/report.html or DIR/report.xlsx)")


def handle(arguments: argparse.Namespace) -> int:
    path = at.load_result(arguments.folder).report(arguments.format, arguments.out)
    if arguments.json:
        print_json({"report": str(path)})
    else:
        print(path)
    return 0
