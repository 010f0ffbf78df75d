"""Score the kept requests of a study under other SLOs, and report on that. No server is started.

autotuner rescore studies/quick --slo ttft.p90=100ms --slo tpot.mean=30ms
autotuner rescore studies/quick --slo strict.yaml

It ends with 1 where nothing meets them.
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
    parser.add_argument(
        "--slo",
        dest="slos",
        required=True,
        action="append",
        metavar="LIMIT|FILE",
        help="a limit as ttft.p90=100ms or error_rate=1%%, may be repeated; or a YAML file: an slo section, or a study",
    )
    parser.add_argument("--out", type=Path, help="report to write (default: DIR/rescored.html)")


def handle(arguments: argparse.Namespace) -> int:
    rescored = at.rescore(arguments.folder, arguments.slos)
    report = rescored.write_report(arguments.out)
    if arguments.json:
        print_json({**rescored.as_dict(), "report": str(report)})
        return rescored.exit_code
    print_table(rescored.columns, rescored.rows(), title=f"rescored under {', '.join(arguments.slos)}")
    print(rescored.verdict)
    print(f"report: {report}")
    return rescored.exit_code
