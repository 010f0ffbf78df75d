"""A trial whose servers had no memory to start, on a simulated machine, with the real store on SQLite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autotuner.errors import Failure
from autotuner.results import OutputFolder, Store, resolved_yaml
from autotuner.results.records import Phase, TrialRecord, TrialState
from autotuner.space.config import Config
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.store_service import StoreService
from autotuner.tuning.study_life import take_up
from autotuner.tuning.trial.launch import Place
from autotuner.tuning.trial.trial import TrialRun
from tests.integration.tuning_rig import START_S, World
from tests.tuning_parts import study

OOM = Failure.OUT_OF_MEMORY_AT_START
SHARE = "gpu-memory-utilization"
ASKED = {SHARE: 0.9, "max-num-seqs": 64}
RAN = {**ASKED, SHARE: 0.85}


class Lab:
    """One study's folder and store, and the trial 0001 of it."""

    def __init__(self, path: Path, engine: dict[str, Any] | None = None) -> None:
        path.mkdir(exist_ok=True)
        space = {"parameters": {SHARE: [0.8, 0.9], "max-num-seqs": [64, 128]}}
        self.study = study(engine={"name": "vllm", "version": "0.27.0", **(engine or {})}, space=space)
        self.folder = OutputFolder(path)
        self.service = StoreService(str(path), resolved_yaml(self.study, "s1"), "s1", "t")

    def trial(self, world: World, phase: Phase = Phase.SEARCH) -> TrialRun:
        assignment = Assignment("0001", phase, Config(ASKED), rungs=2)
        place = Place("node", (), "", self.folder.trial_logs("0001"), {"AUTOTUNER_STUDY": "s1"})
        return TrialRun(self.study, assignment, place, world.rig, self.service, None)

    def stored(self) -> TrialRecord:
        return self.service.trials()[0]

    def noted(self) -> list[tuple[Failure, str]]:
        with Store(self.folder.database_url, self.folder.requests) as store:
            store.read_study()
            return [(failure.failure, failure.message) for failure in store.failures()]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "study")


def shares(world: World) -> list[str]:
    """The share of memory that each launch asked for."""
    found = []
    for request in world.launches:
        words = [str(word) for word in request.deployment.groups[0].ranks[0].argv]
        found.append(words[words.index(f"--{SHARE}") + 1])
    return found


def test_it_is_started_once_more_with_less_and_is_then_a_trial_of_that(lab: Lab) -> None:
    world = World(launch_failures=[OOM])
    trial = lab.trial(world)
    reports = [trial.run_rung(0), trial.run_rung(1)]
    assert [report.changed for report in reports] == [Config(RAN), Config(RAN)]
    assert shares(world) == ["0.9", "0.85"], "one server for both rungs"
    stored = lab.stored()
    assert (stored.state, stored.failure) == (TrialState.COMPLETED, None)
    assert (stored.config, stored.asked) == (RAN, ASKED)
    assert stored.changed_at_start == "gpu-memory-utilization 0.9 → 0.85"
    assert stored.usage.loading_s == pytest.approx(2 * START_S)
    [(failure, message)] = lab.noted()
    assert failure is OOM
    assert message.endswith("(started again with less memory: gpu-memory-utilization 0.9 → 0.85)")


def test_a_second_time_without_memory_is_believed(lab: Lab) -> None:
    world = World(launch_failures=[OOM, OOM])
    report = lab.trial(world).run_rung(0)
    assert (report.failure, report.changed) == (OOM, None)
    assert shares(world) == ["0.9", "0.85"]
    assert (lab.stored().state, lab.stored().config, lab.stored().asked) == (TrialState.FAILED, ASKED, None)


@pytest.mark.parametrize("failure", [Failure.CRASH, Failure.INVALID_CONFIG, Failure.STARTUP_TIMEOUT])
def test_no_other_failure_is_helped_by_less(lab: Lab, failure: Failure) -> None:
    world = World(launch_failures=[failure])
    assert lab.trial(world).run_rung(0).failure is failure
    assert shares(world) == ["0.9"]


def test_a_study_may_leave_it_off(tmp_path: Path) -> None:
    world = World(launch_failures=[OOM])
    assert Lab(tmp_path / "off", {"retry_oom": False}).trial(world).run_rung(0).failure is OOM
    assert shares(world) == ["0.9"]


def test_a_fresh_run_is_of_the_config_that_it_confirms(lab: Lab) -> None:
    assert lab.trial(World(launch_failures=[OOM]), Phase.CONFIRM).run_rung(0).failure is OOM
    assert lab.stored().config == ASKED


def test_a_trial_that_has_measured_stays_what_it_was(lab: Lab) -> None:
    lab.trial(World()).run_rung(0)  # and then its process is killed
    world = World(launch_failures=[OOM])
    assert lab.trial(world).run_rung(1).failure is OOM
    assert shares(world) == ["0.9"]


def test_a_trial_that_goes_on_elsewhere_goes_on_with_less(lab: Lab) -> None:
    lab.trial(World(launch_failures=[OOM])).run_rung(0)  # and then its process is killed
    world = World()
    trial = lab.trial(world)
    assert [trial.run_rung(rung).changed for rung in (0, 1)] == [Config(RAN), Config(RAN)]
    assert shares(world) == ["0.85"]
    assert lab.stored().asked == ASKED


def test_a_later_life_confirms_what_ran_and_tells_the_searcher_of_what_it_asked_for(lab: Lab) -> None:
    trial = lab.trial(World(launch_failures=[OOM]))
    trial.run_rung(0)
    trial.run_rung(1)
    [known] = take_up(lab.service)
    assert (known.config, known.changed) == (Config(ASKED), Config(RAN))
