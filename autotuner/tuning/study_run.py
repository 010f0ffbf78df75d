"""StudyRun: joins the conductor to what happens: Ray Tune's calls come in, observers and store are told.

Its two faces towards Ray Tune, the searcher and the trial scheduler, are thin and live in
``ray_searcher.py`` and ``trial_schedulers.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from autotuner.errors import Failure
from autotuner.results.records import Phase, TrialEnd, TrialState, Usage
from autotuner.space.config import Config
from autotuner.tuning.assignment import Assignment, RungReport
from autotuner.tuning.budget import Spent
from autotuner.tuning.conductor import Conductor, Pause
from autotuner.tuning.events import Event, Observer, PhaseStarted, RungEnded, TrialEnded, TrialStarted
from autotuner.tuning.rig import Clock
from autotuner.tuning.trial_store import TrialStore


@dataclass
class _Running:
    assignment: Assignment
    since_s: float
    gpus: int
    report: RungReport | None = None
    rungs_seen: set[int] = field(default_factory=set)


class StudyRun:
    """One life of a study on the driver. Ray Tune names trials by ids of its own (``ray_id``)."""

    def __init__(
        self,
        conductor: Conductor,
        store: TrialStore,
        observers: Sequence[Observer],
        clock: Clock,
        gpus_of: Callable[[Config], int],
        spent_before: Spent,
        heed_interrupts: Callable[[], None],
    ) -> None:
        """``gpus_of``: GPUs that a trial of this Config reserves. ``spent_before``: GPU-seconds of the study's
        earlier lives. ``heed_interrupts`` may raise.
        """
        self._conductor = conductor
        self._store = store
        self._observers = observers
        self._clock = clock
        self._gpus_of = gpus_of
        self._started_s = clock.monotonic_s()
        self._gpu_s = spent_before.gpu_s
        self._heed_interrupts = heed_interrupts
        self._running: dict[str, _Running] = {}
        self._phase: Phase | None = None
        self.finished = False

    @property
    def stop_reason(self) -> str:
        return self._conductor.stop_reason

    def spent(self) -> Spent:
        now = self._clock.monotonic_s()
        held = sum((now - r.since_s) * r.gpus for r in self._running.values())
        return Spent(wall_s=now - self._started_s, gpu_s=self._gpu_s + held)

    def next(self, ray_id: str) -> Assignment | Pause:
        self._heed_interrupts()
        assignment = self._conductor.next(self.spent())
        if isinstance(assignment, Pause):
            self.finished = assignment is Pause.FINISHED
            return assignment
        self._running[ray_id] = _Running(assignment, self._clock.monotonic_s(), self._gpus_of(assignment.config))
        if assignment.phase is not self._phase:
            self._phase = assignment.phase
            self.tell(PhaseStarted(assignment.phase, _PHASE_MESSAGES[assignment.phase]))
        self.tell(TrialStarted(assignment.trial_id, assignment.phase, assignment.config.values))
        return assignment

    def rung_ended(self, ray_id: str, report: RungReport) -> None:
        """Takes a report once: Ray repeats them after a trial moved to another actor."""
        running = self._running.get(ray_id)
        if running is None or report.rung in running.rungs_seen:
            return
        running.rungs_seen.add(report.rung)
        running.report = report
        self._conductor.rung_ended(report)
        if report.score is not None and report.failure is None:
            assignment = running.assignment
            self.tell(
                RungEnded(
                    report.trial_id,
                    assignment.phase,
                    assignment.config.values,
                    report.rung,
                    report.score,
                    report.metrics,
                )
            )

    def must_stop(self, report: RungReport) -> bool:
        return self._conductor.must_stop(report.trial_id, self.spent())

    def trial_ended(self, ray_id: str, *, actor_lost: bool) -> None:
        """A trial is over, as Ray Tune sees it. ``actor_lost``: its actor died more often than is retried."""
        running = self._running.pop(ray_id, None)
        if running is None:
            return
        held_s = self._clock.monotonic_s() - running.since_s
        self._gpu_s += held_s * running.gpus
        state, failure, message = _how_it_ended(running.report, actor_lost)
        trial_id = running.assignment.trial_id
        report = running.report
        if state is TrialState.STOPPED or actor_lost:
            usage = report.usage if report else Usage(reserved_s=held_s)
            self._store.end_trial(TrialEnd(trial_id, state, self._clock.epoch_s(), usage, failure, message))
        self._conductor.trial_ended(trial_id, state, failure)
        self.tell(
            TrialEnded(
                trial_id,
                running.assignment.phase,
                running.assignment.config.values,
                state,
                failure,
                message,
                self._conductor.score_of(trial_id),
                report.metrics if report else {},
                gpu_seconds=(report.usage.reserved_s * report.gpus) if report else held_s * running.gpus,
                cpu_seconds=(report.usage.reserved_s * report.cpus) if report else 0.0,
            )
        )

    def tell(self, event: Event) -> None:
        for observer in self._observers:
            observer.on_event(event)


_PHASE_MESSAGES = {
    Phase.BASELINE: "measuring the default first",
    Phase.SEARCH: "searching",
    Phase.CONFIRM: "confirming: best and default afresh, in turn",
}


def _how_it_ended(report: RungReport | None, actor_lost: bool) -> tuple[TrialState, Failure | None, str]:
    if report is not None and report.failure is not None:
        return TrialState.FAILED, report.failure, report.message
    if report is not None and report.last:
        return TrialState.COMPLETED, None, ""
    if actor_lost:
        return TrialState.FAILED, Failure.INFRASTRUCTURE, "the trial's process died and could not be brought back"
    return TrialState.STOPPED, None, report.message if report else ""
