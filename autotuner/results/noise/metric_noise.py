"""MetricNoise: by how much a metric differs from run to run of one Config, from the study's own repeats. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from autotuner.metrics.load_level import LoadLevel
from autotuner.metrics.measurement import Measurement
from autotuner.results.finals import round_of
from autotuner.results.finals.spread import pooled_spread
from autotuner.results.noise.references import reference_of
from autotuner.results.points import Rungs
from autotuner.results.records import Phase, TrialRecord, TrialState
from autotuner.scoring.max_load import FOUND
from autotuner.scoring.objective import parse_objectives
from autotuner.study.model import Study

_USUAL = ("ttft_p90_ms", "tpot_mean_ms", "e2e_p90_ms", "output_tokens_per_s")
_RATE = "output_tokens_per_"  # a second, a GPU or a price: of one Config the same figure but for a factor

_Point = tuple[LoadLevel, int]  # a load level, and how many requests were measured at it


@dataclass(frozen=True)
class MetricNoise:
    """``deviation``: the standard deviation of one run, of logarithms, which for small ones is that over the mean (the
    coefficient of variation); ``freedom``: its degrees of freedom. ``configs``: how many ran more than once; ``runs``:
    how often they did in all."""

    metric: str
    deviation: float
    freedom: int
    configs: int
    runs: int


def watched_columns(study: Study) -> tuple[str, ...]:
    """Of the objectives and SLOs, then the usual latencies and rate.

    Not the largest load that a search finds: it comes in steps, and is the same at a load level by its making.
    """
    asked = [o.column for o in parse_objectives(study.objectives) if o.column not in FOUND]
    asked += [f"{metric}_{statistic}_ms" for metric, statistic, _ in study.slo.terms()]
    has_rate = any(column.startswith(_RATE) for column in asked)
    return tuple(dict.fromkeys([*asked, *(c for c in _USUAL if not (has_rate and c.startswith(_RATE)))]))


def find_noise(
    columns: Sequence[str], trials: Sequence[TrialRecord], rungs: Rungs, *, drifted: bool = False
) -> tuple[MetricNoise, ...]:
    """Of each metric that repeats tell something of; none is told from a single run.

    Repeats are the last rungs of trials that came to their end: those of the search, references of the default, and
    fresh runs, at the same load level with as many requests. Load points that were given up, or that others disturbed,
    are left out, and references where the machine ``drifted``: what keeps these apart is no noise of the Config.
    """
    trials = [trial for trial in trials if not (drifted and trial.phase is Phase.REFERENCE)]
    runs = [*_whole_runs(trials, rungs)]
    found = (_noise_of(column, runs) for column in columns)
    return tuple(noise for noise in found if noise is not None)


@dataclass(frozen=True)
class _Run:
    """``name``: the trial whose Config it is of; ``number``: of a fresh run its round, else ``None``."""

    name: str
    number: int | None
    measured: Mapping[_Point, Measurement]


def _whole_runs(trials: Sequence[TrialRecord], rungs: Rungs) -> Iterator[_Run]:
    for trial in trials:
        ended = rungs.get(trial.trial_id)
        if trial.state is not TrialState.COMPLETED or not ended:
            continue
        sound = (m for m in ended[-1].measurements if m.stopped_early is None and not m.disturbed)
        measured = {(m.level, m.requests): m for m in sound}
        if trial.phase is Phase.CONFIRM:
            yield _Run(*round_of(trial.trial_id), measured)
        elif trial.phase is Phase.REFERENCE:
            yield _Run(reference_of(trial.trial_id)[0], None, measured)
        elif trial.phase.explores:
            yield _Run(trial.trial_id, None, measured)


def _noise_of(column: str, runs: Sequence[_Run]) -> MetricNoise | None:
    """The variances of all load points, pooled by their degrees of freedom.

    Load points of one launch share much of what is particular to it, and are no repeats of one another: the degrees of
    freedom are those of the load point that has the most, and not their sum.
    """
    alone: dict[_Point, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    fresh: dict[_Point, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for run in runs:
        for point, measurement in run.measured.items():
            value = measurement.metrics.get(column)
            if value is None or value <= 0:
                continue
            if run.number is None:
                alone[point][run.name].append(math.log(value))
            else:
                fresh[point][run.name][run.number] = math.log(value)
    points = dict.fromkeys([*alone, *fresh])
    spreads = [spread for point in points if (spread := pooled_spread(alone[point], fresh[point])) is not None]
    if not spreads:
        return None
    squares = math.fsum(spread.freedom * spread.deviation**2 for spread in spreads)
    repeats: dict[str, int] = {}
    for point in points:
        for name in {*alone[point], *fresh[point]}:
            count = len(alone[point].get(name, ())) + len(fresh[point].get(name, ()))
            repeats[name] = max(repeats.get(name, 0), count)
    counts = [count for count in repeats.values() if count > 1]
    deviation = math.sqrt(squares / sum(spread.freedom for spread in spreads))
    return MetricNoise(column, deviation, max(spread.freedom for spread in spreads), len(counts), sum(counts))
