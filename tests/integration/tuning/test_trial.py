"""A trial's life on a simulated machine, with the real store on SQLite."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autotuner.errors import Failure, InfrastructureError
from autotuner.results import OutputFolder, Store, resolved_yaml
from autotuner.results.records import FailureRecord, Phase, TrialRecord, TrialState
from autotuner.space.config import Config
from autotuner.study.model import Study
from autotuner.tuning.decisions.assignment import Assignment, RungReport
from autotuner.tuning.store_service import MEASURED_TWICE, StoreService
from autotuner.tuning.trial.launch import Place
from autotuner.tuning.trial.trial import TrialRun
from tests.integration.tuning_rig import START_S, Incident, VirtualClock, World
from tests.tuning_parts import study

# Two levels, 1 and 2 slots: 8 requests each in rung 0, 8 more in rung 1. At 0.1 s to the first token and
# 0.03 s for the rest, 8 requests take 1.04 s on one slot and 4 × 0.23 s on two.
FIRST_S, SECOND_S = 8 * 0.13, 4 * 0.23
CONFIG = Config({"ubatch-size": 64})


class Lab:
    """One study's folder and store, on a machine that may change between lives."""

    def __init__(self, path: Path, given: Study) -> None:
        self.study = given
        self.folder = OutputFolder(path)
        path.mkdir(exist_ok=True)
        self.service = StoreService(str(path), resolved_yaml(given, "s1"), "s1", given.name)

    def trial(
        self,
        world: World,
        config: Config = CONFIG,
        *,
        ends_in_s: float | None = None,
        logs_seen: bool = True,
        node: str = "node",
        rungs: int | None = None,
    ) -> TrialRun:
        """A new actor's TrialRun of trial 0001, of as many rungs as the study has by default."""
        log_dir = self.folder.trial_logs("0001") if logs_seen else None
        ends_at = None if ends_in_s is None else world.clock.epoch_s() + ends_in_s
        assignment = Assignment("0001", Phase.SEARCH, config, rungs or self.study.fidelity.rungs)
        place = Place(node, (), "", log_dir, {"AUTOTUNER_STUDY": "s1"})
        return TrialRun(self.study, assignment, place, world.rig, self.service, ends_at)

    def stored(self) -> TrialRecord:
        return self.service.trials()[0]

    def failures(self) -> list[FailureRecord]:
        with Store(self.folder.database_url, self.folder.requests) as store:
            store.read_study()
            return store.failures()


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "study", study())


def measured(lab: Lab, rung: int) -> dict[str, int]:
    """Level → requests of a stored rung's measurements."""
    return {str(m.level): m.requests for m in lab.service.rungs("0001")[rung].measurements}


def sent(world: World) -> list[tuple[str, int, int]]:
    return [(str(p.level), p.first_index, p.requests) for p in world.points]


def gone(world: World) -> bool:
    return world.live_servers == 0 and world.open_drivers == 0


# ── a life ────────────────────────────────────────────────────────────────────────────────────


def test_rungs_add_load_on_one_launch_and_measure_cumulatively(lab: Lab) -> None:
    world = World()
    trial = lab.trial(world)
    first = trial.run_rung(0)
    assert (first.last, first.failure, first.is_final) == (False, None, False)
    assert world.live_servers == world.open_drivers == 1
    second = trial.run_rung(1)
    assert (second.last, second.is_final) == (True, True)
    assert gone(world), "a trial that has ended holds nothing"
    assert sent(world)[:2] == [("concurrency 1", 0, 8), ("concurrency 2", 0, 8)]
    assert sent(world)[2:] == [("concurrency 1", 8, 8), ("concurrency 2", 8, 8)]
    assert measured(lab, 0) == {"concurrency 1": 8, "concurrency 2": 8}
    assert measured(lab, 1) == {"concurrency 1": 16, "concurrency 2": 16}
    assert [request.launch_id for request in world.launches] == ["0001-l1"]
    stored = lab.stored()
    assert (stored.state, stored.startup_s, stored.engine_version) == (TrialState.COMPLETED, START_S, "simulated-1")
    assert stored.usage.loading_s == pytest.approx(START_S)
    assert stored.usage.measuring_s == pytest.approx(2 * (FIRST_S + SECOND_S))
    assert stored.usage.reserved_s == pytest.approx(START_S + 2 * (FIRST_S + SECOND_S))


