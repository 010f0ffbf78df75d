"""Probing: at which load level a trial begins, and when what it shows there is reason enough to end it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.results.records import Phase, RungRecord
from autotuner.scoring import Aggregate, Direction, Objective, PointScore, Score
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.followed_trial import Followed
from autotuner.tuning.decisions.incumbent import Fair, as_measured, incumbent
from autotuner.tuning.decisions.rules import Rules

# Two launches of one Config differ by 8 % in one case of ten on a small machine, which no interval of a single launch
# can tell: less than this is never clear.
CLEAR_RATIO = 0.9


class Probing:
    """What trials are told of the incumbent when they start, and which of them are behind it for sure."""

    def __init__(self, trials: Mapping[str, Followed], rules: Rules, fair: Fair = as_measured) -> None:
        self._trials = trials
        self._rules = rules
        self._fair = fair

    def begin(self, assignment: Assignment) -> Assignment:
        """A trial that starts, with the level that it begins at: the incumbent's best; before there is an incumbent,
        and where its score is of no single level, ``first_level``. One that is gone on with keeps its own.

        What is measured for its own sake, the default or a confirmation, has nothing to beat.
        """
        if not self._rules.levels:
            return assignment
        best = incumbent(self._trials, self._rules, self._fair)
        first = first_level(self._rules.levels, self._rules.objectives[0])
        probe = assignment.probe or (best.level if best is not None else None) or first
        to_beat = best.merit if best is not None and assignment.phase is Phase.SEARCH else None
        return replace(assignment, probe=probe, to_beat=to_beat)

    def is_clearly_worse(self, trial: Followed) -> bool:
        """Whether a searched trial has shown enough to be ended, by the incumbent as it is now."""
        if not self._rules.levels or not self._rules.stops_early or trial.assignment.phase is not Phase.SEARCH:
            return False
        best = incumbent(self._trials, self._rules, self._fair)
        if best is None or not trial.scores:
            return False
        against = self._fair(self._trials[best.trial_id])
        return is_clearly_worse(self._fair(trial), against, best.level, self._rules.objectives[0])


def first_level(levels: Sequence[LoadLevel], objective: Objective) -> LoadLevel:
    """Where nothing is known of the best: the middle level, of two the higher one, which is the least far from
    wherever it may be. An objective that averages its levels begins with the highest, which weighs the most."""
    ordered = sorted(levels)
    return ordered[-1] if objective.aggregate is Aggregate.MEAN else ordered[len(ordered) // 2]


def begun_with(records: Sequence[RungRecord]) -> LoadLevel | None:
    """The level of a trial's first rung, measured or failed; ``None`` where none has ended."""
    first = next((record for record in records if record.rung == 0), None)
    if first is None:
        return None
    if first.measurements:
        return first.measurements[0].level
    if not first.failures:
        return None
    kind, _, value = first.failures[0].level.rpartition(" ")
    return LoadLevel(LoadKind(kind), float(value))


def is_clearly_worse(trial: Score, incumbent: Score, level: LoadLevel | None, objective: Objective) -> bool:
    """Whether a trial is behind the incumbent at the incumbent's best level by more than chance can do.

    The nearer ends of both 95 % intervals must be ``CLEAR_RATIO`` apart. Never where an interval can't be had, where
    the incumbent does not meet its SLOs, or where the objective averages its levels, of which one says little.
    """
    mine, best = _point(trial, level, objective), _point(incumbent, level, objective)
    if objective.aggregate is not Aggregate.BEST or mine is None or best is None or not best.slo_met:
        return False
    if mine.interval is None or best.interval is None:
        return False
    if objective.direction is Direction.MAX:
        return mine.interval[1] < CLEAR_RATIO * best.interval[0]
    return best.interval[1] < CLEAR_RATIO * mine.interval[0]


def _point(score: Score, level: LoadLevel | None, objective: Objective) -> PointScore | None:
    return next((p for p in score.points if p.level == level and p.objective == objective.name), None)
