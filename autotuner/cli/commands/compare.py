"""Lay studies side by side: what each found, and at what cost.

autotuner compare studies/quick studies/thorough
"""

from __future__ import annotations

import argparse
from pathlib import Path

import autotuner as at
from autotuner.cli.output import print_json, print_table

NAME = "compare"
HELP = "lay studies side by side"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folders", type=Path, metavar="DIR", nargs="+", help="output folders of studies")


def handle(arguments: argparse.Namespace) -> int:
    frame = at.compare(arguments.folders)
    if arguments.json:
        print_json({"studies": frame.to_dict("records")})
    else:  # one column a study: people compare downwards, and configs are long
        names = [str(name) for name in frame["study"]]
        rows = [(column, *frame[column].tolist()) for column in frame.columns if column != "study"]
        print_table(("", *names), rows)
    return 0