def test_warm_up_is_told_apart_over_all_lives_of_a_trial(lab: Lab) -> None:
    lab.trial(World(warms_up=True)).run_rung(0)
    each_rung_s = FIRST_S / 8 + SECOND_S / 4  # the first of 8 requests, and of 4 in either of two slots
    assert lab.stored().usage.warmup_s == pytest.approx(each_rung_s)
    lab.trial(World(warms_up=True)).run_rung(1)
    usage = lab.stored().usage
    assert usage.warmup_s == pytest.approx(2 * each_rung_s)
    assert usage.measuring_s == pytest.approx(2 * (FIRST_S + SECOND_S)), "warm-up is part of it"


def test_scores_are_a_function_of_the_config(lab: Lab, tmp_path: Path) -> None:
    """The mean over both levels of TTFT p90, 0.1 and 0.2 s; half of that at twice the ubatch size."""
    slow = lab.trial(World()).run_rung(0)
    fast = Lab(tmp_path / "other", study()).trial(World(), Config({"ubatch-size": 128})).run_rung(0)
    assert slow.score is not None
    assert fast.score is not None
    assert slow.score.score == pytest.approx(150)
    assert fast.score.score == pytest.approx(75)


def test_what_an_endpoint_serves_in_place_of_the_studys_model_is_noted(lab: Lab) -> None:
    lab.trial(World(served_name="another")).run_rung(0)
    note = f"the server serves 'another', which was measured, and not {lab.study.model.id!r}"
    assert {m.notes for m in lab.service.rungs("0001")[0].measurements} == {(note,)}


@pytest.mark.parametrize("name", [None, "the study's own"])
def test_an_endpoint_by_the_studys_name_needs_no_note(lab: Lab, name: str | None) -> None:
    lab.trial(World(served_name=name and lab.study.model.id)).run_rung(0)
    assert {m.notes for m in lab.service.rungs("0001")[0].measurements} == {()}


def test_each_rung_is_committed_when_it_is_reported(lab: Lab) -> None:
    trial = lab.trial(World())
    report = trial.run_rung(0)
    [stored] = lab.service.rungs("0001")
    assert report.score is not None
    assert stored.score.score == report.score.score
    assert stored.usage == report.usage
    assert sum(len(run.records) for _, run in lab.service.runs("0001")) == 16


def test_release_ends_everything_once_and_keeps_the_usage(lab: Lab) -> None:
    world = World()
    trial = lab.trial(world)
    trial.run_rung(0)
    trial.release()
    assert gone(world)
    usage = lab.stored().usage
    world.clock.now_s += 100
    trial.release()
    assert trial.usage() == usage == lab.stored().usage


def test_a_node_that_gives_no_memory_back_spoils_nothing_that_was_measured(lab: Lab) -> None:
    world = World(keeps="GPU 0 has not given 9216 MiB back")
    trial = lab.trial(world)
    reports = [trial.run_rung(rung) for rung in range(lab.study.fidelity.rungs)]
    assert [report.failure for report in reports] == [None] * len(reports)
    assert reports[-1].last
    assert lab.stored().state is TrialState.COMPLETED
    [noted] = lab.failures()
    assert (noted.failure, noted.message) == (Failure.INFRASTRUCTURE, world.keeps)


def test_logs_travel_where_the_node_does_not_see_the_folder(lab: Lab) -> None:
    trial = lab.trial(World(), logs_seen=False)
    trial.run_rung(0)
    trial.release()
    [log] = lab.folder.trial_logs("0001").glob("*.log")
    assert log.read_text() == "launch 0001-l1\n"


# ── another life ──────────────────────────────────────────────────────────────────────────────


def test_ended_rungs_are_taken_from_the_store(lab: Lab) -> None:
    before = lab.trial(World()).run_rung(0)  # and then its actor is killed: nothing is released
    world = World()
    trial = lab.trial(world)
    again = trial.run_rung(0)
    assert (again.score, again.metrics) == (before.score, before.metrics)
    assert not world.launches
    assert not world.points
    trial.run_rung(1)
    assert [request.launch_id for request in world.launches] == ["0001-l2"]
    assert sent(world) == [("concurrency 1", 8, 8), ("concurrency 2", 8, 8)]
    assert measured(lab, 1) == {"concurrency 1": 16, "concurrency 2": 16}
    usage = lab.stored().usage
    assert usage.loading_s == pytest.approx(2 * START_S)
    assert usage.measuring_s == pytest.approx(2 * (FIRST_S + SECOND_S))
    assert usage.reserved_s == pytest.approx(2 * START_S + 2 * (FIRST_S + SECOND_S))


