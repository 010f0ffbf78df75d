"""From the requests of a load point to its metrics."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from autotuner.metrics._amounts import Amounts, amounts
from autotuner.metrics._answers import Answers
from autotuner.metrics._columns import RequestColumns
from autotuner.metrics._latency import RunLatencies, run_latencies
from autotuner.metrics._rate_intervals import rate_intervals
from autotuner.metrics._telemetry_metrics import WatchedRun, telemetry_metrics
from autotuner.metrics.load_level import LoadLevel
from autotuner.metrics.measurement import FloatArray, MeasureContext, Measurement
from autotuner.metrics.percentile import percentile
from autotuner.metrics.registry import RATES, STATISTICS
from autotuner.metrics.request import PointRun
from autotuner.metrics.window import find_window


def measure(level: LoadLevel, runs: Sequence[PointRun], ctx: MeasureContext) -> Measurement:
    """The metrics of one load point over all its runs so far.

    Latencies are pooled, windows added up. A failed request counts as one that took the request time-out in
    every latency metric, and in no rate; cancelled and warm-up requests count in neither count nor latency.
    """
    if any(run.replayed is not None for run in runs):
        return _as_recorded(level, runs, ctx)
    columns = [RequestColumns.of(run) for run in runs]
    latencies = [run_latencies(c) for c in columns]
    requests = sum(int(c.measured.sum()) for c in columns)
    errors = sum(int((c.measured & ~c.ok).sum()) for c in columns)
    samples = _samples(columns, latencies, ctx.request_timeout_s * 1000)
    total = Amounts()
    watched = []
    windows = []
    for run, cols, lats in zip(runs, columns, latencies, strict=True):
        window = find_window(run)
        held = Amounts()
        if window is not None and window.length_s > 0:
            held = amounts(cols, lats, window, ctx.limits_ms)
            windows.append((cols, lats, window))
        total += held
        watched.append(WatchedRun(run, window, held.output_tokens))
    answers = Answers.of([r for run in runs for r in run.records])
    rates = _rates(total)
    found = {**_statistics(samples), **_derived(rates, ctx), **answers.metrics(), **telemetry_metrics(watched)}
    if requests:
        found["error_rate"] = errors / requests
    if found.get("tpot_mean_ms", 0) > 0:
        found["tokens_per_s_per_user"] = 1000 / found["tpot_mean_ms"]
    return Measurement(
        level=level,
        requests=requests,
        errors=errors,
        metrics={column: value for column, value in found.items() if math.isfinite(value)},
        samples=samples,
        intervals=_intervals(rate_intervals(rates, windows, ctx.limits_ms), ctx),
        stopped_early=next((run.stopped_early for run in reversed(runs) if run.stopped_early), None),
        tokens_by=answers.tokens_by,
        notes=(*answers.notes(), *_notes(runs)),
        disturbed="; ".join(dict.fromkeys(run.disturbed for run in runs if run.disturbed)),
    )


def _notes(runs: Sequence[PointRun]) -> Iterator[str]:
    yield from dict.fromkeys(note for run in runs for note in run.notes)


def _as_recorded(level: LoadLevel, runs: Sequence[PointRun], ctx: MeasureContext) -> Measurement:
    """Metrics as they were recorded, means over runs that differ; those made of them are added where they were not.

    A table of metrics says nothing of how sure they are: they are taken for exact.
    """
    recorded = [run.replayed for run in runs if run.replayed is not None]
    columns = dict.fromkeys(column for one in recorded for column in one.metrics)
    metrics = {c: float(np.mean([one.metrics[c] for one in recorded if c in one.metrics])) for c in columns}
    found = {**_derived({column: value for column, value in metrics.items() if column in RATES}, ctx), **metrics}
    requests = sum(one.requests for one in recorded)
    errors = round(found.get("error_rate", 0.0) * requests)
    exact = {column: (value, value) for column, value in found.items()}
    return Measurement(level, requests, errors, found, intervals=exact, notes=tuple(_notes(runs)))


def _samples(
    columns: Sequence[RequestColumns], latencies: Sequence[RunLatencies], timeout_ms: float
) -> dict[str, FloatArray]:
    failed = sum(int((c.measured & ~c.ok).sum()) for c in columns)
    good = sum(int((c.measured & c.ok).sum()) for c in columns)
    samples: dict[str, FloatArray] = {}
    for metric in ("ttft", "ttft_visible", "tpot", "e2e"):
        values = np.concatenate(
            [lat.per_request[metric][c.measured] for c, lat in zip(columns, latencies, strict=True)] or [np.empty(0)]
        )
        values = values[~np.isnan(values)]
        samples[metric] = np.concatenate((values, np.full(failed, timeout_ms)))
    gaps = np.concatenate([lat.gaps for lat in latencies] or [np.empty(0)])
    # A failed request weighs as much as a good one, so it has as many gaps as those have on average.
    each = max(1, round(len(gaps) / good)) if good else 1
    samples["itl"] = np.concatenate((gaps, np.full(failed * each, timeout_ms)))
    if good and not _most_have_gaps(columns):
        samples |= {"tpot": np.empty(0), "itl": np.empty(0)}
    return {metric: values for metric, values in samples.items() if len(values) > failed or not good}


def _most_have_gaps(columns: Sequence[RequestColumns]) -> bool:
    """Whether most good answers of several tokens have a time between them.

    Where most came at once, the few that seem not to have, and those that failed, stand for nothing.
    """
    several = sum(int((c.measured & c.ok & (c.output_tokens >= 2)).sum()) for c in columns)
    timed = sum(int((c.measured & c.ok & ~np.isnan(c.gap)).sum()) for c in columns)
    return timed > 0 and 2 * timed >= several


def _statistics(samples: Mapping[str, FloatArray]) -> dict[str, float]:
    found: dict[str, float] = {}
    for metric, values in samples.items():
        if not len(values):
            continue
        for statistic in STATISTICS:
            value = float(values.mean()) if statistic == "mean" else percentile(values, float(statistic[1:]))
            found[f"{metric}_{statistic}_ms"] = value
    return found


def _rates(total: Amounts) -> dict[str, float]:
    if total.seconds <= 0:
        return {}
    return {column: amount / total.seconds for column, amount in total.by_column().items()}


def _intervals(rates: Mapping[str, tuple[float, float]], ctx: MeasureContext) -> dict[str, tuple[float, float]]:
    """Of the rates, and of what is made of them: each rises or falls with one of them alone."""
    ends = [_derived({column: interval[end] for column, interval in rates.items()}, ctx) for end in (0, 1)]
    columns = [column for column in ends[0] if column in ends[1]]
    found = {column: (min(end[column] for end in ends), max(end[column] for end in ends)) for column in columns}
    return {column: interval for column, interval in found.items() if all(map(math.isfinite, interval))}


def _derived(rates: Mapping[str, float], ctx: MeasureContext) -> dict[str, float]:
    """Rates, and what is made of them: rates per GPU, and costs where there is a price."""
    servers = ctx.gpus or ctx.replicas or 1
    found = {**rates, **{f"{column}_per_gpu": rate / servers for column, rate in rates.items()}}
    if ctx.cost_per_hour is None:
        return found
    output = rates.get("output_tokens_per_s", 0.0) * 3600
    if output > 0:
        found["cost_per_mtok"] = ctx.cost_per_hour * 1e6 / output
    if ctx.cost_per_hour > 0 and "output_tokens_per_s" in rates:
        found["output_tokens_per_cost"] = output / ctx.cost_per_hour
    if ctx.cost_per_hour > 0 and "goodput_per_s" in rates:
        found["goodput_per_cost"] = rates["goodput_per_s"] * 3600 / ctx.cost_per_hour
    return found
