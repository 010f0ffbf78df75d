"""Improvement: whether the best really beats the default, by their confirmation rounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from autotuner.metrics.direction import Direction
from autotuner.results.points import Rungs, TrialPoint
from autotuner.results.records import Phase, TrialRecord, TrialState
from autotuner.scoring.objective import Objective
from autotuner.scoring.select import Choice, choices, select_best, select_closest
from autotuner.study.model import Study

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Improvement:
    """The objective of the best over that of the default.

    ``ratio`` is the geometric mean over paired rounds (without rounds, that of the search), ``ci95`` its 95 %
    interval; ``None`` where they can't be had (fewer than 2 rounds, or a value of 0).
    """

    metric: str
    ratio: float | None
    ci95: tuple[float, float] | None
    recommended: bool
    rounds: int
    reason: str


def find_improvement(
    study: Study,
    trials: Sequence[TrialRecord],
    rungs: Rungs,
    objective: Objective,
    best: TrialPoint | None,
    baseline: TrialPoint | None,
) -> Improvement | None:
    """``None`` without a best. Recommended is only what beat the default beyond chance.

    What meets the SLOs in every round beats a default that never does, and the other way round, whatever the ratio.
    """
    if best is None:
        return None
    metric = objective.column
    if baseline is None:
        return Improvement(metric, None, None, False, 0, "the default was not measured")
    if best.trial_id == baseline.trial_id:
        return Improvement(metric, 1.0, None, False, 0, "the default is the best")
    pairs = _rounds(study, trials, rungs, objective, (best.trial_id, baseline.trial_id))
    values = [(b.value, d.value) for b, d in pairs] or [(best.value, baseline.value)]
    ratio, interval = paired_ratio(values)
    if len(pairs) < 2:
        reason = f"{len(pairs)} confirmation rounds of both ended; 2 are needed"
        return Improvement(metric, ratio, None, False, len(pairs), reason)
    recommended, reason = _verdict(pairs, interval, objective.direction)
    return Improvement(metric, ratio, interval, recommended, len(pairs), reason)


def paired_ratio(
    values: Sequence[tuple[float | None, float | None]],
) -> tuple[float | None, tuple[float, float] | None]:
    """Geometric mean of the ratios, and its 95 % interval: Student's t on their logarithms (paired t-test)."""
    ratios = [b / d for b, d in values if b is not None and d is not None and b > 0 and d > 0]
    if len(ratios) < len(values) or not ratios:
        return None, None
    logs = [math.log(ratio) for ratio in ratios]
    n = len(logs)
    mean = math.fsum(logs) / n
    if n < 2:
        return math.exp(mean), None
    from scipy.special import stdtrit  # slow to import, needed once

    error = math.sqrt(math.fsum((x - mean) ** 2 for x in logs) / (n - 1) / n)
    half = float(stdtrit(n - 1, 0.5 + _CONFIDENCE / 2)) * error
    return math.exp(mean), (_exp(mean - half), _exp(mean + half))


def _exp(x: float) -> float:
    return math.exp(max(min(x, 700.0), -700.0))


def _rounds(
    study: Study, trials: Sequence[TrialRecord], rungs: Rungs, objective: Objective, ids: tuple[str, str]
) -> list[tuple[Choice, Choice]]:
    """Rounds that both Configs ended: trials ``<id>-c<round>``."""
    ended = {
        t.trial_id: rungs[t.trial_id][-1].score
        for t in trials
        if t.phase is Phase.CONFIRM and t.state is TrialState.COMPLETED and rungs.get(t.trial_id)
    }
    pairs = []
    for trial_id in ended:
        first, _, number = trial_id.rpartition("-c")
        other = f"{ids[1]}-c{number}"
        if first == ids[0] and other in ended:
            both = [_choice(name, rungs, objective, study) for name in (trial_id, other)]
            pairs.append((both[0], both[1]))
    return pairs


def _choice(trial_id: str, rungs: Rungs, objective: Objective, study: Study) -> Choice:
    score = {trial_id: rungs[trial_id][-1].score}
    found = select_best(score, objective, study.search.select) or select_closest(score, objective)
    return found or next(choices(trial_id, score[trial_id], objective))


def _verdict(
    pairs: Sequence[tuple[Choice, Choice]], interval: tuple[float, float] | None, direction: Direction
) -> tuple[bool, str]:
    best_met, default_met = all(b.slo_met for b, _ in pairs), all(d.slo_met for _, d in pairs)
    if best_met and not any(d.slo_met for _, d in pairs):
        return True, "it meets the SLOs, the default does not"
    if default_met and not best_met:
        return False, "the default meets the SLOs in every round, it does not"
    if not all(b.feasible for b, _ in pairs):
        return False, "it was infeasible in a confirmation round"
    if interval is None:
        gains = all((b.value or 0) > 0 and not d.value for b, d in pairs) and direction is Direction.MAX
        return gains, "the default's value is 0" if gains else "no ratio: a value is missing or 0"
    gain = interval[0] > 1 if direction is Direction.MAX else interval[1] < 1
    return gain, "the interval excludes no gain" if gain else "the interval does not exclude no gain"