def test_a_cut_rung_is_measured_again_from_its_start(lab: Lab) -> None:
    with pytest.raises(KeyboardInterrupt):
        lab.trial(World(incidents={1: Incident.KILLED})).run_rung(0)
    world = World()
    report = lab.trial(world).run_rung(0)
    assert report.failure is None
    assert sent(world) == [("concurrency 1", 0, 8), ("concurrency 2", 0, 8)]
    assert measured(lab, 0) == {"concurrency 1": 8, "concurrency 2": 8}


def test_a_trial_that_ended_in_failure_stays_failed(lab: Lab) -> None:
    """Its actor was lost after the failure was stored and before it was told: even if that was the last rung."""
    trial = lab.trial(World(incidents={3: Incident.SERVER_DIES}))
    trial.run_rung(0)
    told = trial.run_rung(1)
    world = World()
    again = lab.trial(world)
    assert again.run_rung(0).failure is None
    report = again.run_rung(1)
    assert (report.failure, report.message) == (told.failure, told.message) == (Failure.CRASH, told.message)
    assert report.score is not None
    assert not report.score.feasible
    assert not world.launches


@pytest.mark.parametrize("recalled", [True, False], ids=["from rung 0", "from a checkpoint"])
def test_a_failed_level_is_not_tried_again_in_another_life(tmp_path: Path, recalled: bool) -> None:
    lab = Lab(tmp_path / "study", study(objective="throughput"))
    lab.trial(World(incidents={1: Incident.ALL_FAIL})).run_rung(0)
    world = World()
    trial = lab.trial(world)
    if recalled:
        trial.run_rung(0)
    trial.run_rung(1)
    assert sent(world) == [("concurrency 1", 8, 8)]
    assert measured(lab, 1) == {"concurrency 1": 16}


# ── the end of time ───────────────────────────────────────────────────────────────────────────


def test_a_rung_that_does_not_end_is_a_hang_and_keeps_what_it_measured(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "study", study(timeouts={"rung_s": 30}))
    world = World(incidents={1: Incident.NO_ANSWER})
    report = lab.trial(world).run_rung(0)
    assert (report.failure, report.is_final) == (Failure.HANG, True)
    assert report.score is not None
    assert not report.score.feasible
    assert measured(lab, 0) == {"concurrency 1": 8}
    assert lab.stored().state is TrialState.FAILED
    assert gone(world)
    assert world.clock.now_s == pytest.approx(1000 + START_S + 30)


def test_a_fresh_run_which_has_the_work_of_all_rungs_in_one_has_the_time_of_all(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "study", study(timeouts={"rung_s": 30}, fidelity={"rungs": 3}))
    world = World(incidents={1: Incident.NO_ANSWER})
    assert lab.trial(world, rungs=1).run_rung(0).failure is Failure.HANG
    assert world.clock.now_s == pytest.approx(1000 + START_S + 3 * 30)


def test_the_studys_end_cuts_a_rung_which_is_then_not_recorded(lab: Lab) -> None:
    world = World(incidents={3: Incident.NO_ANSWER})
    trial = lab.trial(world, ends_in_s=60)
    assert trial.run_rung(0).out_of_time is False
    report = trial.run_rung(1)
    assert (report.out_of_time, report.is_final, report.score, report.failure) == (True, True, None, None)
    assert len(lab.service.rungs("0001")) == 1
    assert lab.stored().state is TrialState.STOPPED
    assert gone(world)
    assert world.clock.now_s == pytest.approx(1060)


@pytest.mark.parametrize("whose", ["the study's wall clock", "timeouts.trial_s"])
def test_an_end_that_is_near_makes_no_load_hopeless(tmp_path: Path, whose: str) -> None:
    """13 s on one slot are needed a rung, 2.5 s are left: less than half is no word on the Config."""
    is_own = whose == "timeouts.trial_s"
    workload = {"scenario": "D(8,4)", "load": {"concurrency": [1, 2]}, "requests": {"min": 200, "per_slot": 1}}
    lab = Lab(tmp_path / "study", study(workload=workload, timeouts={"trial_s": 30 if is_own else None}))
    world = World()
    trial = lab.trial(world, ends_in_s=None if is_own else 30)
    first = trial.run_rung(0)
    assert first.score is not None
    assert first.score.slo_met
    report = trial.run_rung(1)
    assert (report.out_of_time, report.score, report.failure) == (True, None, None)
    assert whose in report.message
    assert [len(lab.service.rungs("0001")), lab.stored().state] == [1, TrialState.STOPPED]


