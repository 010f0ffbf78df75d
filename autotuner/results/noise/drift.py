"""Drift: whether the default, measured again while a search went on, came out otherwise by more than chance. Pure.

A reference is one more run of the default. Where it is off what the default showed before by more than
``WORTH_A_LOOK``, it is run again at once, up to ``MOST_TIMES`` in all, since a single run can't tell a machine that got
slower from noise. Then it is tested, once, against the runs before it: Student's t of two means, with the spread
pooled over all runs of the default between shifts. What may be told wrongly in a study is shared out among the
references that it may have (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from autotuner.results.finals.spread import Spread

MOST_TIMES = 3
# What repeats of one Config on a quiet machine differ by is 2 % in the median and 8 % in one case of ten: less than a
# twentieth is not worth another launch, and would turn no choice that fresh rounds do not decide anyway.
WORTH_A_LOOK = math.log(1.05)
# Of 5 % that are aimed at: references that are near what was before are run once, which makes the spread seem a little
# smaller than it is. Simulated, a study without a drift is then told of one in 3 to 4 % of cases.
_WRONG_A_STUDY = 0.03


@dataclass(frozen=True)
class DefaultRun:
    """``number``: of its reference; 0: the default's own trial. ``at_s``: when it ended, epoch seconds. ``goods``: the
    logarithm of each objective, turned so that more is better, the first one first; ``None`` where it has no value."""

    number: int
    at_s: float
    node: str
    goods: tuple[float | None, ...]
    trial_id: str = ""

    @property
    def good(self) -> float | None:
        """Of the first objective."""
        return self.goods[0]


@dataclass(frozen=True)
class Shift:
    """Between ``from_s`` and ``to_s`` (epoch seconds) the default on a node came to be worth more or less than before.

    ``changes``: by how much, of each objective as in ``DefaultRun``; ``half_width``: half of the interval of the first,
    at the level at which it was tested. ``number`` and ``trial_id``: of the reference that showed it.
    """

    node: str
    number: int
    from_s: float
    to_s: float
    changes: tuple[float, ...]
    half_width: float
    trial_id: str = ""


@dataclass(frozen=True)
class Drift:
    """``runs``: all that it was looked for in; ``shifts``: those that are proven, in their order."""

    runs: tuple[DefaultRun, ...] = ()
    shifts: tuple[Shift, ...] = ()

    def offsets(self, node: str, at_s: float) -> tuple[float, ...]:
        """By how much each objective was shifted on a node at a time; empty where no shift was proven there.

        Between the last run before a shift and the first one after it is taken to have grown evenly.
        """
        here = [shift for shift in self.shifts if shift.node == node]
        each = zip(*(_grown(shift, at_s) for shift in here), strict=True)
        return tuple(math.fsum(changes) for changes in each)


def _grown(shift: Shift, at_s: float) -> tuple[float, ...]:
    took_s = shift.to_s - shift.from_s
    share = min(max((at_s - shift.from_s) / took_s, 0.0), 1.0) if took_s > 0 else float(at_s > shift.from_s)
    return tuple(share * change for change in shift.changes)


def is_settled(before: Sequence[float], reference: Sequence[float]) -> bool:
    """Whether a reference needs no further run, by its values so far and those of the default before it."""
    if not before or not reference or len(reference) >= MOST_TIMES:
        return True
    return abs(_mean(reference) - _mean(before)) <= WORTH_A_LOOK


def find_drift(runs: Sequence[DefaultRun], references: int) -> Drift:
    """``references``: how many the study may have. Each node is looked at by itself."""
    ordered = sorted(runs, key=lambda run: (run.number, run.at_s))
    shifts: list[Shift] = []
    for node in dict.fromkeys(run.node for run in ordered):
        here = [run for run in ordered if run.node == node and run.good is not None]
        shifts += _shifts(node, here, _WRONG_A_STUDY / max(references, 1))
    return Drift(tuple(ordered), tuple(sorted(shifts, key=lambda shift: shift.number)))


def steady_before(runs: Sequence[DefaultRun], number: int, node: str, references: int) -> list[float]:
    """What the default was worth on a node since its last shift, before a reference of that number."""
    here = [r for r in runs if r.node == node and r.number < number and r.good is not None]
    here.sort(key=lambda run: (run.number, run.at_s))
    stretches = _stretches(here, _WRONG_A_STUDY / max(references, 1))
    return _goods(stretches[-1]) if stretches else []


def _shifts(node: str, runs: Sequence[DefaultRun], wrong: float) -> list[Shift]:
    found = []
    stretches = _stretches(runs, wrong)
    spread = _spread(stretches)
    for before, after in pairwise(stretches):
        half = 0.0 if spread is None else spread.half_width(2, 1 - wrong) * _error(before, after)
        changes = tuple(_change(before, after, place) for place in range(len(after[0].goods)))
        found.append(Shift(node, after[0].number, before[-1].at_s, after[0].at_s, changes, half, after[0].trial_id))
    return found


def _stretches(runs: Sequence[DefaultRun], wrong: float) -> list[list[DefaultRun]]:
    """The runs of one node between its shifts."""
    stretches: list[list[DefaultRun]] = []
    for _, group in groupby(runs, key=lambda run: run.number):
        reference = list(group)
        if not stretches or _is_shift(stretches, reference, wrong):
            stretches.append(reference)
        else:
            stretches[-1] += reference
    return stretches


def _is_shift(stretches: Sequence[Sequence[DefaultRun]], reference: Sequence[DefaultRun], wrong: float) -> bool:
    """``wrong``: how often that may be said of what is none."""
    before = stretches[-1]
    change = _mean(_goods(reference)) - _mean(_goods(before))
    spread = _spread([*stretches, reference])
    if abs(change) <= WORTH_A_LOOK or not is_settled(_goods(before), _goods(reference)) or spread is None:
        return False
    return 2 * spread.exceeds(abs(change), spread.deviation * _error(before, reference)) <= wrong


def _spread(stretches: Sequence[Sequence[DefaultRun]]) -> Spread | None:
    """Of one run, pooled over what lies between shifts; ``None`` without a repeat."""
    freedom = sum(len(stretch) - 1 for stretch in stretches)
    if freedom < 1:
        return None
    squares = math.fsum((good - _mean(_goods(s))) ** 2 for s in stretches for good in _goods(s))
    return Spread(math.sqrt(squares / freedom), freedom)


def _error(one: Sequence[DefaultRun], other: Sequence[DefaultRun]) -> float:
    """Of the difference of two means, in standard deviations of one run."""
    return math.sqrt(1 / len(one) + 1 / len(other))


def _change(before: Sequence[DefaultRun], after: Sequence[DefaultRun], place: int) -> float:
    """Of an objective that lacks a value before or after, none."""
    then, now = ([v for run in runs if (v := run.goods[place]) is not None] for runs in (before, after))
    return _mean(now) - _mean(then) if then and now else 0.0


def _goods(runs: Sequence[DefaultRun]) -> list[float]:
    return [run.good for run in runs if run.good is not None]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
