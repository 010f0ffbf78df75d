"""Make again all that is made from a study's results: tables, summary, report, workbook, deployment files.

  autotuner report studies/quick
  autotuner report studies/quick --format xlsx
  autotuner report studies/quick --out elsewhere.html

With --format or --out that one file alone. Of a study that runs the report alone: its driver writes the rest.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import autotuner as at
from autotuner.cli.commands.study_arguments import add_folder
from autotuner.cli.output import note, print_json

NAME = "report"
HELP = "make report, tables and deployment files of a study again"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_folder(parser)
    parser.add_argument("--format", choices=("html", "xlsx"), help="this file alone: the page, or the workbook")
    parser.add_argument("--out", type=Path, help="file to write alone (default: DIR/report.html or DIR/report.xlsx)")


def handle(arguments: argparse.Namespace) -> int:
    if arguments.format is None and arguments.out is None:
        report, *others = at.rebuild(arguments.folder)
    else:
        report, others = at.load_result(arguments.folder).report(arguments.format or "html", arguments.out), []
    if arguments.json:
        print_json({"report": str(report)})
    else:
        print(report)
    for path in others:
        note(f"wrote {path}")
    return 0
