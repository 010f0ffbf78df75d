"""Progress on a terminal: a live table on a tty, a line an event elsewhere. Both on standard error."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from autotuner.report.facts.finalists import gain_text
from autotuner.report.facts.spending import spent_text
from autotuner.report.facts.waiting import wait_text, waits_text
from autotuner.report.facts.worth import choice_text
from autotuner.report.progress import Progress
from autotuner.report.text import config_text, duration
from autotuner.results.records import TrialState
from autotuner.results.scope import scope_text
from autotuner.scoring.score import Score
from autotuner.tuning.events import (
    ConfigsLeftOut,
    DefaultShifted,
    Event,
    NodeQuarantined,
    Observer,
    PhaseStarted,
    RankingChanged,
    RungEnded,
    StudyEnded,
    StudyStarted,
    TrialEnded,
    TrialRepeated,
    TrialStarted,
    Waiting,
)

_MOST_RUNNING = 12
_ALWAYS_SHOWN = (
    StudyStarted,
    ConfigsLeftOut,
    PhaseStarted,
    RankingChanged,
    TrialRepeated,
    NodeQuarantined,
    DefaultShifted,
    Waiting,
    StudyEnded,
)


def make_progress(stream: TextIO | None = None) -> Observer:
    """The observer that fits ``stream`` (standard error by default)."""
    out = stream or sys.stderr
    return LiveProgress(Console(file=out)) if out.isatty() else LineProgress(out)


class LineProgress:
    """One line an event, for logs and pipes."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._progress = Progress(clock)

    def on_event(self, event: Event) -> None:
        self._progress.see(event)
        line = " ".join(event_line(event, self._progress).split())
        with contextlib.suppress(OSError):  # a reader that went away must not end the study
            print(f"[{duration(self._progress.elapsed_s):>12}] {line}", file=self._stream, flush=True)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


class LiveProgress:
    """A table that is drawn anew twice a second; ended trials that matter scroll by above it."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._progress = Progress(clock)
        self._live = Live(console=console, refresh_per_second=2, get_renderable=self._render, transient=True)
        self._is_open = False

    def on_event(self, event: Event) -> None:
        if not self._is_open:
            self._live.start()
            self._is_open = True
        best = self._progress.best
        self._progress.see(event)
        is_new_best = self._progress.best is not best
        is_failure = isinstance(event, TrialEnded) and event.state is TrialState.FAILED
        if is_failure or is_new_best or isinstance(event, _ALWAYS_SHOWN):
            style = "red" if is_failure else "green" if is_new_best else ""
            self._live.console.print(Text(event_line(event, self._progress), style=style))

    def close(self) -> None:
        """Leaves the screen clean; idempotent."""
        if self._is_open:
            self._is_open = False
            self._live.stop()

    def _render(self) -> RenderableType:
        return Group(_head(self._progress), _running_table(self._progress))


def event_line(event: Event, progress: Progress) -> str:
    """The event in one line of words."""
    match event:
        case StudyStarted():
            resumed = f", {event.resumed_trials} ended before" if event.resumed_trials else ""
            return (
                f"study {event.name}: {event.trials} trials of {event.rungs} rungs{resumed}, "
                f"{at_a_time(event)}, {event.objective} ({event.direction}), into {event.out_dir}"
            )
        case ConfigsLeftOut():
            return f"left out: {event.reason}"
        case PhaseStarted():
            return f"{event.phase.value}: {event.message}"
        case TrialStarted():
            return f"trial {event.trial_id} started ({event.phase.value}): {config_text(event.config)}"
        case RungEnded():
            return f"trial {event.trial_id} rung {event.rung}: {score_text(event.score, progress)}"
        case TrialEnded():
            cut = f" ({event.message})" if event.message and event.state is TrialState.STOPPED else ""
            why = f" {event.failure.value}: {event.message}" if event.failure else cut
            best = " — best so far" if progress.best is not None and progress.best[0] == event.trial_id else ""
            told = f", {score_text(event.score, progress)}" if event.score is not None and event.failure is None else ""
            return f"trial {event.trial_id} {event.state.value}{why}{told}{best}"
        case RankingChanged(by_violation=True):
            return "no trial meets the SLOs yet: until one does they rank by how far they are over them, not by score"
        case RankingChanged():
            return f"trial {event.trial_id} meets the SLOs: those that do rank by score from now on, before all others"
        case TrialRepeated():
            why = f"{event.failure.value}: {event.message}" if event.failure else event.message
            where = f" on {event.node}" if event.node else ""
            return f"trial {event.trial_id} is started again after it failed{where}: {why}"
        case NodeQuarantined():
            return f"node {event.node} gets no more trials: {event.reason}"
        case DefaultShifted():
            where = f" on {event.shift.node}" if event.shift.node else ""
            changed = gain_text(event.shift.ratio, event.shift.ci95)
            return f"the machine did not stay as it was: the default's {event.shift.metric}{where} changed by {changed}"
        case Waiting():
            return waits_text(event.waits)
        case StudyEnded():
            return f"study ended: {event.stop_reason}; spent: {spent_text(progress.account)}"


def at_a_time(study: StudyStarted) -> str:
    """How many trials fit at once; larger Configs than the default are fewer, smaller ones more."""
    types = ", ".join(f"{count} on {name}" for name, count in study.concurrent_by_type.items())
    return f"up to {study.concurrent_trials} of the default's size at a time" + (f" ({types})" if types else "")


def score_text(score: Score, progress: Progress) -> str:
    """What the rung is worth, at the load point that would be chosen of it."""
    choice = progress.chosen(score)
    if not score.feasible or choice is None:
        return f"infeasible{f' ({score.reason})' if score.reason else ''}"
    scope = scope_text(choice.level, [p.level for p in score.points])
    return choice_text(choice, next(iter(score.objectives)), scope)


def _head(progress: Progress) -> RenderableType:
    total = progress.study.trials if progress.study else 0
    left = progress.left_s
    states = ", ".join(f"{count} {state.value}" for state, count in sorted(progress.ended.items()))
    lines = Table.grid(padding=(0, 2))
    lines.add_row(
        Text("trials", style="dim"),
        ProgressBar(total=max(1, total), completed=progress.trials_ended, width=30),
        Text(f"{progress.trials_ended}/{total}  {states}"),
    )
    lines.add_row(
        Text("spent", style="dim"),
        Text("–" if left is None else f"about {duration(left)} left"),
        Text(spent_text(progress.account)),
    )
    for wait in progress.waits:
        lines.add_row(Text("waits", style="dim"), "", Text(wait_text(wait), style="yellow"))
    if progress.best is not None:
        trial_id, score = progress.best
        lines.add_row(
            Text("best", style="dim"), Text(f"trial {trial_id}", style="green"), Text(score_text(score, progress))
        )
    return lines


def _running_table(progress: Progress) -> RenderableType:
    table = Table(box=None, header_style="dim", padding=(0, 2))
    for heading in ("running", "phase", "rung", "for", "last score"):
        table.add_column(heading)
    rungs = progress.study.rungs if progress.study else 0
    now = progress.clock()
    for trial_id, trial in list(progress.running.items())[:_MOST_RUNNING]:
        table.add_row(
            Text(trial_id),
            trial.phase.value,
            f"{trial.rungs_ended + 1}/{rungs}" if trial.rungs_ended < rungs else f"{rungs}/{rungs}",
            duration(now - trial.started_s),
            Text(score_text(trial.score, progress) if trial.score else "–"),
        )
    return table