def test_a_load_point_that_takes_far_longer_than_a_rung_may_is_hopeless(tmp_path: Path) -> None:
    workload = {"scenario": "D(8,4)", "load": {"concurrency": [1, 2]}, "requests": {"min": 200, "per_slot": 1}}
    fidelity = {"rungs": 1, "trial_scheduler": "none"}
    lab = Lab(tmp_path / "study", study(workload=workload, fidelity=fidelity, timeouts={"rung_s": 10}))
    report = lab.trial(World(), ends_in_s=1000).run_rung(0)
    assert report.score is not None
    assert "would take 26 s, 10 s are allowed" in report.score.reason, report


def test_a_trials_own_time_cuts_a_rung_and_keeps_those_that_ended(lab: Lab) -> None:
    lab.study = study(timeouts={"trial_s": 60})
    world = World(incidents={3: Incident.NO_ANSWER})
    trial = lab.trial(world)
    assert trial.run_rung(0).out_of_time is False
    report = trial.run_rung(1)
    assert (report.out_of_time, report.is_final, report.failure) == (True, True, None)
    assert "timeouts.trial_s" in report.message
    assert len(lab.service.rungs("0001")) == 1
    assert lab.stored().state is TrialState.STOPPED
    assert world.clock.now_s == pytest.approx(1060)
    assert gone(world)


def test_a_trial_that_is_not_to_go_on_reports_its_last_rung_again_when_its_server_is_gone(lab: Lab) -> None:
    world = World()
    trial = lab.trial(world)
    first = trial.run_rung(0)
    assert not gone(world)
    world.clock.now_s += 50
    last = trial.stop(first)
    assert gone(world)
    assert (last.rung, last.score, last.failure) == (0, first.score, None)
    assert (last.stopped, last.is_final, first.is_final) == (True, True, False)
    assert last.usage.reserved_s == pytest.approx(first.usage.reserved_s + 50)
    stored = lab.stored()
    assert (stored.state, stored.usage) == (TrialState.STOPPED, last.usage)


def test_a_launch_gets_no_more_time_than_its_trial_has_left(lab: Lab) -> None:
    lab.study = study(timeouts={"trial_s": 60, "start_s": 500})
    world = World(launch_failures=[Failure.STARTUP_TIMEOUT])
    lab.trial(world).run_rung(0)
    assert world.launches[0].start_timeout_s == pytest.approx(60)


def test_no_server_is_launched_when_the_time_is_spent(lab: Lab) -> None:
    world = World()
    report = lab.trial(world, ends_in_s=0).run_rung(0)
    assert report.out_of_time
    assert not world.launches


def test_a_client_lost_at_the_studys_end_is_no_failure(lab: Lab) -> None:
    world = World(incidents={0: Incident.CLIENT_LOST})
    world.clock = _LeapingClock(world)
    assert lab.trial(world, ends_in_s=60).run_rung(0).out_of_time


