"""What observers and store hear while a study runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from autotuner.errors import Failure
from autotuner.results import OutputFolder, resolved_yaml
from autotuner.results.records import Hold, Phase, StudyStatus, TrialRecord, TrialState
from autotuner.results.waits import Holder, Wait
from autotuner.space.config import Config
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.budget import Budget, Spent
from autotuner.tuning.decisions.conductor import Conductor
from autotuner.tuning.decisions.pause import Pause
from autotuner.tuning.decisions.placement_policy import Need, Node, Share
from autotuner.tuning.decisions.rules import Rules
from autotuner.tuning.events import (
    ConfigsLeftOut,
    DefaultShifted,
    Event,
    PhaseStarted,
    RankingChanged,
    RungEnded,
    TrialEnded,
    TrialRepeated,
    TrialStarted,
    Waiting,
)
from autotuner.tuning.store_service import StoreService
from autotuner.tuning.study_run import StudyRun
from tests.integration.tuning_rig import VirtualClock
from tests.tuning_parts import CountingProposer, report, rules, score, study


class Recorder:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def on_event(self, event: Event) -> None:
        self.events.append(event)

    def close(self) -> None: ...

    def short(self) -> list[str]:
        return [_short(event) for event in self.events]


def _short(event: Event) -> str:
    match event:
        case PhaseStarted():
            return f"{event.phase}:"
        case TrialStarted():
            return f"{event.trial_id} starts"
        case RungEnded():
            return f"{event.trial_id} rung {event.rung}"
        case TrialRepeated():
            return f"{event.trial_id} again"
        case TrialEnded():
            return f"{event.trial_id} {event.state}"
    raise AssertionError(event)


class Scene:
    """A StudyRun with a real conductor and store. Ray's id of trial 0001 is ``ray-0001``."""

    def __init__(
        self,
        path: Path,
        *,
        budget: Budget | None = None,
        gpus: int = 0,
        spent_gpu_s: float = 0.0,
        given_rules: Rules | None = None,
    ) -> None:
        folder = OutputFolder(path)
        path.mkdir(exist_ok=True)
        given = study()
        self.store = StoreService(str(folder.path), resolved_yaml(given, "s1"), "s1", "t")
        self.clock = VirtualClock()
        self.seen = Recorder()
        self.interrupts = 0
        self.gpus = gpus
        given_rules = given_rules or rules(trials=2, confirm=1, max_running=1)
        conductor = Conductor(given_rules, CountingProposer(), budget or Budget())

        def need_of(_: Config) -> Need:
            return Need((Share(gpus, 1.0),))

        self.run = StudyRun(
            conductor,
            self.store,
            [self.seen],
            self.clock,
            lambda config: Need((Share(gpus, 1.0),)),
            Spent(gpu_s=spent_gpu_s),
            self._heed,
        )

    def _heed(self) -> None:
        if self.interrupts:
            raise KeyboardInterrupt

    def start(self) -> Assignment:
        number = sum(isinstance(event, TrialStarted) for event in self.seen.events)
        assignment = self.run.next(f"ray{number}")
        assert isinstance(assignment, Assignment)
        now = self.clock.epoch_s()
        record = TrialRecord(assignment.trial_id, assignment.phase, assignment.config.values, now, gpus=self.gpus)
        self.store.begin_trial(record)
        return assignment

    def stored(self, trial_id: str) -> TrialRecord:
        return next(record for record in self.store.trials() if record.trial_id == trial_id)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "study")


def test_what_fits_on_no_node_is_told_with_the_reason_once_for_each_need(tmp_path: Path) -> None:
    def need_of(config: Config) -> Need:
        return Need((Share(8 if int(config.values.get("n", 9)) < 4 else 1, 1.0),), "H100")

    node = Node("a", "H100", 4, 8.0, 4, 8.0)
    conductor = Conductor(rules(max_running=None), CountingProposer(), Budget(), need_of=need_of, nodes=[node])
    seen = Recorder()
    store = Scene(tmp_path / "study").store
    run = StudyRun(conductor, store, [seen], VirtualClock(), need_of, Spent(), lambda: None)
    proposed = [run.next("ray0"), run.next("ray1")]
    assert [assignment.config.values for assignment in proposed if isinstance(assignment, Assignment)] == [
        {"default": True},
        {"n": 4},
    ]
    told = [event.reason for event in seen.events if isinstance(event, ConfigsLeftOut)]
    assert told == ["a trial needs 1 CPU and 8 GPU of H100, and no node has that much: 8 CPU and 4 GPU (H100)"]


