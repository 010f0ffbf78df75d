"""Make again all that is made from a study's results: tables, summary, report, workbook, deployment files.

  autotuner report studies/quick
  autotuner report studies/quick --format xlsx
  autotuner report studies/quick --out elsewhere.html
  autotuner report studies/quick --prefer throughput=2,ttft=1

Of a study of several objectives --prefer says what they are worth: with these weights a per cent of throughput is
worth two of TTFT. It tells which point of the Pareto front that is, and why, and marks it in the report.

With --format or --out that one file alone. Of a study that runs the report alone: its driver writes the rest.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

import autotuner as at
from autotuner.cli.commands.study_arguments import add_folder
from autotuner.cli.output import note, print_json

NAME = "report"
HELP = "make report, tables and deployment files of a study again"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_folder(parser)
    parser.add_argument("--format", choices=("html", "xlsx"), help="this file alone: the page, or the workbook")
    parser.add_argument(
        "--prefer", metavar="OBJECTIVE=WEIGHT,…", help="point out what is worth the most by these weights"
    )
    parser.add_argument("--out", type=Path, help="file to write alone (default: DIR/report.html or DIR/report.xlsx)")


def handle(arguments: argparse.Namespace) -> int:
    folder, prefer = arguments.folder, arguments.prefer
    preferred = None if prefer is None else at.load_result(folder).preferred(prefer)
    if arguments.format is None and arguments.out is None:
        report, *others = at.rebuild(folder, prefer=prefer)
    else:
        report, others = at.load_result(folder).report(arguments.format or "html", arguments.out, prefer), []
    if arguments.json:
        print_json({"report": str(report), **({} if preferred is None else {"preferred": asdict(preferred)})})
    else:
        print(report)
    if preferred is not None:
        note(f"preferred: trial {preferred.trial_id} at {preferred.load_kind} {preferred.level:g}: {preferred.reason}")
    for path in others:
        note(f"wrote {path}")
    return 0
