"""Run a study: launch servers, measure, stop the poor ones early, report.

  autotuner run study.yaml
  autotuner run study.yaml --set search.trials=8 --out studies/quick
  autotuner run study.yaml --address auto        # on the Ray cluster that is there

Ctrl-C ends it cleanly; 'autotuner resume DIR' goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import autotuner as at
from autotuner.cli.commands.ending import tell_ending
from autotuner.cli.commands.study_arguments import add_address, add_study

NAME = "run"
HELP = "run a study"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_study(parser)
    add_address(parser)
    parser.add_argument("--out", type=Path, help="output folder (default: ./studies/NAME)")


def handle(arguments: argparse.Namespace) -> int:
    study = at.load_study(arguments.study, arguments.overrides)
    return tell_ending(at.run(study, address=arguments.address, out=arguments.out, progress=True), arguments.json)