def test_a_whole_study_in_order(scene: Scene) -> None:
    for number, value in enumerate((5.0, 1.0, 1.1, 5.1)):
        assignment = scene.start()
        for rung in range(assignment.rungs):
            last = rung == assignment.rungs - 1
            scene.run.rung_ended(f"ray{number}", report(assignment.trial_id, rung, value, last=last))
        scene.run.trial_ended(f"ray{number}", actor_lost=False)
    assert not scene.run.finished
    assert scene.run.next("ray4") is Pause.FINISHED
    assert scene.run.finished
    assert scene.run.stop_reason == "all trials done"
    assert scene.seen.short() == [
        "baseline:",
        "0000 starts",
        "0000 rung 0",
        "0000 rung 1",
        "0000 completed",
        "search:",
        "0001 starts",
        "0001 rung 0",
        "0001 rung 1",
        "0001 completed",
        "confirm:",
        "0001-c1 starts",
        "0001-c1 rung 0",
        "0001-c1 completed",
        "0000-c1 starts",
        "0000-c1 rung 0",
        "0000-c1 completed",
    ]


def test_what_an_event_carries(scene: Scene) -> None:
    assignment = scene.start()
    scene.clock.now_s += 30
    scene.run.rung_ended("ray0", report("0000", 0, 5.0))
    scene.run.trial_ended("ray0", actor_lost=False)
    phase, started, rung, ended = scene.seen.events
    assert isinstance(phase, PhaseStarted)
    assert isinstance(started, TrialStarted)
    assert isinstance(rung, RungEnded)
    assert isinstance(ended, TrialEnded)
    assert dict(started.config) == dict(assignment.config.values)
    assert rung.score.score == 5.0
    assert ended.score is not None
    assert (ended.state, ended.score.score, ended.cpu_seconds) == (TrialState.STOPPED, 5.0, 30.0)


def test_how_trials_rank_is_told_when_it_changes(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "study")
    for number, slo_met in enumerate((False, True)):
        trial_id = scene.start().trial_id
        for rung in range(2):
            scene.run.rung_ended(f"ray{number}", report(trial_id, rung, score(5.0, slo_met=slo_met), last=rung == 1))
        scene.run.trial_ended(f"ray{number}", actor_lost=False)
    told = [event for event in scene.seen.events if isinstance(event, RankingChanged)]
    assert told == [RankingChanged("0000", by_violation=True), RankingChanged("0001", by_violation=False)]


def test_a_default_that_came_to_be_slower_is_told_once(tmp_path: Path) -> None:
    given = dataclasses.replace(rules(trials=4, rungs=1, confirm=0, max_running=1), reference_every=1)
    scene = Scene(tmp_path / "study", given_rules=given)
    values = {"0000": 100.0, "0000-r1": 140.0, "0000-r1-2": 141.0, "0000-r1-3": 140.5, "0000-r2": 140.2, "0000-r3": 140}
    for number in range(8):
        trial_id = scene.start().trial_id
        scene.run.rung_ended(f"ray{number}", report(trial_id, 0, values.get(trial_id, 90.0), last=True))
        scene.run.trial_ended(f"ray{number}", actor_lost=False)
    (told,) = [event for event in scene.seen.events if isinstance(event, DefaultShifted)]
    assert told.shift.trial_id == "0000-r1"
    assert told.shift.metric == "ttft_p90_ms"
    at = scene.seen.events.index(told)
    before = scene.seen.events[at - 1]
    assert isinstance(before, TrialEnded)
    assert before.trial_id == "0000-r1-3", "one run of it proves nothing"


