"""StudyRun: joins the conductor to what happens: Ray Tune's calls come in, observers and store are told.

Its two faces towards Ray Tune, the searcher and the trial scheduler, are thin and live in
``ray_searcher.py`` and ``trial_schedulers.py``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from autotuner.errors import Failure
from autotuner.results.records import Phase, TrialEnd, TrialRecord, TrialState, Usage
from autotuner.servers.replay.clock import VirtualClock
from autotuner.space.config import Config
from autotuner.tuning.decisions.assignment import Assignment, RungReport
from autotuner.tuning.decisions.begin_at import begin_at
from autotuner.tuning.decisions.budget import Spent
from autotuner.tuning.decisions.capacity import misfit
from autotuner.tuning.decisions.conductor import Conductor
from autotuner.tuning.decisions.pause import Pause
from autotuner.tuning.decisions.placement_policy import Need, Node, Share
from autotuner.tuning.events import (
    ConfigsLeftOut,
    DefaultShifted,
    Event,
    NodeQuarantined,
    Observer,
    PhaseStarted,
    RankingChanged,
    RungEnded,
    TrialEnded,
    TrialRepeated,
    TrialStarted,
)
from autotuner.tuning.held_up import HeldUp
from autotuner.tuning.running_trial import RunningTrial
from autotuner.tuning.study_ports import NodeView, StudyStore
from autotuner.tuning.trial.rig import Clock

_TOLD_ALIVE_EVERY_S = 5.0
_LOST = "the trial's process died and could not be brought back"


class StudyRun:
    """One life of a study on the driver. Ray Tune names trials by ids of its own (``ray_id``)."""

    def __init__(
        self,
        conductor: Conductor,
        store: StudyStore,
        observers: Sequence[Observer],
        clock: Clock,
        need_of: Callable[[Config], Need],
        spent_before: Spent,
        heed_interrupts: Callable[[], None],
        cluster: NodeView | None = None,
        began_s: float | None = None,
        *,
        ray_places: bool = False,
        virtual: VirtualClock | None = None,
    ) -> None:
        """``need_of``: what a trial of this Config reserves. ``spent_before``: GPU-seconds of the study's earlier
        lives. ``heed_interrupts`` may raise. Without a ``cluster``, and where ``ray_places``, trials are placed by Ray.
        ``began_s``: when this life began, on ``clock``; by default now. ``virtual``: the clock, where trials themselves
        say how long they held their GPUs, and it follows them.
        """
        self._conductor = conductor
        self._store = store
        self._observers = observers
        self._clock = clock
        self._need_of = need_of
        self._began_s = clock.monotonic_s() if began_s is None else began_s
        self._told_alive_s = self._began_s
        self._gpu_s = spent_before.gpu_s
        self._heed_interrupts = heed_interrupts
        self._cluster = cluster
        self._ray_places = ray_places
        self._virtual = virtual
        self._running: dict[str, RunningTrial] = {}
        self._phases_told: set[Phase] = set()
        self._held_up = HeldUp(store, clock, self.tell)
        self._refused_told = 0
        self._misfits_told: set[str] = set()
        self._ranks_by_violation = False
        self._shifts_told = len(conductor.references.shifts())
        self.finished = False
        self.has_no_place = False

    @property
    def stop_reason(self) -> str:
        return self._conductor.stop_reason

    def spent(self) -> Spent:
        now = self._clock.monotonic_s()
        held = sum(self._held_s(r) * r.gpus for r in self._running.values())
        return Spent(wall_s=now - self._began_s, gpu_s=self._gpu_s + held)

    def next(self, ray_id: str) -> Assignment | Pause:
        """Ray Tune asks several times a second."""
        self._heed_interrupts()
        nodes = self._nodes()
        assignment = self._conductor.next(self.spent(), nodes)
        self._tell_of_refused()
        if isinstance(assignment, Pause):
            self.finished = assignment is Pause.FINISHED
            self.has_no_place = assignment is Pause.NO_PLACE
            if assignment is Pause.WAIT:
                self._tell_alive()
                self._look_for_waits(nodes)
            return assignment
        assignment = replace(assignment, begin_at=begin_at(assignment, self._conductor))
        if self._virtual is not None:
            assignment = replace(assignment, handed_out_s=self._virtual.epoch_s())
        need = self._need_of(assignment.config)
        now_s, used_s = self._clock.monotonic_s(), self._conductor.seconds_of(assignment.trial_id)
        self._running[ray_id] = RunningTrial(assignment, need, now_s, began_s=now_s, used_before_s=used_s)
        gpus, cpus = need.size
        accelerator = _accelerator(assignment, nodes or ())
        self._store.hand_out(
            TrialRecord(
                trial_id=assignment.trial_id,
                phase=assignment.phase,
                config=dict(assignment.config.values),
                started_at=self._clock.epoch_s(),
                gpus=gpus,
                cpus=round(cpus),
                accelerator=accelerator,
                node=self._names(assignment),
            )
        )
        if assignment.phase not in self._phases_told:
            self._phases_told.add(assignment.phase)
            self.tell(PhaseStarted(assignment.phase, _PHASE_MESSAGES[assignment.phase]))
        config = assignment.config.values
        self.tell(TrialStarted(assignment.trial_id, assignment.phase, config, gpus, accelerator, round(cpus)))
        return assignment

    def rung_ended(self, ray_id: str, report: RungReport) -> None:
        """Takes a report once: Ray repeats them after a trial moved to another actor."""
        running = self._running.get(ray_id)
        if running is not None and report.stopped:
            running.report = report
        if running is None or report.rung in running.rungs_seen:
            return
        running.rungs_seen.add(report.rung)
        running.report = report
        if report.changed is not None:
            running.assignment = replace(running.assignment, config=report.changed)
        if self._virtual is not None:
            self._virtual.advance_to(running.began_s + self._held_s(running))
        if report.to_repeat:
            return
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

    def stops(self, ray_id: str) -> None:
        """A trial was told to end after its last rung. It counts until its servers have ended."""
        if ray_id in self._running:
            self._running[ray_id].is_stopped = True

    def hold_gpus(self, ray_ids: Collection[str]) -> None:
        """These trials and no others have GPUs now, where Ray starts and pauses them as it likes."""
        now = self._clock.monotonic_s()
        for ray_id, running in self._running.items():
            trial_id = running.assignment.trial_id
            if ray_id not in ray_ids and running.since_s is not None:
                running.held_s, running.since_s = running.held_until(now), None
                self._store.pause(trial_id, running.held_s)
            elif ray_id in ray_ids and running.since_s is None:
                running.since_s = now
                self._store.go_on(trial_id, running.held_s)
        self._look_for_waits(None)

    def has_no_node(self, ray_id: str) -> bool:
        """Whether a node of a trial is gone. One that has not begun is then to be ended: Ray would wait for ever."""
        running = self._running.get(ray_id)
        return running is not None and self._lacks_a_node(running)

    def trial_ended(self, ray_id: str, *, actor_lost: bool) -> None:
        """A trial is over, as Ray Tune sees it; ``actor_lost``: its process, or a node of its, is gone."""
        running = self._running.pop(ray_id, None)
        if running is None:
            return
        actor_lost = actor_lost or (running.report is None and self._lacks_a_node(running))
        held_s = self._held_s(running)
        self._gpu_s += held_s * running.gpus
        usage = self._store.take_back(running.assignment.trial_id, held_s)
        if not self._is_repeated(running, actor_lost, held_s):
            self._close(running, actor_lost, held_s, usage)

    def tell(self, event: Event) -> None:
        for observer in self._observers:
            observer.on_event(event)

    def _held_s(self, running: RunningTrial) -> float:
        """Seconds for which a trial has held its GPUs in this life."""
        if self._virtual is None:
            return running.held_until(self._clock.monotonic_s())
        return 0.0 if running.report is None else running.report.usage.reserved_s - running.used_before_s

    def _tell_alive(self) -> None:
        now = self._clock.monotonic_s()
        if now - self._told_alive_s >= _TOLD_ALIVE_EVERY_S:
            self._told_alive_s = now
            self._store.note_alive()

    def _tell_of_refused(self) -> None:
        """Why proposals fit on no node, each reason once."""
        refused = self._conductor.refused[self._refused_told :]
        self._refused_told += len(refused)
        for config in refused:
            reason = misfit(self._need_of(config), self._conductor.seen)
            if reason is not None and reason not in self._misfits_told:
                self._misfits_told.add(reason)
                self.tell(ConfigsLeftOut(reason))

    # ── nodes ─────────────────────────────────────────────────────────────────────────────────

    def _nodes(self) -> Sequence[Node] | None:
        if self._cluster is None or self._ray_places:
            return None
        nodes = self._cluster.nodes(self._taken())
        for sick in self._conductor.newly_sick(nodes):
            name = self._cluster.name_of(sick.node_id)
            self._store.add_quarantine(name, sick.reason)
            self.tell(NodeQuarantined(name, sick.reason))
        return nodes

    def _taken(self) -> Mapping[str, Sequence[Share]]:
        """What the running trials hold, by node."""
        taken: dict[str, list[Share]] = defaultdict(list)
        for running in self._running.values():
            for node_id, share in zip(running.assignment.nodes, running.need.shares, strict=True):
                taken[node_id].append(share)
        return taken

    def _look_for_waits(self, nodes: Sequence[Node] | None) -> None:
        cluster = self._cluster

        def find() -> Need | None:
            if cluster is None or nodes is None:
                return None if cluster is None else cluster.held_up_in_ray()
            return self._conductor.held_up(self.spent(), nodes, cluster.unshared(self._taken()))

        self._held_up.look(find, lambda need: () if cluster is None else cluster.holders(need))

    def _lacks_a_node(self, running: RunningTrial) -> bool:
        cluster = self._cluster
        return cluster is not None and not all(map(cluster.is_alive, running.assignment.nodes))

    def _names(self, assignment: Assignment) -> str:
        if self._cluster is None:
            return ""
        return ", ".join(self._cluster.name_of(node_id) for node_id in assignment.nodes)

    # ── ends ──────────────────────────────────────────────────────────────────────────────────

    def _is_repeated(self, running: RunningTrial, actor_lost: bool, held_s: float) -> bool:
        """Has a trial started again that was handed back, or whose process was lost before it had ended."""
        report, assignment = running.report, running.assignment
        handed_back = report is not None and report.to_repeat
        is_lost = actor_lost and not running.is_stopped and not (report is not None and report.is_final)
        if not handed_back and not is_lost:
            return False
        failure = report.failure if handed_back and report is not None else None
        if not self._conductor.repeats(assignment.trial_id, failure):
            return False
        message = report.message if handed_back and report is not None else "its process, or its node, is gone"
        where = self._names(assignment)
        self.tell(TrialRepeated(assignment.trial_id, failure, message, where, *running.seconds(held_s)))
        return True

    def _close(self, running: RunningTrial, actor_lost: bool, held_s: float, usage: Usage) -> None:
        report, assignment = running.report, running.assignment
        state, failure, message = _how_it_ended(report, actor_lost and not running.is_stopped)
        if actor_lost or report is None or not report.is_final:
            self._store.end_trial(TrialEnd(assignment.trial_id, state, self._clock.epoch_s(), usage, failure, message))
        self._conductor.trial_ended(assignment.trial_id, state, failure)
        self.tell(
            TrialEnded(
                assignment.trial_id,
                assignment.phase,
                assignment.config.values,
                state,
                failure,
                message,
                self._conductor.score_of(assignment.trial_id),
                *running.seconds(held_s),
            )
        )
        if assignment.phase is Phase.REFERENCE:
            shifts = self._conductor.references.shifts()
            for shift in shifts[self._shifts_told :]:
                self.tell(DefaultShifted(shift))
            self._shifts_told = len(shifts)
        if self._conductor.ranks_by_violation != self._ranks_by_violation:
            self._ranks_by_violation = not self._ranks_by_violation
            self.tell(RankingChanged(assignment.trial_id, self._ranks_by_violation))


_PHASE_MESSAGES = {
    Phase.NODE_CHECK: "measuring the default on each of several like nodes, to see that none is slow",
    Phase.BASELINE: "measuring the default first",
    Phase.REFERENCE: "measuring the default again beside the search, to see whether anything drifts",
    Phase.SEARCH: "searching",
    Phase.PUT_BACK: "measuring the best with settings put back to the default that seem to do nothing",
    Phase.CONFIRM: "confirming: finalists and default afresh, in turn",
}


def _how_it_ended(report: RungReport | None, actor_lost: bool) -> tuple[TrialState, Failure | None, str]:
    if report is not None and report.failure is not None:
        return TrialState.FAILED, report.failure, report.message
    if report is not None and report.last:
        return TrialState.COMPLETED, None, ""
    if actor_lost:
        return TrialState.FAILED, Failure.INFRASTRUCTURE, _LOST
    return TrialState.STOPPED, None, report.message if report else ""


def _accelerator(assignment: Assignment, nodes: Sequence[Node]) -> str:
    """The GPU type of the nodes that the trial goes to."""
    return next((node.accelerator for node in nodes if node.node_id in assignment.nodes), "")
