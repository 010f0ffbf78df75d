"""Which of the kept load point runs count."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from autotuner.metrics.request import PointRun
from autotuner.results.records import RungRecord


def kept_runs(rungs: Iterable[RungRecord], runs: Sequence[tuple[int, PointRun]]) -> list[tuple[int, PointRun]]:
    """Those (rung, run) that measurements rest on: a failed load point's requests are kept, but not measured."""
    failed = {(rung.rung, failure.level) for rung in rungs for failure in rung.failures}
    return [(rung, run) for rung, run in runs if (rung, str(run.level)) not in failed]