def test_reports_repeated_after_an_actors_death_are_told_once(scene: Scene) -> None:
    scene.start()
    for rung in (0, 0, 1, 0, 1):
        scene.run.rung_ended("ray0", report("0000", rung, 5.0, last=rung == 1))
    for _ in range(2):
        scene.run.trial_ended("ray0", actor_lost=False)
    assert scene.seen.short()[2:] == ["0000 rung 0", "0000 rung 1", "0000 completed"]


def test_a_failed_rung_is_no_rung_that_ended(scene: Scene) -> None:
    scene.start()
    scene.run.rung_ended("ray0", report("0000", 0, 5.0, failure=Failure.CRASH))
    scene.run.trial_ended("ray0", actor_lost=False)
    assert scene.seen.short()[2:] == ["0000 failed"]
    ended = scene.seen.events[-1]
    assert isinstance(ended, TrialEnded)
    assert (ended.failure, ended.message) == (Failure.CRASH, "it broke")


def test_a_stopped_trial_is_stored_as_stopped(scene: Scene) -> None:
    scene.start()
    scene.clock.now_s += 12
    scene.run.rung_ended("ray0", report("0000", 0, 5.0, reserved_s=9.0))
    scene.run.trial_ended("ray0", actor_lost=False)
    stored = scene.stored("0000")
    assert (stored.state, stored.failure, stored.usage.reserved_s) == (TrialState.STOPPED, None, 12.0)


def test_a_trial_whose_actor_is_lost_again_and_again_is_infrastructure(scene: Scene) -> None:
    for life in range(4):
        assert scene.start().trial_id == "0000"
        scene.clock.now_s += 7
        scene.run.trial_ended(f"ray{life}", actor_lost=True)
    assert scene.seen.short()[1:] == [*["0000 starts", "0000 again"] * 3, "0000 starts", "0000 failed"]
    stored = scene.stored("0000")
    assert (stored.state, stored.failure) == (TrialState.FAILED, Failure.INFRASTRUCTURE)
    assert stored.usage.reserved_s == 4 * 7.0, "of each of its processes"


def test_an_actor_lost_after_the_last_rung_has_completed(scene: Scene) -> None:
    scene.start()
    scene.run.rung_ended("ray0", report("0000", 0, 5.0))
    scene.run.rung_ended("ray0", report("0000", 1, 5.0, last=True))
    scene.run.trial_ended("ray0", actor_lost=True)
    assert scene.stored("0000").state is TrialState.COMPLETED
    assert scene.seen.short()[-1] == "0000 completed"


def test_out_of_time_is_stopped_and_no_rung(scene: Scene) -> None:
    scene.start()
    scene.run.rung_ended("ray0", report("0000", 0, None, out_of_time=True))
    scene.run.trial_ended("ray0", actor_lost=False)
    assert scene.seen.short()[2:] == ["0000 stopped"]


def test_a_trial_that_was_told_to_end_counts_and_is_told_when_it_has(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "study", gpus=4)
    scene.start()
    scene.run.rung_ended("ray0", report("0000", 0, 5.0, gpus=4))
    scene.run.stops("ray0")
    scene.clock.now_s += 30
    assert scene.run.spent().gpu_s == 120
    assert scene.seen.short()[-1] == "0000 rung 0"
    ended = dataclasses.replace(report("0000", 0, 5.0, gpus=4, reserved_s=30.0), stopped=True)
    assert ended.is_final
    scene.run.rung_ended("ray0", ended)
    scene.run.trial_ended("ray0", actor_lost=False)
    assert scene.seen.short()[-2:] == ["0000 rung 0", "0000 stopped"]
    last = scene.seen.events[-1]
    assert isinstance(last, TrialEnded)
    assert last.gpu_seconds == 120, "with the seconds in which its servers ended"


def test_an_actor_lost_after_its_trial_was_told_to_end_is_not_replaced(scene: Scene) -> None:
    scene.start()
    scene.run.rung_ended("ray0", report("0000", 0, 5.0))
    scene.run.stops("ray0")
    scene.run.trial_ended("ray0", actor_lost=True)
    assert (scene.stored("0000").state, scene.stored("0000").failure) == (TrialState.STOPPED, None)
    assert scene.seen.short()[-1] == "0000 stopped"


