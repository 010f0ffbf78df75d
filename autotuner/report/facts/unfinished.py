"""What is to be said of a study that its budget ended: how far it came, and what budget would have been enough.

Either no trial came to its end, though some measured a part of their load; or some did, and others never began.
"""

from __future__ import annotations

from collections.abc import Iterator

from autotuner.benchmark import cuts_by_levels, full_requests, levels, rungs_of
from autotuner.benchmark.traffic.list_plan import requests_after
from autotuner.errors import AutotunerError
from autotuner.report.text import duration, number, violations_text
from autotuner.results.records import Phase, RungRecord, TrialRecord, TrialState
from autotuner.results.result import StudyResults
from autotuner.results.scope import scope_text
from autotuner.scoring.select import select_closest
from autotuner.tuning.decisions.budget import STUDYS_END
from autotuner.tuning.decisions.study_cost import most_launches

_MOST_TOLD = 3


def cut_trials(results: StudyResults) -> list[TrialRecord]:
    """Trials of baseline and search that were stopped, or run; empty where one has completed."""
    explored = [trial for trial in results.trial_records if trial.phase.explores]
    if any(trial.state is TrialState.COMPLETED for trial in explored):
        return []
    return [trial for trial in explored if trial.state in (TrialState.STOPPED, TrialState.RUNNING)]


def unfinished_lines(results: StudyResults) -> Iterator[str]:
    """How far they came, and what budget would have been enough."""
    cut = cut_trials(results)
    measured = [(trial, ended[-1]) for trial in cut if (ended := results.rung_records.get(trial.trial_id))]
    measured.sort(key=lambda pair: pair[1].score.merit(), reverse=True)
    for trial, last in measured[:_MOST_TOLD]:
        yield _how_far(results, trial, last)
    if not measured and cut:
        longest = max(cut, key=lambda trial: trial.usage.reserved_s)
        yield f"None ended its first rung; trial {longest.trial_id} ran for {duration(longest.usage.reserved_s)}."
    needed = [found for trial, last in measured if (found := _whole_trial_s(results, trial, last)) is not None]
    if needed:
        yield _enough(results, max(needed), max(trial.held.gpus for trial, _ in measured))


def _how_far(results: StudyResults, trial: TrialRecord, last: RungRecord) -> str:
    choice = select_closest({trial.trial_id: last.score}, results.objective, results.study.search.select)
    if choice is None or not choice.feasible:
        stood = "was infeasible"
    else:
        at = scope_text(choice.level, [m.level for m in last.measurements])
        stood = f"met the SLOs ({at})" if choice.slo_met else f"violated {violations_text(choice)} ({at})"
    rungs = rungs_of(results.study)
    return f"Trial {trial.trial_id} {stood} after rung {last.rung + 1} of {rungs}: a part of its load decides nothing."


def _whole_trial_s(results: StudyResults, trial: TrialRecord, last: RungRecord) -> float | None:
    """What the trial would have taken to its end, by the share of its requests that it has measured."""
    workload, fidelity = results.study.workload, results.study.fidelity
    try:
        every = levels(workload)
        full = sum(full_requests(workload, level) for level in every)
        if cuts_by_levels(results.study):
            sent = sum(full_requests(workload, measurement.level) for measurement in last.measurements)
        else:
            sent = sum(requests_after(workload, level, last.rung, fidelity.rungs, fidelity.eta) for level in every)
    except AutotunerError:  # a trace that is not there any more
        return None
    if not sent:
        return None
    return trial.usage.loading_s + max(0.0, last.usage.reserved_s - last.usage.loading_s) * full / sent


def _enough(results: StudyResults, trial_s: float, gpus: int) -> str:
    """For the default, one more trial, and the confirmation of both."""
    confirm, budget = results.study.search.confirm, results.study.budget
    total_s = trial_s * (2 + 2 * confirm)
    asked = []
    if budget.wall_clock_h is not None:
        asked.append(f"budget.wall_clock_h: {number(total_s / 3600)}")
    if budget.gpu_hours is not None and gpus:
        asked.append(f"budget.gpu_hours: {number(gpus * total_s / 3600)}")
    return (
        f"By what was measured a whole trial takes about {duration(trial_s)}; the default, one other and up to "
        f"{confirm} confirmation rounds, one after another, about {duration(total_s)}"
        f"{': give at least ' + ' and '.join(asked) if asked else ''}."
    )


def left_out_lines(results: StudyResults) -> Iterator[str]:
    """Of a study that its budget ended after some trials: what was never tried, and what would have been enough."""
    if not results.is_cut_by_budget or cut_trials(results):
        return
    explored = [t for t in results.trial_records if t.phase.explores and t.is_counted and t.state.is_terminal]
    cut = sum(map(_is_cut, explored))
    planned = results.study.search.trials
    not_begun = max(0, planned - len(explored))
    left = [f"{n} {'was' if n == 1 else 'were'} {what}" for n, what in ((cut, "cut"), (not_begun, "not begun")) if n]
    if left:
        told = " and ".join(left)
        yield f"Of {planned} trials {told}: the study ended before ({results.stop_reason})."
    to_go = _confirmations_to_go(results, searched=bool(left))
    yield from _enough_for_all(results, cut + not_begun, to_go)


def _is_cut(trial: TrialRecord) -> bool:
    """Whether the study's end was its end, and neither a trial scheduler nor its own time."""
    return trial.state is TrialState.STOPPED and STUDYS_END in trial.message


def _confirmations_to_go(results: StudyResults, *, searched: bool) -> int:
    """At most; none where the search has ended with the default as its best."""
    best, default = results.best, results.baseline
    if not searched and (best is None or default is None or best.trial_id == default.trial_id):
        return 0
    ended = sum(t.phase is Phase.CONFIRM and t.state.is_terminal for t in results.trial_records)
    return max(0, most_launches(results.study, None).confirming - ended)


def _enough_for_all(results: StudyResults, searched: int, confirming: int) -> Iterator[str]:
    """By the pace so far, which counts what ran side by side as that."""
    ended = [t for t in results.all_records if t.state.is_terminal and not _is_cut(t)]
    account, budget, to_go = results.account, results.study.budget, searched + confirming
    began_at = account.lives[-1].began_at if account.lives else 0.0
    here = sum((t.ended_at or 0.0) >= began_at for t in ended)
    asked = []
    if budget.wall_clock_h is not None and here and account.last_wall_clock_s:
        asked.append(("wall_clock_h", account.last_wall_clock_s * (1 + to_go / here)))
    if budget.gpu_hours is not None and ended and account.gpu_s:
        asked.append(("gpu_hours", account.gpu_s * (1 + to_go / len(ended))))
    if not asked or not to_go:
        return
    needs = " and ".join(f"budget.{key}: {number(seconds / 3600)}" for key, seconds in asked)
    trials = [f"{searched} more trial{'s' if searched > 1 else ''}"] if searched else []
    trials += [f"up to {confirming} confirmations"] if confirming else []
    yield f"At the pace so far {' and '.join(trials)} would have needed about {needs} in all."
