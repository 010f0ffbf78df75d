"""What is to be said of a study in which no trial came to its end, though some measured a part of their load."""

from __future__ import annotations

from collections.abc import Iterator

from autotuner.benchmark.list_plan import full_requests, levels, requests_after
from autotuner.errors import AutotunerError
from autotuner.report.text import duration, number, violations_text
from autotuner.results.records import RungRecord, TrialRecord, TrialState
from autotuner.results.result import StudyResults
from autotuner.results.scope import scope_text
from autotuner.scoring.select import select_closest

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
    rungs = results.study.fidelity.rungs
    return f"Trial {trial.trial_id} {stood} after rung {last.rung + 1} of {rungs}: a part of its load decides nothing."


def _whole_trial_s(results: StudyResults, trial: TrialRecord, last: RungRecord) -> float | None:
    """What the trial would have taken to its end, by the share of its requests that it has measured."""
    workload, fidelity = results.study.workload, results.study.fidelity
    try:
        every = levels(workload)
        full = sum(full_requests(workload, level) for level in every)
        sent = sum(requests_after(workload, level, last.rung, fidelity.rungs, fidelity.eta) for level in every)
    except AutotunerError:  # a trace that is not there any more
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
        f"By what was measured a whole trial takes about {duration(trial_s)}; the default, one other and {confirm} "
        f"confirmation rounds, one after another, about {duration(total_s)}"
        f"{': give at least ' + ' and '.join(asked) if asked else ''}."
    )
