"""Where a study stands, for a terminal: a few lines and a table of what runs. Escape sequences of others stay text."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from autotuner.report.facts.spending import lives_text, spent_text
from autotuner.report.facts.waiting import wait_text
from autotuner.report.facts.worth import choice_text, score_text
from autotuner.report.text import config_text, duration
from autotuner.results.driver import Driver, DriverState
from autotuner.results.progress import Doing, RunningTrial, StudyProgress
from autotuner.results.standing import Standing
from autotuner.scoring.score import Score

_MOST_RUNNING = 40
_STYLES = {
    Standing.RUNNING: "green",
    Standing.COMPLETED: "green",
    Standing.DRIVER_DEAD: "red",
    Standing.INTERRUPTED: "yellow",
    Standing.UNKNOWN: "yellow",
    Standing.COPY: "yellow",
}


def standing_view(progress: StudyProgress) -> RenderableType:
    """What ``autotuner status`` prints."""
    lines = Table.grid(padding=(0, 2))
    for name, text, style in _lines(progress):
        lines.add_row(Text(name, style="dim"), Text(text, style=style))
    return Group(lines, _running_table(progress)) if progress.running else lines


def standing_text(progress: StudyProgress) -> str:
    """The study's standing in one line, with what there is to do about it."""
    driver = progress.driver
    match progress.standing:
        case Standing.NOT_BEGUN:
            return "not begun: nothing is stored yet, and no driver runs"
        case Standing.STARTING:
            return f"starting: nothing is stored yet; {_driver_text(driver)}"
        case Standing.RUNNING:
            return f"running; {_driver_text(driver)}"
        case Standing.UNKNOWN:
            return f"not ended; {_driver_text(driver)}: unknown from here whether it lives, {_activity(progress)}"
        case Standing.COPY:
            return _copy_text(progress)
        case Standing.DRIVER_DEAD:
            how = f"go on with: autotuner resume {shlex.quote(str(progress.path))}"
            return f"{_driver_text(driver)} is dead, {_activity(progress)}; {how}"
        case Standing.INTERRUPTED:
            return f"interrupted; go on with: autotuner resume {shlex.quote(str(progress.path))}"
        case Standing.COMPLETED:
            return f"completed: {progress.stop_reason}"


def _copy_text(progress: StudyProgress) -> str:
    copy = progress.fetched
    if copy is None:
        return "a copy"
    taken = duration(progress.at - copy.at)
    return (
        f"a copy of the study of job {copy.job}, taken {taken} ago while that ran ({copy.job_status}); the rest comes "
        f"with: {copy.fetch_again(progress.path)}"
    )


def _lines(progress: StudyProgress) -> Iterator[tuple[str, str, str]]:
    yield "study", f"{progress.name} ({progress.path})", "bold"
    yield "state", standing_text(progress), _STYLES.get(progress.standing, "")
    if progress.replayed:
        yield "", progress.replayed, "yellow"
    for wait in progress.waits:
        yield "waits", f"{wait_text(wait)}; for {duration(progress.at - wait.since)} by now", "yellow"
    if progress.phase is None:
        return
    if progress.standing.goes_on:
        yield "phase", progress.phase.value, ""
    yield "trials", _trials_text(progress), ""
    if progress.failures:
        yield "failures", ", ".join(f"{count} {kind}" for kind, count in progress.failures.items()), "red"
    best = progress.best
    if best is not None:
        scored = f"{progress.objective} score"
        told = choice_text(best, progress.objective, progress.best_scope, scored=scored)
        yield "best so far", f"trial {best.trial_id}: {told}", ""
        if progress.ranks_by_violation:
            yield "", "no trial meets the SLOs yet: they rank by how far they are over them, not by score", "yellow"
        yield "", config_text(progress.best_config or {}), "dim"
    for quarantine in progress.quarantines:
        yield "quarantined", f"node {quarantine.node}: {quarantine.reason}", "yellow"
    limits = {"wall_clock_limit_s": progress.wall_clock_limit_s, "gpu_limit_s": progress.gpu_limit_s}
    yield "spent", spent_text(progress.account, **limits), ""
    if lives := lives_text(progress.account):
        yield "", lives, "dim"
    if progress.left_s is not None:
        yield "left", f"about {duration(progress.left_s)} at the pace so far", ""


def _trials_text(progress: StudyProgress) -> str:
    ended = sum(count for state, count in progress.trials.items() if state.is_terminal) - progress.not_counted
    states = [f"{count} {state.value}" for state, count in progress.trials.items() if count]
    text = f"{ended} of {progress.trials_planned} ended" + (f" ({', '.join(states)})" if states else "")
    if progress.not_counted:
        text += f"; {progress.not_counted} of the failed are not counted: the load driver was too slow for them"
    done, planned = progress.confirmations
    return f"{text}; {done} of at most {planned} confirmations" if done or _confirms(progress) else text


def _confirms(progress: StudyProgress) -> bool:
    return any(trial.phase.value == "confirm" for trial in progress.running)


def _driver_text(driver: Driver) -> str:
    if driver.owner is None:
        return "its driver"
    where = f"process {driver.owner.pid}"
    return f"driver {where}" if driver.owner.is_here else f"driver {where} on another host, {driver.owner.host}"


def _activity(progress: StudyProgress) -> str:
    if progress.last_activity_at is None:
        return "no activity yet"
    return f"last activity {duration(progress.at - progress.last_activity_at)} ago"


def _running_table(progress: StudyProgress) -> RenderableType:
    lives = progress.driver.state is not DriverState.DEAD
    told = "ran when copied" if progress.standing is Standing.COPY else "running" if lives else "was running"
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for heading in (told, "phase", "doing", "rung", "score", "for", "active", "node", "GPUs"):
        table.add_column(heading, no_wrap=heading != "score")
    table.add_column("config")
    for trial in progress.running[:_MOST_RUNNING]:
        table.add_row(*map(Text, _cells(trial, progress)))
    more = len(progress.running) - _MOST_RUNNING
    return table if more <= 0 else Group(table, Text(f"and {more} more", style="dim"))


def _cells(trial: RunningTrial, progress: StudyProgress) -> tuple[str, ...]:
    gpus = f"{trial.gpus} × {trial.accelerator}" if trial.gpus and trial.accelerator else str(trial.gpus)
    return (
        trial.trial_id,
        trial.phase.value,
        trial.doing.value,
        f"{trial.rungs_ended} of {progress.rungs}",
        _score(trial.score),
        "–" if trial.doing is Doing.WAITING else duration(trial.running_s),
        f"{duration(progress.at - trial.last_activity_at)} ago",
        trial.node or "–",
        gpus,
        config_text(trial.config),
    )


def _score(score: Score | None) -> str:
    if score is None:
        return "–"
    return score_text(score) + ("" if score.slo_met or not score.feasible else " (SLOs not met)")