class _LeapingClock(VirtualClock):
    """Leaps over the study's end with the first load point."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def monotonic_s(self) -> float:
        return self.now_s + 100 * len(self._world.points)


# ── failures under load ───────────────────────────────────────────────────────────────────────


def test_a_server_that_dies_takes_its_load_point_alone(lab: Lab) -> None:
    world = World(incidents={1: Incident.SERVER_DIES})
    report = lab.trial(world).run_rung(0)
    assert report.failure is Failure.CRASH
    assert "died under load" in report.message
    assert "SIGKILL" in report.message
    assert measured(lab, 0) == {"concurrency 1": 8}
    at_point, at_trial = lab.failures()
    assert (at_point.rung, at_point.level, at_point.failure) == (0, "concurrency 2", Failure.CRASH)
    assert (at_trial.rung, at_trial.failure, at_trial.log_tail) == (None, Failure.CRASH, "the server's last words")
    assert gone(world)


def test_a_saturated_client_is_given_a_second_try_with_other_prompts(lab: Lab) -> None:
    world = World(incidents={0: Incident.SATURATED})
    report = lab.trial(world).run_rung(0)
    assert report.failure is None
    [first, again, other] = world.points
    assert (again.level, again.requests) == (first.level, first.requests)
    assert again.first_index >= first.first_index + 1000
    assert other.level != first.level
    assert measured(lab, 0) == {"concurrency 1": 8, "concurrency 2": 8}
    assert lab.failures() == []


def test_a_client_that_stays_saturated_is_no_fault_of_the_config(lab: Lab) -> None:
    """A latency objective needs every level: without this one the trial has no score."""
    report = lab.trial(World(incidents={1: Incident.SATURATED, 2: Incident.SATURATED})).run_rung(0)
    assert report.failure is Failure.CLIENT_SATURATED
    assert measured(lab, 0) == {"concurrency 1": 8}


def disturbed(lab: Lab, rung: int) -> dict[str, str]:
    return {str(m.level): m.disturbed for m in lab.service.rungs("0001")[rung].measurements}


def test_a_disturbed_load_point_is_measured_once_more_with_other_prompts(lab: Lab) -> None:
    world = World(incidents={0: Incident.DISTURBED})
    report = lab.trial(world).run_rung(0)
    assert (report.failure, report.disturbed) == (None, False)
    [first, again, other] = world.points
    assert (again.level, again.requests) == (first.level, first.requests)
    assert again.first_index >= first.first_index + 1000
    assert other.level != first.level
    assert measured(lab, 0) == {"concurrency 1": 8, "concurrency 2": 8}
    assert disturbed(lab, 0) == {"concurrency 1": "", "concurrency 2": ""}


def test_one_that_stays_disturbed_is_marked_in_this_rung_and_the_next(lab: Lab) -> None:
    world = World(incidents={1: Incident.DISTURBED, 2: Incident.DISTURBED})
    trial = lab.trial(world)
    report = trial.run_rung(0)
    assert (report.failure, report.disturbed) == (None, True), "its score is of all levels"
    assert len(world.points) == 3
    assert disturbed(lab, 0) == {"concurrency 1": "", "concurrency 2": "others spin"}
    assert trial.run_rung(1).disturbed
    assert disturbed(lab, 1) == disturbed(lab, 0)
    again = lab.trial(World())
    assert again.run_rung(0).disturbed, "as the store has it"


def test_a_score_of_one_level_rests_on_that_one_alone(tmp_path: Path) -> None:
    for incidents, is_disturbed in (((0, 1), False), ((1, 2), True)):  # the second level has more throughput
        lab = Lab(tmp_path / f"study-{is_disturbed}", study(objective="throughput"))
        report = lab.trial(World(incidents=dict.fromkeys(incidents, Incident.DISTURBED))).run_rung(0)
        assert report.disturbed is is_disturbed
        assert sum(map(bool, disturbed(lab, 0).values())) == 1


def test_a_disturbed_measurement_is_kept_where_its_repeat_saturates_the_client(lab: Lab) -> None:
    world = World(incidents={0: Incident.DISTURBED, 1: Incident.SATURATED})
    report = lab.trial(world).run_rung(0)
    assert report.failure is None
    assert measured(lab, 0) == {"concurrency 1": 8, "concurrency 2": 8}
    assert disturbed(lab, 0)["concurrency 1"] == "others spin"


@pytest.mark.parametrize(("ends_in_s", "points"), [(START_S + 3.1 * FIRST_S, 3), (START_S + 2.9 * FIRST_S, 2)])
def test_there_must_be_time_for_a_repeat_of_twice_the_length(tmp_path: Path, ends_in_s: float, points: int) -> None:
    lab = Lab(tmp_path / "study", study())
    world = World(incidents={0: Incident.DISTURBED})
    assert lab.trial(world, ends_in_s=ends_in_s).run_rung(0).failure is None
    assert len(world.points) == points
    assert bool(disturbed(lab, 0)["concurrency 1"]) is (points == 2)


def test_a_level_that_saturated_the_client_is_left_aside_where_another_can_be_scored(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "study", study(objective="throughput"))
    world = World(incidents={1: Incident.SATURATED, 2: Incident.SATURATED})
    trial = lab.trial(world)
    assert trial.run_rung(0).failure is None
    assert trial.run_rung(1).last
    assert [m.requests for m in lab.service.rungs("0001")[1].measurements] == [16, 16], "all of it at the second try"
    assert len({p.first_index for p in world.points if str(p.level) == "concurrency 2"}) == 3


def test_a_lost_client_is_no_fault_of_the_config_and_keeps_what_was_measured(lab: Lab) -> None:
    world = World(incidents={1: Incident.CLIENT_LOST, 2: Incident.CLIENT_LOST})
    report = lab.trial(world).run_rung(0)
    assert report.failure is Failure.INFRASTRUCTURE
    assert measured(lab, 0) == {"concurrency 1": 8}
    assert gone(world)


def test_a_client_lost_once_is_replaced(lab: Lab) -> None:
    world = World(incidents={1: Incident.CLIENT_LOST})
    assert lab.trial(world).run_rung(0).failure is None
    assert measured(lab, 0) == {"concurrency 1": 8, "concurrency 2": 8}


def test_a_level_without_any_good_request_does_not_void_the_others(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "study", study(objective="throughput"))
    trial = lab.trial(World(incidents={1: Incident.ALL_FAIL}))
    report = trial.run_rung(0)
    assert report.failure is None
    assert report.score is not None
    assert str(report.score.level) == "concurrency 1"
    [failure] = lab.failures()
    assert (failure.failure, failure.level) == (Failure.BAD_RESPONSES, "concurrency 2")
    assert trial.run_rung(1).last


def test_no_level_measured_fails_the_trial(lab: Lab) -> None:
    world = World(incidents={0: Incident.ALL_FAIL})
    report = lab.trial(world).run_rung(0)
    assert report.failure is Failure.BAD_RESPONSES
    assert len(world.points) == 1, "what is above a hopeless level is not tried"
    assert gone(world)


@pytest.mark.parametrize("incident", [Incident.HOPELESS, Incident.ALL_FAIL])
@pytest.mark.parametrize("lives", [1, 2])
def test_a_hopeless_level_and_those_above_it_are_given_up_for_good(
    tmp_path: Path, incident: Incident, lives: int
) -> None:
    workload = {"scenario": "D(8,4)", "load": {"concurrency": [1, 2, 4]}, "requests": {"per_slot": 4, "min": 16}}
    lab = Lab(tmp_path / "study", study(objective="throughput", workload=workload))
    world = World(incidents={1: incident})
    trial = lab.trial(world)
    assert trial.run_rung(0).failure is None
    if lives == 2:
        trial.release()
        trial = lab.trial(world)
        trial.run_rung(0)
    assert trial.run_rung(1).last
    assert [str(p.level) for p in world.points] == ["concurrency 1", "concurrency 2", "concurrency 1"]


# ── failures at the start ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("begun_anew", [True, False])
def test_a_node_that_was_cut_off_can_neither_launch_nor_end_a_trial_that_was_taken_from_it(
    lab: Lab, begun_anew: bool
) -> None:
    lost = lab.trial(World(), node="lost")
    lab.service.take_back("0001", 0.0)
    other = lab.trial(World(), node="other") if begun_anew else None
    world = World()
    with pytest.raises(InfrastructureError, match="was taken from lost"):
        lost.run_rung(0)
    assert not world.launches
    assert lab.stored().state is TrialState.RUNNING
    if other is None:
        other = lab.trial(World(), node="other")
    assert [other.run_rung(0).failure, other.run_rung(1).failure] == [None, None]
    assert (lab.stored().state, lab.stored().launch_id) == (TrialState.COMPLETED, "0001-l1")


def test_a_rung_that_ended_while_its_node_was_cut_off_is_refused_and_ends_nothing(lab: Lab) -> None:
    world = World()
    lost = lab.trial(world, node="lost")
    lost.run_rung(0)
    lab.service.take_back("0001", 0.0)
    lab.trial(World(), node="other").run_rung(1)
    with pytest.raises(InfrastructureError, match="was taken from lost"):
        lost.run_rung(1)
    assert gone(world)
    assert (lab.stored().state, lab.stored().failure) == (TrialState.COMPLETED, None)
    assert [rung.launch_id for rung in lab.service.rungs("0001")] == ["0001-l1", "0001-l2"]


def test_a_rung_that_ends_after_its_trial_was_taken_back_is_refused_before_another_launch_too(lab: Lab) -> None:
    lost = lab.trial(World(), node="lost")
    lost.run_rung(0)
    lab.service.take_back("0001", 0.0)
    other = lab.trial(World(), node="other")  # it has not launched yet
    with pytest.raises(InfrastructureError, match="was taken from"):
        lost.run_rung(1)
    assert [rung.rung for rung in lab.service.rungs("0001")] == [0]
    other.run_rung(1)
    assert not [failure.message for failure in lab.failures() if MEASURED_TWICE in failure.message]


def test_what_a_lost_process_used_does_not_replace_what_its_successor_did(lab: Lab) -> None:
    lost = lab.trial(World(), node="lost")
    lost.run_rung(0)
    lab.service.take_back("0001", 0.0)
    other = lab.trial(World(), node="other")
    other.run_rung(0)
    other.run_rung(1)
    usage = lab.stored().usage
    lost.release()
    assert lab.stored().usage == usage


def test_a_process_that_died_has_used_what_it_was_given(lab: Lab) -> None:
    handed_out = TrialRecord("0001", Phase.SEARCH, dict(CONFIG.values), started_at=World().clock.epoch_s())
    lab.service.hand_out(handed_out)
    lab.trial(World(), node="lost").run_rung(0)
    told = lab.stored().usage
    assert lab.service.take_back("0001", 100.0).reserved_s == 100.0
    assert lab.stored().usage.measuring_s == told.measuring_s
    lab.service.hand_out(handed_out)
    lab.trial(World(), node="lost too")
    assert lab.service.take_back("0001", 30.0).reserved_s == 130.0
    assert lab.stored().usage.reserved_s == 130.0


def test_a_rung_that_is_measured_twice_is_told_of_and_its_first_measurement_stays(lab: Lab) -> None:
    world = World()
    trial = lab.trial(world)
    trial.run_rung(0)
    [first] = lab.service.rungs("0001")
    lab.service.add_rung(replace(first, ended_at=first.ended_at + 1))
    assert [failure.message for failure in lab.failures()] == [f"rung 0 {MEASURED_TWICE}"]
    assert not lab.service.rungs("0001")[0].failures, "it is as good as it was"
    assert lab.service.rungs("0001")[0].ended_at == first.ended_at


def test_a_busy_machine_is_tried_again(lab: Lab) -> None:
    world = World([Failure.INFRASTRUCTURE, Failure.INFRASTRUCTURE])
    assert lab.trial(world).run_rung(0).failure is None
    assert [request.launch_id for request in world.launches] == ["0001-l1", "0001-l2", "0001-l3"]
    assert lab.service.rungs("0001")[0].launch_id == "0001-l3"


def test_a_machine_that_stays_sick_is_no_fault_of_the_config(lab: Lab) -> None:
    world = World([Failure.INFRASTRUCTURE] * 9)
    report = lab.trial(world).run_rung(0)
    assert report.failure is Failure.INFRASTRUCTURE
    assert len(world.launches) == 3
    assert lab.stored().usage.loading_s == pytest.approx(3 * START_S)


@pytest.mark.parametrize(
    "failure", [Failure.INVALID_CONFIG, Failure.OUT_OF_MEMORY_AT_START, Failure.STARTUP_TIMEOUT, Failure.CRASH]
)
def test_a_failed_launch_is_a_result(lab: Lab, failure: Failure) -> None:
    world = World([failure])
    report = lab.trial(world).run_rung(0)
    assert (report.failure, report.is_final, report.last) == (failure, True, False)
    assert report.score is not None
    assert not report.score.feasible
    assert report.score.reason == f"no start: {failure}"
    assert len(world.launches) == 1
    [stored] = lab.failures()
    assert (stored.failure, stored.log_tail) == (failure, "last words")
    assert lab.stored().usage.loading_s == pytest.approx(START_S)


def test_a_config_that_the_engine_refuses_is_told_without_a_launch(lab: Lab) -> None:
    world = World()
    report = lab.trial(world, Config({"ubatch-sizes": 64})).run_rung(0)
    assert report.failure is Failure.INVALID_CONFIG
    assert "ubatch-size" in report.message
    assert not world.launches
    assert lab.stored().state is TrialState.FAILED


def test_a_failed_trial_says_so_each_time_it_is_asked(lab: Lab) -> None:
    trial = lab.trial(World([Failure.CRASH]))
    first: RungReport = trial.run_rung(0)
    world = World()
    again = lab.trial(world).run_rung(0)
    assert (again.failure, again.message) == (first.failure, first.message)
    assert not world.launches
