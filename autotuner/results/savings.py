"""What each lever saved: an estimate of what would have been spent without it, from what was measured beside it.

A lever is a function in ``_LEVERS``: from what a study has measured to its Saving, ``None`` where there is nothing to
tell.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from autotuner.benchmark.traffic.list_plan import levels
from autotuner.engines import build_space
from autotuner.metrics.load_level import LoadLevel
from autotuner.results.records import LITTLE_LEFT, Phase, RungRecord, TrialRecord, TrialState
from autotuner.study.model import FindMaxLoad, Study


@dataclass(frozen=True)
class Saving:
    """``what`` was left out, ``count`` of them; seconds times GPUs or cores; ``estimated_from``: what the figure rests
    on, in words."""

    lever: str
    what: str
    count: int
    gpu_seconds: float
    cpu_seconds: float
    estimated_from: str


@dataclass(frozen=True)
class Measured:
    """What the levers look at.

    ``is_cut_by_budget``: trials that ran last were stopped because nothing was left. ``has_ended``: the study came to
    its end, and would have gone on had there been more to do. ``stop_reason``: why it did.
    """

    study: Study
    trials: Sequence[TrialRecord]
    rungs: Mapping[str, Sequence[RungRecord]]
    is_cut_by_budget: bool = False
    has_ended: bool = False
    stop_reason: str = ""

    def completed(self) -> Iterator[tuple[TrialRecord, Sequence[RungRecord]]]:
        """Trials of default and search that reached the last rung, each with its rungs."""
        for trial in self.trials:
            ended = self.rungs.get(trial.trial_id, ())
            if trial.phase.explores and trial.state is TrialState.COMPLETED and ended:
                yield trial, ended


def find_savings(measured: Measured) -> tuple[Saving, ...]:
    """Of all levers that left something out."""
    found = (lever(measured) for lever in _LEVERS)
    return tuple(saving for saving in found if saving is not None)


def _trials_stopped_early(measured: Measured) -> Saving | None:
    """Rungs that trials did not come to, since the trial scheduler stopped them.

    A trial that took m seconds of measuring up to its last rung is taken to have needed m × the median, over trials
    that came to their end, of what they took after that rung over what they took up to it.
    """
    ended = [rungs for _, rungs in measured.completed()]
    saved = []
    for trial in _stopped(measured):
        last = measured.rungs[trial.trial_id][-1]
        upto = [(rungs[last.rung].usage, rungs[-1].usage) for rungs in ended if len(rungs) > last.rung + 1]
        shares = [(whole.measuring_s - part.measuring_s) / part.measuring_s for part, whole in upto if part.measuring_s]
        if shares:
            saved.append((trial, last.usage.measuring_s * median(shares)))
    if not saved:
        return None
    source = f"what {len(ended)} trials that came to their end took after the rung at which these were stopped"
    return _saving("trials_stopped_early", "trials stopped before their last rung", saved, source)


def _stopped(measured: Measured) -> Iterator[TrialRecord]:
    """Those that the trial scheduler ended. Once a budget is spent no searched trial begins: what ended after the last
    began may have been stopped by that."""
    searched = [trial for trial in measured.trials if trial.phase is Phase.SEARCH]
    last_began = max((trial.started_at for trial in searched), default=math.inf)
    until = last_began if measured.is_cut_by_budget else math.inf
    for trial in searched:
        is_cut = bool(trial.message) or trial.ended_at is None or trial.ended_at > until
        if trial.state is TrialState.STOPPED and measured.rungs.get(trial.trial_id) and not is_cut:
            yield trial


def _levels_skipped(measured: Measured) -> Saving | None:
    """Load levels that trials which came to their end did not run, since a lower one was hopeless or broke an SLO.

    A search for the largest load asks each trial for levels of its own: there none is left out.

    Each is taken to have needed what it took in the median of the others: requests over their rate. A Config that was
    given up below it would have been slower.
    """
    if isinstance(measured.study.workload.load, FindMaxLoad):
        return None
    seconds = _seconds_by_level(measured)
    declared = levels(measured.study.workload)
    saved = []
    for trial, rungs in measured.completed():
        tried = {str(m.level) for rung in rungs for m in rung.measurements}
        tried |= {failure.level for rung in rungs for failure in rung.failures}
        skipped = [level for level in declared if str(level) not in tried and level in seconds]
        saved += [(trial, median(seconds[level])) for level in skipped]
    if not saved:
        return None
    return _saving("levels_skipped", "load levels above one that broke", saved, "the trials that measured these levels")


def _seconds_by_level(measured: Measured) -> dict[LoadLevel, list[float]]:
    found: dict[LoadLevel, list[float]] = {}
    for _, rungs in measured.completed():
        for measurement in rungs[-1].measurements:
            rate = measurement.metrics.get("requests_per_s", 0.0)
            if rate > 0:
                found.setdefault(measurement.level, []).append(measurement.requests / rate)
    return found


def _rounds_not_needed(measured: Measured) -> Saving | None:
    """Fresh runs of best and default that were left out, since they were told apart before ``search.confirm`` rounds.

    Each is taken to have cost what the median one did. Runs of further finalists, and repeats, are set against them.
    Where one came to no end, that may be why there were no more.
    """
    fresh = [trial for trial in measured.trials if trial.phase is Phase.CONFIRM]
    left_out = 2 * measured.study.search.confirm - len(fresh)
    may_be_short = measured.study.search.finalists is not None and measured.has_ended and not measured.is_cut_by_budget
    if not fresh or any(trial.state is not TrialState.COMPLETED for trial in fresh):
        return None
    if not may_be_short or left_out <= 0:
        return None
    middle = sorted(fresh, key=lambda trial: trial.usage.reserved_s)[len(fresh) // 2]
    saved = [(middle, middle.usage.reserved_s)] * left_out
    source = f"the median of {len(fresh)} fresh runs"
    return _saving("rounds_not_needed", "fresh runs of best and default that were not needed", saved, source)


def _trials_not_begun(measured: Measured) -> Saving | None:
    """Configs that ``search.stop`` left out: as many as ``search.trials`` and the space would still have let be tried.

    Each is taken to have cost what the median searched trial did, the stopped and the failed among them.
    """
    searched = [trial for trial in measured.trials if trial.phase is Phase.SEARCH]
    if not searched or not measured.stop_reason.startswith(LITTLE_LEFT):
        return None
    tried = sum(trial.is_counted for trial in measured.trials)
    in_space = build_space(measured.study).count().number
    left = min(measured.study.search.trials, math.inf if in_space is None else in_space) - tried
    if left <= 0:
        return None
    middle = sorted(searched, key=lambda trial: (trial.gpu_seconds, trial.cpu_seconds))[len(searched) // 2]
    saved = [(middle, middle.usage.reserved_s)] * int(left)
    source = f"the median of {len(searched)} searched trials"
    return _saving("trials_not_begun", "trials that search.stop left out", saved, source)


def _saving(lever: str, what: str, saved: Sequence[tuple[TrialRecord, float]], estimated_from: str) -> Saving:
    """Of the seconds for which each trial would have held its place longer."""
    return Saving(
        lever,
        what,
        count=len(saved),
        gpu_seconds=math.fsum(trial.held.gpus * seconds for trial, seconds in saved),
        cpu_seconds=math.fsum(trial.held.cpus * seconds for trial, seconds in saved),
        estimated_from=estimated_from,
    )


_LEVERS = (_trials_not_begun, _trials_stopped_early, _levels_skipped, _rounds_not_needed)
