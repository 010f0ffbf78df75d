"""The options that make a study where there is no file: of ``init`` and of ``run``."""

from __future__ import annotations

import argparse
from typing import Any

from autotuner.cli.numbers import several_whole, whole
from autotuner.errors import InputError

# option → field of Wish; each is None or empty where it is not given
OPTIONS = {
    "--engine": "engine",
    "--model": "model",
    "--gpus": "gpus",
    "--accelerator": "accelerator",
    "--name": "name",
    "--slo": "slos",
    "--profile": "profiles",
    "--scenario": "scenario",
    "--shared-prefix": "shared_prefix",
    "--concurrency": "concurrency",
    "--objective": "objective",
    "--trials": "trials",
}


def add_start(parser: argparse.ArgumentParser, title: str) -> None:
    group = parser.add_argument_group(title)
    group.add_argument("--engine", metavar="NAME", help="vllm, sglang, trtllm or llamacpp")
    group.add_argument("--model", metavar="ID", help="hub id or local path")
    group.add_argument(
        "--gpus",
        type=whole("--gpus", least=0),
        metavar="N",
        help="GPUs that one server may use; 0: it runs on the CPU (default: those of this machine, or with --address "
        "of the largest node; llamacpp: none)",
    )
    group.add_argument(
        "--accelerator", metavar="TYPE", help="GPU type, as H100-80GB (default: this machine's, where it is known)"
    )
    group.add_argument("--name", help="name of the study (default: the model's)")
    group.add_argument(
        "--slo",
        dest="slos",
        metavar="METRIC.STATISTIC=TIME",
        action="append",
        help="a limit: ttft, tpot, itl or e2e, its mean, p50, p90, p95 or p99, and a time with its unit, "
        "as ttft.p90=300ms; or error_rate=1%%; may be repeated (default: those of the profile slo/balanced)",
    )
    group.add_argument(
        "--profile", dest="profiles", metavar="NAME", action="append", help="SLOs by name, as slo/strict-latency"
    )
    group.add_argument(
        "--scenario", metavar="TEXT", help="tokens in and out, as 'D(1000,200)' or 'N(800,100)/(200,50)'"
    )
    group.add_argument(
        "--shared-prefix",
        type=whole("--shared-prefix", least=0, key="workload.shared_prefix_tokens"),
        metavar="TOKENS",
        help="tokens at the start of every prompt that are the same in all, as of a system prompt; only then is the "
        "prefix cache searched over (default: none)",
    )
    group.add_argument(
        "--concurrency",
        type=several_whole("--concurrency"),
        metavar="N,N,…",
        help="requests in flight, a load level each, as 1,8,32",
    )
    group.add_argument(
        "--objective",
        type=_names,
        metavar="NAME",
        help="what is optimised, as goodput_per_gpu; up to four, with commas",
    )
    group.add_argument(
        "--trials", type=whole("--trials", key="search.trials"), metavar="N", help="trials of the study (default: 40)"
    )


def given(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was said of the options, by field of Wish."""
    told = {field: getattr(arguments, field) for field in OPTIONS.values()}
    return {field: value for field, value in told.items() if value is not None}


def refuse_beside_a_file(arguments: argparse.Namespace) -> None:
    """Raises InputError for an option that makes a study where there is a study file."""
    for option, field in OPTIONS.items():
        value = getattr(arguments, field)
        if value is not None:
            rule = "a study file has it already: change its keys with --set, or leave the file out"
            raise InputError(f"{option}: {rule}", key=option.lstrip("-"), value=value, rule=rule)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
