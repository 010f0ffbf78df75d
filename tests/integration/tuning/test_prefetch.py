"""A trial whose weights come from a hub, on a simulated machine: what that costs it, and what it is told for."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import pytest

from autotuner.errors import Failure, InfrastructureError, InputError
from autotuner.results.records import TrialState
from autotuner.servers.weights.prefetch import FetchOrder
from autotuner.tuning.trial.rig import Rig
from tests.integration.tuning.test_trial import Lab
from tests.integration.tuning_rig import START_S, World
from tests.tuning_parts import study

FETCH_S = 500.0


@dataclass
class WorldWithHub(World):
    """Its hub is slow, and may fail."""

    fault: Exception | None = None
    orders: int = 0

    @property
    def rig(self) -> Rig:
        return dataclasses.replace(super().rig, prefetch=self.fetch)

    def fetch(self, order: FetchOrder) -> None:
        assert order.log is not None
        order.log.write_text("fetching\n", encoding="utf-8")
        self.orders += 1
        self.clock.now_s += min(FETCH_S, order.timeout_s)
        if self.fault is not None:
            raise self.fault
        if order.timeout_s < FETCH_S:
            raise InfrastructureError("not fetched in time")


def lab(tmp_path: Path, **timeouts: float) -> Lab:
    given = study()
    return Lab(tmp_path / "study", given.model_copy(update={"timeouts": given.timeouts.model_copy(update=timeouts)}))


def test_fetching_counts_as_loading_and_not_as_start_up(tmp_path: Path) -> None:
    here, world = lab(tmp_path, start_s=10.0), WorldWithHub()
    trial = here.trial(world)
    assert trial.run_rung(0).failure is None
    trial.release()
    assert world.launches[0].start_timeout_s == 10.0
    assert here.stored().startup_s == START_S
    assert here.stored().usage.loading_s == pytest.approx(FETCH_S + START_S)
    assert (here.folder.trial_logs("0001") / "0001-l1-fetch.log").is_file()


@pytest.mark.parametrize(
    ("fault", "failure"),
    [
        (InputError("org/none can't be fetched: Repository not found"), Failure.INVALID_CONFIG),
        (InfrastructureError("org/model can't be fetched: no route"), Failure.INFRASTRUCTURE),
    ],
)
def test_weights_that_do_not_come_end_the_trial_once(tmp_path: Path, fault: Exception, failure: Failure) -> None:
    here, world = lab(tmp_path), WorldWithHub(fault=fault)
    report = here.trial(world).run_rung(0)
    assert (report.failure, report.message) == (failure, str(fault))
    assert (here.stored().state, here.stored().failure) == (TrialState.FAILED, failure)
    assert (world.orders, world.launches) == (1, [])


def test_a_hub_that_is_too_slow_is_no_fault_of_the_config(tmp_path: Path) -> None:
    here = lab(tmp_path, fetch_s=FETCH_S / 2)
    report = here.trial(WorldWithHub()).run_rung(0)
    assert report.failure is Failure.INFRASTRUCTURE


def test_the_end_of_the_study_is_not_put_off_by_a_hub(tmp_path: Path) -> None:
    here, world = lab(tmp_path), WorldWithHub()
    began = world.clock.now_s
    report = here.trial(world, ends_in_s=60.0).run_rung(0)
    assert (report.out_of_time, report.failure) == (True, None)
    assert world.clock.now_s - began == pytest.approx(60.0)
