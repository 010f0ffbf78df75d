"""Improvement: whether the best really beats the default, by their confirmation rounds."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from autotuner.metrics.direction import Direction
from autotuner.results.points import Rungs, TrialPoint
from autotuner.results.records import Phase, TrialRecord, TrialState
from autotuner.results.scope import scope_text
from autotuner.scoring.objective import Objective
from autotuner.scoring.select import Choice, select_best, select_closest
from autotuner.study.model import Study

_CONFIDENCE = 0.95
_FEWEST_ROUNDS = 2


@dataclass(frozen=True)
class Improvement:
    """The objective of the best over that of the default, trial ``baseline``.

    ``ratio`` is the geometric mean over paired rounds (without rounds, that of the search), ``ci95`` its 95 %
    interval; ``None`` where they can't be had (fewer than 2 rounds, or a value of 0). ``scope``: the load levels that
    the values are of, in words. ``best_value`` and ``baseline_value`` are what ``ratio`` is of, where it is.
    """

    metric: str
    ratio: float | None
    ci95: tuple[float, float] | None
    recommended: bool
    rounds: int
    reason: str
    baseline: str | None = None
    scope: str = ""
    best_value: float | None = None
    baseline_value: float | None = None


def find_improvement(
    study: Study,
    trials: Sequence[TrialRecord],
    rungs: Rungs,
    objective: Objective,
    best: TrialPoint | None,
    baseline: TrialPoint | None,
    why_ended: str,
) -> Improvement | None:
    """``None`` without a best. Recommended is only what beat the default beyond chance.

    What meets the SLOs in every round beats a default that never does, and the other way round, whatever the ratio.
    ``why_ended``: why there was no more of the study, as a clause.
    """
    if best is None:
        return None
    metric = objective.column
    if baseline is None:
        return Improvement(metric, None, None, False, 0, "the default was not measured")
    against = baseline.trial_id
    if best.trial_id == against:
        return Improvement(metric, 1.0, None, False, 0, "the default is the best", against)
    pairs = confirmed_choices(study, trials, rungs, objective, (best.trial_id, against))
    values = [(b.value, d.value) for b, d in pairs] or [(best.value, baseline.value)]
    ratio, interval = paired_ratio(values)
    scopes = {_scope(c, rungs) for pair in pairs for c in pair} or {best.scope, baseline.scope} - {""}
    if len(pairs) < _FEWEST_ROUNDS:
        recommended, interval = False, None
        reason = why_unconfirmed(study.search.confirm, trials, len(pairs), (best.trial_id, against), why_ended)
    else:
        recommended, reason = _verdict(pairs, interval, objective.direction)
    return Improvement(
        metric,
        ratio,
        interval,
        recommended,
        len(pairs),
        reason,
        against,
        scopes.pop() if len(scopes) == 1 else "each at its best load level",
        None if ratio is None else _geometric_mean([b for b, _ in values]),
        None if ratio is None else _geometric_mean([d for _, d in values]),
    )


def _scope(choice: Choice, rungs: Rungs) -> str:
    return scope_text(choice.level, [m.level for m in rungs[choice.trial_id][-1].measurements])


def _geometric_mean(values: Sequence[float | None]) -> float:
    logs = [math.log(value) for value in values if value]
    return math.exp(math.fsum(logs) / len(logs))


def why_unconfirmed(asked: int, trials: Sequence[TrialRecord], ended: int, ids: tuple[str, str], why_ended: str) -> str:
    """Why there are fewer confirmation rounds than an interval needs.

    ``asked``: ``search.confirm``; ``ids``: of the best and the default.
    """
    best, default = ids
    if not asked:
        return "confirmation is off (search.confirm: 0)"
    record = next((t for t in trials if t.trial_id == default), None)
    if record is not None and record.failure is not None and record.failure.blames_config:
        return f"there is no default to confirm against: trial {default} failed: {record.failure}: {record.message}"
    confirmed = {t.trial_id.split("-c")[0] for t in trials if t.phase is Phase.CONFIRM} - {default}
    if confirmed and best not in confirmed:
        return f"the confirmation rounds were of trial {', '.join(sorted(confirmed))}, which was the best then"
    failed = [t for t in trials if t.phase is Phase.CONFIRM and t.failure is not None]
    if failed:
        causes = "; ".join(f"{t.trial_id}: {t.failure}: {t.message}" for t in failed[:2])
        return f"{_rounds_text(ended, asked)}; {_FEWEST_ROUNDS} are needed for an interval ({causes})"
    if asked < _FEWEST_ROUNDS and ended == asked:
        return f"{_rounds_text(ended, asked)}, as search.confirm asks; {_FEWEST_ROUNDS} are needed for an interval"
    return f"{_rounds_text(ended, asked)}: {why_ended}"


def _rounds_text(ended: int, asked: int) -> str:
    return f"{ended} of {asked} confirmation round{'s' if asked > 1 else ''} came to an end"


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
    """Finite, however large."""
    return math.exp(min(x, math.log(sys.float_info.max)))


def confirmed_rounds(
    trials: Sequence[TrialRecord], rungs: Rungs, best: str, default: str
) -> list[tuple[TrialRecord, TrialRecord]]:
    """Rounds that both Configs ended, trials ``<id>-c<round>``: the best's, and the default's."""
    ended = {
        t.trial_id: t
        for t in trials
        if t.phase is Phase.CONFIRM and t.state is TrialState.COMPLETED and rungs.get(t.trial_id)
    }
    pairs = []
    for trial_id, trial in ended.items():
        first, number = trial_id.split("-c")
        other = ended.get(f"{default}-c{number}")
        if first == best and other is not None:
            pairs.append((trial, other))
    return pairs


def confirmed_choices(
    study: Study, trials: Sequence[TrialRecord], rungs: Rungs, objective: Objective, ids: tuple[str, str]
) -> list[tuple[Choice, Choice]]:
    """What counts of each round of ``confirmed_rounds``."""
    return [
        (_choice(b.trial_id, rungs, objective, study), _choice(d.trial_id, rungs, objective, study))
        for b, d in confirmed_rounds(trials, rungs, *ids)
    ]


def _choice(trial_id: str, rungs: Rungs, objective: Objective, study: Study) -> Choice:
    score = rungs[trial_id][-1].score
    best = select_best({trial_id: score}, objective, study.search.select)
    nothing = Choice(trial_id, None, None, score.score, False, False, reason=score.reason)
    return best or select_closest({trial_id: score}, objective) or nothing


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
        gains = all(b.value and not d.value for b, d in pairs) and direction is Direction.MAX
        return gains, "the default's value is 0" if gains else "no ratio: a value is missing or 0"
    gain = interval[0] > 1 if direction is Direction.MAX else interval[1] < 1
    return gain, "the interval excludes no gain" if gain else "the interval does not exclude no gain"