def test_what_is_unknown_to_this_life_is_ignored(scene: Scene) -> None:
    scene.run.rung_ended("another", report("0009", 0, 5.0))
    scene.run.trial_ended("another", actor_lost=False)
    assert scene.seen.events == []


def test_an_interrupt_is_heeded_before_anything_starts(scene: Scene) -> None:
    scene.interrupts = 1
    with pytest.raises(KeyboardInterrupt):
        scene.run.next("ray0")
    assert scene.seen.events == []


def test_spent_counts_running_and_ended_trials_and_earlier_lives(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "study", gpus=4, spent_gpu_s=1000)
    scene.clock.now_s += 5
    scene.start()
    scene.clock.now_s += 10
    assert scene.run.spent() == Spent(wall_s=15, gpu_s=1040)
    scene.run.trial_ended("ray0", actor_lost=False)
    scene.clock.now_s += 100
    assert scene.run.spent() == Spent(wall_s=115, gpu_s=1040)
    ended = scene.seen.events[-1]
    assert isinstance(ended, TrialEnded)
    assert ended.gpu_seconds == 40


def test_what_is_stored_as_spent_is_what_the_budget_counts(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "study", gpus=4)
    for life in range(2):  # its process is lost, and it is started again
        scene.start()
        scene.clock.now_s += 7
        scene.run.trial_ended(f"ray{life}", actor_lost=True)
        scene.clock.now_s += 100  # in line
    scene.start()
    scene.clock.now_s += 10
    scene.run.rung_ended("ray2", report("0000", 0, 5.0, gpus=4, reserved_s=3.0))
    scene.run.trial_ended("ray2", actor_lost=False)
    assert scene.run.spent().gpu_s == 4 * 24
    assert scene.stored("0000").gpu_seconds == 4 * 24
    again = [event for event in scene.seen.events if isinstance(event, TrialRepeated)]
    assert [event.gpu_seconds for event in again] == [28, 28]


def test_a_trial_that_is_handed_out_is_stored_before_its_process_begins(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "study", gpus=4)
    scene.run.next("ray0")
    stored = scene.stored("0000")
    assert (stored.state, stored.gpus, stored.cpus, stored.started_at) == (
        TrialState.RUNNING,
        4,
        1,
        scene.clock.epoch_s(),
    )
    assert stored.hold == Hold(4, 1, scene.clock.epoch_s())


def test_a_paused_trial_holds_nothing(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "study", gpus=4)
    scene.start()
    for seconds, holding in ((30, set[str]()), (500, {"ray0"}), (5, {"ray0"}), (0, set[str]())):
        scene.clock.now_s += seconds
        scene.run.hold_gpus(holding)
    scene.clock.now_s += 1000
    assert scene.run.spent().gpu_s == scene.stored("0000").gpu_seconds == 4 * 35
    assert scene.stored("0000").held.since is None


def test_it_is_noted_now_and_then_that_the_driver_lives(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "study")
    scene.start()
    before = scene.store.lives()[0].seen_at
    scene.clock.now_s += 1
    scene.run.next("ray1")
    assert scene.store.lives()[0].seen_at == before
    scene.clock.now_s += 10
    scene.run.next("ray1")
    assert scene.store.lives()[0].seen_at > before


def test_the_wall_clock_ends_it(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "study", budget=Budget(wall_s=100))
    scene.start()
    assert not scene.run.must_stop(report("0000", 0))
    scene.clock.now_s += 100
    assert scene.run.must_stop(report("0000", 0))
    assert scene.run.next("ray1") is Pause.WAIT
    assert not scene.run.finished
    scene.run.trial_ended("ray0", actor_lost=False)
    assert scene.run.next("ray1") is Pause.FINISHED
    assert (scene.run.finished, scene.run.stop_reason) == (True, "budget: wall_clock_h")
    assert Phase.SEARCH not in {event.phase for event in scene.seen.events if isinstance(event, TrialStarted)}


