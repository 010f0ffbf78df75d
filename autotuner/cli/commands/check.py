"""Validate a study without a GPU and without Ray, and show what it would do.

autotuner check study.yaml
autotuner check study.yaml --address auto      # also: does a trial fit the cluster's nodes?
autotuner check study.yaml --explain slo.ttft.p90.threshold_ms      # which layer set it?
autotuner check study.yaml --explain slo --explain timeouts.start_s
"""

from __future__ import annotations

import argparse

import autotuner as at
from autotuner.cli.commands.study_arguments import add_address, add_study
from autotuner.cli.output import print_json, print_table

NAME = "check"
HELP = "validate a study and print its plan; nothing is started"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_study(parser)
    add_address(parser)
    parser.add_argument(
        "--explain",
        dest="keys",
        metavar="KEY",
        action="append",
        help="tell which layer set a key, or every key under it, and what it overrode; may be repeated",
    )


def handle(arguments: argparse.Namespace) -> int:
    if arguments.keys:
        return _explain(at.explain(arguments.study, arguments.keys, arguments.overrides), arguments.json)
    report = at.check(at.load_study(arguments.study, arguments.overrides), address=arguments.address)
    if arguments.json:
        print_json(report.as_dict())
        return 0
    print_table(("plan", ""), report.plan(), title=f"study {report.study.name}: valid")
    print("the baseline's server:")
    for line in report.baseline_lines():
        print(f"  {line}")
    for warning in report.warnings:
        print(f"warning: {warning}")
    return 0


def _explain(explanations: list[at.Explanation], as_json: bool) -> int:
    if as_json:
        print_json({"explain": [one.as_dict() for one in explanations]})
        return 0
    for one in explanations:
        print("\n".join(one.lines()))
    return 0
