"""Improvement: whether the best really beats the default, by their runs in the rounds of confirmation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from autotuner.metrics.direction import Direction
from autotuner.results.finals import Finals, fresh_choice, round_of
from autotuner.results.finals.ratio import as_ratio, finite_exp
from autotuner.results.points import Rungs, TrialPoint
from autotuner.results.records import Phase, TrialRecord, TrialState
from autotuner.results.scope import scope_text
from autotuner.scoring.objective import Objective
from autotuner.scoring.select import Choice
from autotuner.study.model import Study

_CONFIDENCE = 0.95
_FEWEST_ROUNDS = 2


class Outcome(StrEnum):
    """What the rounds say of the best beside the default."""

    BETTER = "better"
    WORSE = "worse"
    TIE = "tie"  # neither, beyond chance
    UNCONFIRMED = "unconfirmed"


@dataclass(frozen=True)
class FinalistStanding:
    """A finalist over the default: what its ``rounds`` say. ``is_out``: clearly worse than another, or failed."""

    trial_id: str
    rounds: int
    ratio: float | None
    ci95: tuple[float, float] | None
    is_out: bool


@dataclass(frozen=True)
class Improvement:
    """The objective of the best over that of the default, trial ``baseline``.

    ``ratio`` is the geometric mean over paired rounds (without rounds, that of the search), ``ci95`` its 95 %
    interval; ``None`` where they can't be had (no repeat to tell the noise from, or a value of 0). ``scope``: the load
    levels that the values are of, in words. ``best_value`` and ``baseline_value`` are what ``ratio`` is of, where it
    is. ``noise``: the relative standard deviation of one run, pooled over the study's repeats. ``finalists``: all
    that ran afresh, the best first.
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
    outcome: Outcome = Outcome.UNCONFIRMED
    noise: float | None = None
    finalists: tuple[FinalistStanding, ...] = ()


def find_improvement(
    study: Study,
    trials: Sequence[TrialRecord],
    rungs: Rungs,
    objective: Objective,
    best: TrialPoint | None,
    baseline: TrialPoint | None,
    why_ended: str,
    finals: Finals | None = None,
) -> Improvement | None:
    """``None`` without a best. Recommended is only what beat the default beyond chance.

    What meets the SLOs in every round beats a default that never does, and the other way round, whatever the ratio.
    ``why_ended``: why there was no more of the study, as a clause. ``finals``: ``None`` under the earlier rule, whose
    interval is that of the paired rounds by themselves.
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
    if finals is not None and pairs:
        ratio, interval = _final_ratio(finals, best.trial_id, objective.direction)
    else:
        ratio, interval = paired_ratio(values)
    scopes = {_scope(c, rungs) for pair in pairs for c in pair} or {best.scope, baseline.scope} - {""}
    if not _tells(pairs, interval, finals, best.trial_id):
        recommended, outcome, interval = False, Outcome.UNCONFIRMED, None
        reason = why_unconfirmed(study.search.confirm, trials, len(pairs), (best.trial_id, against), why_ended)
    else:
        recommended, reason = _verdict(pairs, interval, objective.direction)
        is_tie = interval is not None and interval[0] <= 1 <= interval[1]
        outcome = Outcome.BETTER if recommended else Outcome.TIE if is_tie else Outcome.WORSE
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
        outcome,
        None if finals is None or finals.spread is None else finals.spread.deviation,
        () if finals is None else _standings(finals, best.trial_id, objective.direction),
    )


def _tells(
    pairs: Sequence[tuple[Choice, Choice]], interval: tuple[float, float] | None, finals: Finals | None, best: str
) -> bool:
    """Whether there are rounds enough for a verdict: two, or one with an interval or with SLOs that only one meets."""
    if len(pairs) >= _FEWEST_ROUNDS or finals is None:
        return len(pairs) >= _FEWEST_ROUNDS
    return bool(pairs) and (interval is not None or finals.meets_what_the_default_breaks(best))


def _final_ratio(finals: Finals, name: str, direction: Direction) -> tuple[float | None, tuple[float, float] | None]:
    """Of a finalist's values over the default's, and its interval."""
    gain = finals.gain(name)
    return (None, None) if gain is None else as_ratio(gain.mean, gain.half_width, direction)


def _standings(finals: Finals, best: str, direction: Direction) -> tuple[FinalistStanding, ...]:
    ordered = sorted(finals.measured, key=lambda name: (name != best, name not in finals.left))
    return tuple(
        FinalistStanding(
            name,
            0 if (gain := finals.gain(name)) is None else gain.rounds,
            *_final_ratio(finals, name, direction),
            name not in finals.left,
        )
        for name in ordered
    )


def _scope(choice: Choice, rungs: Rungs) -> str:
    return scope_text(choice.level, [m.level for m in rungs[choice.trial_id][-1].measurements])


def _geometric_mean(values: Sequence[float | None]) -> float:
    logs = [math.log(value) for value in values if value]
    return math.exp(math.fsum(logs) / len(logs))


def why_unconfirmed(asked: int, trials: Sequence[TrialRecord], ended: int, ids: tuple[str, str], why_ended: str) -> str:
    """Why there are fewer confirmation rounds (``ended``) than an interval needs.

    ``asked``: ``search.confirm``; ``ids``: of the best and the default.
    """
    best, default = ids
    if not asked:
        return "confirmation is off (search.confirm: 0)"
    record = next((t for t in trials if t.trial_id == default), None)
    if record is not None and record.failure is not None and record.failure.blames_config:
        return f"there is no default to confirm against: trial {default} failed: {record.failure}: {record.message}"
    confirmed = {round_of(t.trial_id)[0] for t in trials if t.phase is Phase.CONFIRM} - {default}
    if confirmed and best not in confirmed:
        return f"the confirmation rounds were of trial {', '.join(sorted(confirmed))}, which was the best then"
    failed = [t for t in trials if t.phase is Phase.CONFIRM and t.failure is not None]
    if failed:
        causes = "; ".join(f"{t.trial_id}: {t.failure}: {t.message}" for t in failed[:2])
        return f"{_rounds_text(ended, asked)}; {_FEWEST_ROUNDS} are needed for an interval ({causes})"
    if ended == asked:
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
    return math.exp(mean), (finite_exp(mean - half), finite_exp(mean + half))


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
        first, number = round_of(trial_id)
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
    return fresh_choice(trial_id, rungs[trial_id][-1].score, objective, study.search.select)


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
    if interval[0] <= 1 <= interval[1]:
        return False, "a tie: the interval does not exclude no gain"
    gains = interval[0] > 1 if direction is Direction.MAX else interval[1] < 1
    return gains, "the interval excludes no gain" if gains else "the interval excludes a gain"