class OthersHold:
    """A cluster of one node, on which others hold ``held`` CPUs."""

    def __init__(self, held: float) -> None:
        self.held = held
        self.asked = 0

    def nodes(self, taken: Mapping[str, Sequence[Share]]) -> Sequence[Node]:
        return self._node(taken, self.held)

    def unshared(self, taken: Mapping[str, Sequence[Share]]) -> Sequence[Node]:
        return self._node(taken, 0.0)

    def _node(self, taken: Mapping[str, Sequence[Share]], held: float) -> Sequence[Node]:
        return [Node("a", "", 0, 2.0, 0, 2.0 - held - sum(share.cpus for share in taken.get("a", ())))]

    def holders(self, _: Need) -> Sequence[Holder]:
        self.asked += 1
        return [Holder("host/a", cpus=self.held, job_id="01000000")]

    def held_up_in_ray(self) -> Need | None:
        return Need((Share(0, 2.0),)) if self.held else None

    def name_of(self, node_id: str) -> str:
        return node_id

    def is_alive(self, _: str) -> bool:
        return True


def waiting_run(path: Path, others: OthersHold, *, ray_places: bool = False) -> tuple[Scene, StudyRun]:
    scene = Scene(path)
    conductor = Conductor(
        rules(trials=2, confirm=0), CountingProposer(), Budget(), need_of=lambda _: Need((Share(0, 2.0),))
    )
    run = StudyRun(
        conductor,
        scene.store,
        [scene.seen],
        scene.clock,
        lambda _: Need((Share(0, 2.0),)),
        Spent(),
        lambda: None,
        others,
        ray_places=ray_places,
    )
    return scene, run


def waits_told(scene: Scene) -> list[tuple[Wait, ...]]:
    return [event.waits for event in scene.seen.events if isinstance(event, Waiting)]


def test_what_others_hold_is_told_and_stored_until_the_trial_can_start(tmp_path: Path) -> None:
    others = OthersHold(2.0)
    scene, run = waiting_run(tmp_path / "study", others)
    for _ in range(3):
        scene.clock.now_s += 3
        assert run.next("ray0") is Pause.WAIT
    wait = Wait("", "2 CPU", scene.clock.epoch_s() - 6, (Holder("host/a", cpus=2.0, job_id="01000000"),))
    assert waits_told(scene) == [(wait,)], "once, though it lasts; found twice before it is believed"
    assert scene.store.waits() == [wait]
    others.held = 0.0
    assert isinstance(run.next("ray0"), Assignment)
    scene.clock.now_s += 3
    assert run.next("ray1") is Pause.WAIT, "for the study's own trial"
    assert waits_told(scene) == [(wait,), ()]
    assert scene.store.waits() == []


def test_what_a_trial_tells_of_its_own_wait_is_told_too(tmp_path: Path) -> None:
    scene, run = waiting_run(tmp_path / "study", OthersHold(0.0))
    assert isinstance(run.next("ray0"), Assignment)
    wait = Wait("0000", "2 CPU", 1.0, (Holder("host/a", cpus=2.0, study="other"),))
    scene.store.set_wait("0000", wait)
    scene.clock.now_s += 3
    run.next("ray1")
    run.trial_ended("ray0", actor_lost=False)
    scene.clock.now_s += 3
    run.next("ray1")
    assert waits_told(scene)[0] == (wait,)
    assert scene.store.waits() == [], "its trial is over"


def test_where_ray_places_trials_what_waits_in_ray_is_told(tmp_path: Path) -> None:
    scene, run = waiting_run(tmp_path / "study", OthersHold(2.0), ray_places=True)
    assert isinstance(run.next("ray0"), Assignment)
    for _ in range(3):
        scene.clock.now_s += 3
        run.hold_gpus(set())
    [[wait]] = waits_told(scene)
    assert (wait.trial_id, wait.wants) == ("", "2 CPU")


def test_nothing_is_waited_for_once_a_study_has_ended_or_is_taken_up_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "study")
    scene.store.set_wait("", Wait("", "2 CPU", 1.0))
    scene.store.end_study(StudyStatus.INTERRUPTED, "interrupted")
    assert scene.store.waits() == []
    scene.store.set_wait("", Wait("", "2 CPU", 1.0))
    again = StoreService(str(tmp_path / "study"), resolved_yaml(study(), "s1"), "s1", "t")
    assert again.waits() == []
