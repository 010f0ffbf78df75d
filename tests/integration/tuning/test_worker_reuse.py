"""Workers go from trial to trial on a real Ray, also while another trial waits for a worker of another kind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher
from ray.util import placement_group_table

from autotuner.results.records import Phase
from autotuner.space.config import Config
from autotuner.tuning.decisions.assignment import Assignment, RungReport
from autotuner.tuning.decisions.budget import Budget, Spent
from autotuner.tuning.decisions.conductor import Conductor
from autotuner.tuning.decisions.placement_policy import Need, Share
from autotuner.tuning.on_ray.session import ray_session
from autotuner.tuning.on_ray.trainable import ASSIGNMENT, REPORT, SCORE
from autotuner.tuning.on_ray.trial_schedulers import StudyTrialScheduler
from autotuner.tuning.study_run import StudyRun
from autotuner.tuning.trial.rig import SystemClock
from benchmarks.raylets import NodeKind, raylets
from tests.tuning_parts import CountingProposer, rules

SMALL = 3
WITHIN_S = 60.0


@pytest.fixture(scope="module", autouse=True)
def node() -> Iterator[None]:
    """One node with GPUs for one large trial, and cores for small ones."""
    with raylets([NodeKind(2, cpus=8)]) as running, ray_session(running.address):
        yield


class OneRung(tune.Trainable):  # type: ignore[misc]  # Ray has no type stubs
    """A small trial ends at once; a large one when its Config's file is there."""

    def setup(self, config: dict[str, Any]) -> None:
        self._assignment: Assignment = config[ASSIGNMENT]

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        until = Path(self._assignment.config.values["until"])
        while not until.exists():
            time.sleep(0.05)
        return {"done": True, SCORE: 1.0, REPORT: RungReport(self._assignment.trial_id, 0, last=True, score=None)}


class SmallBesideLarge(Searcher):  # type: ignore[misc]  # Ray has no type stubs
    """Two large trials at once, of which the second waits for the first one's GPUs; small ones one by one beside them.

    When the small ones are over it lets the large ones end, at the latest ``WITHIN_S`` seconds after.
    """

    def __init__(self, until: Path) -> None:
        super().__init__(metric=SCORE, mode="max")
        self._until = until
        self._handed_out = 0
        self._running: str | None = None
        self._over_at = 0.0
        self.workers: list[int] = []  # process ids, of the small trials
        self.gave_back = False

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self._handed_out < 2:
            return self._hand_out(gpus=2, until=self._until)
        if self._running is not None:
            return None
        if self._handed_out < 2 + SMALL:
            self._running = trial_id
            return self._hand_out(gpus=0, until=Path("/"))
        self._over_at = self._over_at or time.monotonic()
        held = [group for group in placement_group_table().values() if group["state"] == "CREATED"]
        self.gave_back = len(held) == 1
        if not self.gave_back and time.monotonic() < self._over_at + WITHIN_S:
            return None
        self._until.touch()
        return str(Searcher.FINISHED)

    def _hand_out(self, gpus: int, until: Path) -> dict[str, Any]:
        config = Config({"gpus": gpus, "until": str(until)})
        self._handed_out += 1
        return {ASSIGNMENT: Assignment(f"{self._handed_out:04d}", Phase.SEARCH, config, rungs=1)}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if trial_id == self._running and result is not None:
            self.workers.append(result["pid"])
            self._running = None

    def save(self, checkpoint_path: str) -> None:
        """Nothing to keep."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing was kept."""


def group_of(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    gpus = config[ASSIGNMENT].config.values["gpus"]
    return tune.PlacementGroupFactory([{"CPU": 1.0, "GPU": 2.0}] if gpus else [{"CPU": 1.0}])


def test_a_worker_serves_one_trial_after_another_while_a_larger_trial_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNE_MAX_PENDING_TRIALS_PG", "10")
    store: Any = None  # these trials are not the conductor's
    conductor = Conductor(rules(), CountingProposer(), Budget())
    run = StudyRun(conductor, store, [], SystemClock(), lambda _: Need((Share(0, 1.0),)), Spent(), lambda: None)
    searcher = SmallBesideLarge(tmp_path / "until")
    results = tune.Tuner(
        tune.with_resources(OneRung, group_of),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=StudyTrialScheduler(FIFOScheduler(), run),
            num_samples=-1,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="run",
            storage_path=str(tmp_path),
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    ).fit()
    assert results.num_terminated == 2 + SMALL
    assert len(searcher.workers) == SMALL
    assert len(set(searcher.workers)) == 1, "each small trial started a worker of its own"
    assert searcher.gave_back, "a worker that no trial is left for holds its place"
