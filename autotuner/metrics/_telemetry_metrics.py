"""From telemetry samples to metrics of a load point."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from autotuner.metrics.disturbance import cpu_wait_share
from autotuner.metrics.measurement import FloatArray
from autotuner.metrics.request import PointRun
from autotuner.metrics.window import Window

_MEANS = {
    "server_running_mean": "running",
    "server_waiting_mean": "waiting",
    "gpu_utilization_mean": "gpu_utilization",
    "gpu_power_w_mean": "gpu_power_w",
}
_MAXIMA = {
    "server_kv_cache_use_max": "kv_cache_use",
    "server_waiting_max": "waiting",
    "gpu_memory_gib_max": "gpu_memory_gib",
}


@dataclass(frozen=True)
class WatchedRun:
    """A run with its window (``None``: nothing measured) and the output tokens that fall in it."""

    run: PointRun
    window: Window | None
    output_tokens: float


@dataclass(frozen=True)
class _Series:
    at_s: FloatArray
    values: FloatArray

    def within(self, start_s: float, end_s: float) -> FloatArray:
        return self.values[(self.at_s >= start_s) & (self.at_s <= end_s)]


def telemetry_metrics(runs: Sequence[WatchedRun]) -> dict[str, float]:
    """The columns that the samples of these runs allow.

    Means are over the windows (over a whole run where no sample falls in its window), maxima and counts over the
    whole runs. Energy is that of the windows, over the output tokens in them.
    """
    watched = [w for w in runs if w.run.telemetry is not None]
    found = {
        **_over_samples(watched, _MEANS, _in_window, np.mean),
        **_over_samples(watched, _MAXIMA, _in_run, np.max),
    }
    counts = {name: _counted(watched, name) for name in ("preemptions", "prefix_hits", "prefix_queries")}
    if counts["preemptions"] is not None:
        found["server_preemptions"] = counts["preemptions"]
    hits, queries = counts["prefix_hits"], counts["prefix_queries"]
    if hits is not None and queries:
        found["server_prefix_hit_rate"] = hits / queries
    elif queries is None:
        found |= _over_samples(watched, {"server_prefix_hit_rate": "prefix_hit_rate"}, _in_window, np.mean)
    return found | _waits(watched) | _energy_per_token(watched)


def _over_samples(
    runs: Sequence[WatchedRun],
    columns: dict[str, str],
    pick: Callable[[WatchedRun, _Series], FloatArray],
    reduce: Callable[[FloatArray], np.float64],
) -> dict[str, float]:
    found = {}
    for column, name in columns.items():
        values = np.concatenate([pick(run, _series(run, name)) for run in runs] or [np.empty(0)])
        if len(values):
            found[column] = float(reduce(values))
    return found


def _in_run(watched: WatchedRun, series: _Series) -> FloatArray:
    return series.within(0.0, max((r.end_s for r in watched.run.records), default=0.0))


def _in_window(watched: WatchedRun, series: _Series) -> FloatArray:
    if watched.window is not None:
        values = series.within(watched.window.start_s, watched.window.end_s)
        if len(values):
            return values
    return _in_run(watched, series)


def _counted(runs: Iterable[WatchedRun], name: str) -> float | None:
    """The sum of the runs' increases, ``None`` where no run has one."""
    told = [run.run.telemetry for run in runs if run.run.telemetry is not None]
    increases = [increase.count for telemetry in told if (increase := telemetry.increase(name)) is not None]
    return sum(increases) if increases else None


def _waits(runs: Sequence[WatchedRun]) -> dict[str, float]:
    """The share over the whole runs, warm-up included."""
    ran_s, waited_s = _counted(runs, "cpu_run_s"), _counted(runs, "cpu_wait_s")
    share = cpu_wait_share(ran_s, waited_s)
    return {} if share is None else {"cpu_wait_share": share}


def _energy_per_token(runs: Iterable[WatchedRun]) -> dict[str, float]:
    joules = tokens = 0.0
    for watched in runs:
        energy = _energy(watched)
        if energy is not None:
            joules += energy
            tokens += watched.output_tokens
    return {"energy_j_per_token": joules / tokens} if tokens > 0 else {}


def _energy(watched: WatchedRun) -> float | None:
    """Joules in the window: from the energy counter, else mean power × time."""
    window = watched.window
    if window is None:
        return None
    counter = _series(watched, "gpu_energy_j")
    if len(counter.values) > 1 and counter.values[-1] >= counter.values[0] and counter.at_s[-1] > counter.at_s[0]:
        if counter.at_s[0] <= window.start_s and window.end_s <= counter.at_s[-1]:
            start, end = np.interp([window.start_s, window.end_s], counter.at_s, counter.values)
            return float(end - start)
        power = (counter.values[-1] - counter.values[0]) / (counter.at_s[-1] - counter.at_s[0])
        return float(power * window.length_s)
    watts = _in_window(watched, _series(watched, "gpu_power_w"))
    return float(watts.mean() * window.length_s) if len(watts) else None


def _series(watched: WatchedRun, name: str) -> _Series:
    telemetry = watched.run.telemetry
    told = telemetry.told(name) if telemetry is not None else []
    return _Series(
        np.array([at_s for at_s, _ in told], dtype=np.float64),
        np.array([value for _, value in told], dtype=np.float64),
    )
