"""How true the load driver is: its figures against a mock server of known times.

    python -m benchmarks.load_driver [--json]

The mock server has one core and the client another. Bounds: TTFT p50 within 3 ms up to concurrency 16 and
6 ms at 64; TPOT and tokens/s within 1 %; at 30,000 streamed tokens/s TPOT within 3 %. Public clients that
are installed (guidellm, aiperf, …) are named below the table; they are not run. ``saturated`` 1 means that
the client noticed that it ran late: the two cores were not idle, and that load's figures say nothing.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from autotuner.benchmark import DriverSettings, LoadPoint, Target, open_driver
from autotuner.benchmark.stand_ins.mock_process import mock_server
from autotuner.engines.engine import RequestFeatures
from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.metrics.measure import measure
from autotuner.metrics.measurement import MeasureContext, Measurement
from autotuner.metrics.request import PointRun
from autotuner.study.model import ConcurrencyLoad, Workload

TTFT_MS = 50.0
ITL_MS = 10.0
INPUT_TOKENS = 100
PUBLIC_CLIENTS = ("guidellm", "aiperf", "genai_bench", "evalscope", "inference_perf")


@dataclass(frozen=True)
class Case:
    concurrency: int
    requests: int
    output_tokens: int
    ttft_bound_ms: float
    share_bound: float  # of TPOT and tokens/s

    @property
    def e2e_ms(self) -> float:
        return TTFT_MS + (self.output_tokens - 1) * ITL_MS

    @property
    def tokens_per_s(self) -> float:
        return 1000.0 * self.concurrency * self.output_tokens / self.e2e_ms


CASES = (
    Case(1, 6, 100, 3.0, 0.01),
    Case(16, 96, 100, 3.0, 0.01),
    Case(64, 384, 100, 6.0, 0.01),
    Case(310, 930, 400, 50.0, 0.03),  # 30,000 tokens/s: here TTFT is only reported
)


@dataclass(frozen=True)
class Row:
    concurrency: int
    figure: str
    truth: float
    measured: float
    bound: float | None  # largest allowed distance, in the figure's own unit
    holds: bool


def press(case: Case, url: str, core: int | None) -> PointRun:
    features = RequestFeatures(token_ids=True, ignore_eos=True)
    workload = Workload(
        scenario=f"D({INPUT_TOKENS},{case.output_tokens})", load=ConcurrencyLoad(concurrency=[case.concurrency])
    )
    settings = DriverSettings(workload, 60.0, 0, () if core is None else (core,))
    with open_driver(Target((url,), "mock", features), settings) as driver:
        level = LoadLevel(LoadKind.CONCURRENCY, case.concurrency)
        return driver.run(LoadPoint(level, case.requests, 0), deadline_s=120.0)


def rows(case: Case, run: PointRun) -> Iterator[Row]:
    measured = measure(run.level, [run], MeasureContext(0, 1, 60.0))
    share = case.share_bound
    ttft_bound = case.ttft_bound_ms if case.concurrency <= 64 else None
    yield _row(case, measured, "ttft_p50_ms", TTFT_MS, ttft_bound)
    yield _row(case, measured, "ttft_p99_ms", TTFT_MS, None)
    yield _row(case, measured, "tpot_mean_ms", ITL_MS, share * ITL_MS)
    yield _row(case, measured, "e2e_p50_ms", case.e2e_ms, None)
    yield _row(case, measured, "output_tokens_per_s", case.tokens_per_s, share * case.tokens_per_s)
    yield Row(case.concurrency, "errors", 0.0, float(measured.errors), 0.0, measured.errors == 0)
    yield Row(case.concurrency, "lag_p99_ms", 0.0, run.lag_p99_ms, None, holds=True)
    yield Row(case.concurrency, "saturated", 0.0, float(run.saturated), None, holds=True)


def _row(case: Case, measured: Measurement, figure: str, truth: float, bound: float | None) -> Row:
    value = measured.metrics[figure]
    return Row(case.concurrency, figure, truth, value, bound, bound is None or abs(value - truth) <= bound)


def client_and_server_core() -> tuple[int | None, int | None]:
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return (cores[0], cores[1]) if len(cores) > 1 else (None, None)


def main() -> int:
    parser = argparse.ArgumentParser(description="The load driver's figures against known times.")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    as_json = parser.parse_args().json
    client, server = client_and_server_core()
    found: list[Row] = []
    with mock_server(core=server, ttft_ms=TTFT_MS, itl_ms=ITL_MS) as url:
        for case in CASES:
            found.extend(rows(case, press(case, url, client)))
    installed = [name for name in PUBLIC_CLIENTS if importlib.util.find_spec(name) is not None]
    if as_json:
        print(json.dumps({"rows": [asdict(row) for row in found], "public_clients": installed}, indent=2))
    else:
        print_table(found, installed)
    return 0 if all(row.holds for row in found) else 1


def print_table(found: list[Row], installed: list[str]) -> None:
    print(f"{'concurrency':>11}  {'figure':<20} {'truth':>10} {'measured':>10} {'bound':>9}")
    for row in found:
        bound = "" if row.bound is None else f"± {row.bound:.3g}"
        verdict = "" if row.bound is None else ("holds" if row.holds else "BROKEN")
        print(f"{row.concurrency:>11}  {row.figure:<20} {row.truth:>10.2f} {row.measured:>10.2f} {bound:>9} {verdict}")
    print(f"public clients installed: {', '.join(installed) or 'none'}")


if __name__ == "__main__":
    sys.exit(main())
