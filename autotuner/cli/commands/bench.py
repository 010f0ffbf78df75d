"""Measure a server that already runs, with the load driver alone.

autotuner bench http://127.0.0.1:8000 --scenario 'D(512,128)' --concurrency 1,8,32
autotuner bench http://127.0.0.1:8000 --scenario 'N(1000,200)/(200,50)' --rate 2,4 --per-level-s 30
autotuner bench https://gateway --header 'Authorization: Bearer …' --api chat --extra-body '{"temperature": 0}'

It knows nothing about the server, and first finds out what that takes: token ids or text, a forced length, token
counts in its streams. What it could not have, and what the figures therefore are not, it says.
Exit code 1: no measured request succeeded.
"""

from __future__ import annotations

import argparse
import json
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

import autotuner as at
from autotuner.cli.numbers import above_zero, several_above_zero, several_whole, whole, zero_or_more
from autotuner.cli.output import note, print_json, print_table
from autotuner.errors import InputError

if TYPE_CHECKING:
    from autotuner.api.benching import BenchResult

NAME = "bench"
HELP = "measure a server that already runs"

_COLUMNS = {
    "requests": "requests",
    "errors": "errors",
    "output_tokens_per_s": "tokens/s",
    "requests_per_s": "requests/s",
    "ttft_p50_ms": "TTFT p50 ms",
    "ttft_p99_ms": "TTFT p99 ms",
    "tpot_mean_ms": "TPOT mean ms",
    "itl_p99_ms": "ITL p99 ms",
    "e2e_p50_ms": "E2E p50 ms",
    "e2e_p99_ms": "E2E p99 ms",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", help="base URL of an OpenAI-compatible server, without /v1")
    parser.add_argument("--scenario", default="D(128,64)", help="D(in,out), N(mean,sd)/(mean,sd), U(min,max)/(min,max)")
    parser.add_argument("--dataset", metavar="FILE", help="prompts (JSONL, ShareGPT, …), instead of a scenario")
    parser.add_argument(
        "--trace",
        metavar="FILE",
        help="timestamped requests (JSONL, Mooncake, BurstGPT, Azure, …), instead of a scenario",
    )
    load = parser.add_mutually_exclusive_group()
    load.add_argument(
        "--concurrency",
        type=several_whole("--concurrency"),
        default="1,8",
        metavar="N,N,…",
        help="closed loop: levels (default: %(default)s)",
    )
    load.add_argument(
        "--rate", type=several_above_zero("--rate"), metavar="N,N,…", help="open loop: levels in requests/s"
    )
    load.add_argument(
        "--speed",
        type=several_above_zero("--speed"),
        metavar="N,N,…",
        help="a trace's own timestamps, so many times faster",
    )
    parser.add_argument("--arrival", choices=("poisson", "constant"), default="poisson", help="of --rate")
    parser.add_argument(
        "--requests",
        type=whole("--requests"),
        metavar="N",
        help="requests a level (default: 8 a slot, 64 at least)",
    )
    parser.add_argument(
        "--per-level-s",
        type=above_zero("--per-level-s"),
        default=60.0,
        metavar="SECONDS",
        help="length of a --rate level (default: %(default)g)",
    )
    parser.add_argument("--api", choices=("completions", "chat"), default="completions")
    parser.add_argument("--model", help="name in requests (default: the first that the server serves)")
    parser.add_argument("--shared-prefix-tokens", type=whole("--shared-prefix-tokens", least=0), default=0, metavar="N")
    parser.add_argument("--header", action="append", default=[], metavar="NAME:VALUE", help="may be repeated")
    parser.add_argument(
        "--seed",
        type=whole("--seed", least=0, most=2**32 - 1),
        metavar="N",
        help="same seed, same requests; a server that has seen them answers from its cache (default: a new one, told)",
    )
    parser.add_argument("--request-timeout-s", type=above_zero("--request-timeout-s"), default=120.0, metavar="SECONDS")
    parser.add_argument("--extra-body", metavar="JSON", help="keys sent with every request, as workload.extra_body")
    parser.add_argument("--insecure", action="store_true", help="take the server's certificate as it is")
    parser.add_argument(
        "--wait-s",
        type=zero_or_more("--wait-s"),
        default=0.0,
        metavar="SECONDS",
        help="wait so long for a server that is not there yet (one that answers 503 while it starts: 60 s at least)",
    )


def handle(arguments: argparse.Namespace) -> int:
    from autotuner.benchmark import check_workload  # here: --help must not load it

    seed = secrets.randbelow(2**31) if arguments.seed is None else arguments.seed
    workload = _workload(arguments)
    for text in check_workload(workload, seed).told:
        note(text)
    results = at.bench(
        arguments.url.rstrip("/"),
        workload,
        model=arguments.model,
        headers=_headers(arguments.header),
        requests=arguments.requests,
        seed=seed,
        request_timeout_s=arguments.request_timeout_s,
        wait_s=arguments.wait_s,
        insecure=arguments.insecure,
        waiting=note,
        progress=lambda level, run: note(f"{level} …") if run is None else None,
    )
    note(f"seed {seed}")
    if arguments.json:
        print_json({"url": arguments.url, "seed": seed, "levels": [result.as_dict() for result in results]})
        return _exit_code(results)
    rows = []
    for result in results:
        told = result.as_dict()
        rows.append((f"{told['load_kind']} {told['level']:g}", *(told.get(column) for column in _COLUMNS)))
        if result.run.saturated:
            note(f"{result.measurement.level}: the load driver itself was late; the figures are its own")
        if result.run.stopped_early:
            note(f"{result.measurement.level}: stopped early: {result.run.stopped_early}")
        for text in result.measurement.notes:
            note(f"{result.measurement.level}: {text}")
    print_table(("load", *_COLUMNS.values()), rows)
    return _exit_code(results)


def _exit_code(results: Sequence[BenchResult]) -> int:
    """1 when no measured request succeeded: what warm-up got counts nowhere."""
    return 0 if any(r.ok and not r.warmup for result in results for r in result.run.records) else 1


def _workload(arguments: argparse.Namespace) -> at.Workload:
    from autotuner.study import read_workload  # here: --help must not load it

    scenario: object = arguments.scenario
    if arguments.dataset:
        scenario = {"dataset": arguments.dataset}
    elif arguments.trace:
        scenario = {"trace": arguments.trace}
    load: dict[str, object] = {"concurrency": arguments.concurrency}
    if arguments.rate:
        load = {"rate": arguments.rate, "arrival": arguments.arrival}
    elif arguments.speed or arguments.trace:
        load = {"speed": arguments.speed or [1.0]}
    return read_workload(
        {
            "scenario": scenario,
            "load": load,
            "api": arguments.api,
            "extra_body": _extra_body(arguments.extra_body),
            "shared_prefix_tokens": arguments.shared_prefix_tokens,
            "requests": {"per_level_s": arguments.per_level_s},
        }
    )


def _extra_body(text: str | None) -> dict[str, object]:
    from autotuner.study.extra_body import refuse_set_already  # here: --help must not load it

    try:
        body = json.loads(text or "{}")
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise InputError(
            f"--extra-body: {text!r} is no JSON object", key="extra_body", value=text, rule="a JSON object"
        )
    refuse_set_already(body, "extra_body", {"workload.scenario": "--scenario", "model.served_name": "--model"})
    return body


def _headers(texts: list[str]) -> dict[str, str]:
    headers = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon:
            raise InputError(f"--header: {text!r} has no colon", key="header", value=text, rule="NAME:VALUE")
        headers[name.strip()] = value.strip()
    return headers
