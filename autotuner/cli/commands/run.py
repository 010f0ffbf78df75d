"""Run a study: launch servers, measure, stop the poor ones early, report.

  autotuner run study.yaml
  autotuner run study.yaml --set search.trials=8 --out studies/quick
  autotuner run study.yaml --address auto        # on the Ray cluster that is there

Without a file, from what one line says, the GPUs that are there and the model's size:

  autotuner run --engine vllm --model meta-llama/Llama-3.1-8B-Instruct --gpus 8 --slo ttft.p90=300ms
  autotuner run --engine sglang --model org/model --accelerator H100 --scenario 'D(1000,200)'
  autotuner run --engine vllm --model Qwen/Qwen3-32B --profile slo/strict-latency --concurrency 1,8,32

Ctrl-C ends it cleanly; 'autotuner resume DIR' goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import autotuner as at
from autotuner.cli.commands.ending import tell_ending
from autotuner.cli.commands.start_arguments import add_start, given, refuse_beside_a_file
from autotuner.cli.commands.study_arguments import add_address, add_study
from autotuner.cli.output import note
from autotuner.errors import InputError

NAME = "run"
HELP = "run a study"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_study(parser, optional=True)
    add_address(parser)
    parser.add_argument("--out", type=Path, help="output folder (default: ./studies/NAME)")
    add_start(parser, "without a study file")


def handle(arguments: argparse.Namespace) -> int:
    study = _from_file(arguments) if arguments.study is not None else _from_options(arguments)
    result = at.run(study, address=arguments.address, out=arguments.out, progress=True, checked=_tell_plan)
    return tell_ending(result, arguments.json)


def _tell_plan(report: at.CheckReport) -> None:
    """What it may take, and what ``check`` would warn of."""
    for name, text in report.cost.rows():
        note(f"{name}: {text}")
    for warning in report.warnings:
        note(f"warning: {warning}")


def _from_file(arguments: argparse.Namespace) -> at.Study:
    refuse_beside_a_file(arguments)
    return at.load_study(arguments.study, arguments.overrides)


def _from_options(arguments: argparse.Namespace) -> at.Study:
    told = given(arguments)
    missing = [f"--{name}" for name in ("engine", "model") if name not in told]
    if missing:
        rule = "a study file, or at least --engine and --model"
        what = "nothing to run" if not told else f"{' and '.join(missing)} missing"
        raise InputError(f"{what}: give {rule}; see 'autotuner run --help'", key="study", rule=rule)
    text, study = at.start_study(at.Wish(**told, address=arguments.address), arguments.overrides)
    note(text)
    for override in arguments.overrides:
        note(f"--set {override}")
    return study
