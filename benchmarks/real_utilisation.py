"""The real run beside the virtual ones: 40 short trials on raylets of 8, 8 and 4 logical GPUs, by ours and by Ray Tune.

A trial sleeps for its length in a placement group of its size. Ours goes through the product's conductor, cluster
view, searcher and trial scheduler; plain Ray Tune gets the list as a grid.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler

from autotuner.metrics.request import PointRun
from autotuner.results.records import FailureRecord, RungRecord, TrialEnd, TrialRecord, Usage
from autotuner.results.waits import Wait
from autotuner.scoring import Score, parse_objective
from autotuner.space.config import Config
from autotuner.tuning.decisions.assignment import RungReport
from autotuner.tuning.decisions.budget import Budget, Spent
from autotuner.tuning.decisions.conductor import Conductor
from autotuner.tuning.decisions.placement_policy import Need, Share
from autotuner.tuning.decisions.rules import Rules
from autotuner.tuning.on_ray.cluster import NODE_LABEL, Cluster
from autotuner.tuning.on_ray.ray_searcher import ConductorSearcher
from autotuner.tuning.on_ray.session import ray_session
from autotuner.tuning.on_ray.trainable import ASSIGNMENT, REPORT, SCORE
from autotuner.tuning.on_ray.trial_schedulers import StudyTrialScheduler
from autotuner.tuning.proposers import Outcome
from autotuner.tuning.study_ports import StudyStore
from autotuner.tuning.study_run import StudyRun
from autotuner.tuning.trial.rig import SystemClock
from benchmarks.raylets import NodeKind, raylets
from benchmarks.virtual_cluster import VirtualTrial, bound_s

_SHORTER = 10.0  # than the virtual trials: 6 to 18 s


class _Sleeper(tune.Trainable):  # type: ignore[misc]  # Ray has no type stubs
    """One trial of ours or of plain Ray Tune; both say how long it is."""

    def setup(self, config: dict[str, Any]) -> None:
        self._config = config

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._config = new_config
        return True

    def step(self) -> dict[str, Any]:
        assignment = self._config.get(ASSIGNMENT)
        values = assignment.config.values if assignment is not None else self._config["trial"]
        time.sleep(values["length_s"])
        report = None
        if assignment is not None:
            score = Score(1.0, True, True, None, 1.0, {"throughput": 1.0})
            report = RungReport(assignment.trial_id, 0, last=True, score=score)
        return {"done": True, SCORE: 1.0, REPORT: report}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing to keep."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing was kept."""


class _Listed:
    """The trials after the first as a searcher that does not learn."""

    learns = False

    def __init__(self, configs: Sequence[Config]) -> None:
        self._left = list(configs)

    def propose(self, trial_id: str) -> Config | None:
        return self._left.pop(0) if self._left else None

    def tell(self, trial_id: str, outcome: Outcome) -> None:
        """Nothing is learnt."""

    def replay(self, trial_id: str, config: Config, outcome: Outcome | None) -> None:
        """There is no earlier life."""


class _NoStore:
    """A StudyStore that stores nothing: only time is looked at."""

    def hand_out(self, record: TrialRecord) -> None: ...

    def pause(self, trial_id: str, held_s: float) -> None: ...

    def go_on(self, trial_id: str, held_s: float) -> None: ...

    def note_alive(self) -> None: ...

    def take_back(self, trial_id: str, held_s: float) -> Usage:
        return Usage(reserved_s=held_s)

    def add_quarantine(self, node: str, reason: str) -> None: ...

    def waits(self) -> Sequence[Wait]:
        return ()

    def set_wait(self, trial_id: str, wait: Wait | None) -> None: ...

    def begin_trial(self, record: TrialRecord) -> TrialRecord:
        return record

    def begin_launch(self, trial_id: str, node: str, accelerator: str) -> str:
        return trial_id

    def set_config(self, trial_id: str, launch_id: str, config: Mapping[str, Any]) -> None: ...

    def launched(self, trial_id: str, launch_id: str, startup_s: float, engine_version: str) -> None: ...

    def rungs(self, trial_id: str) -> Sequence[RungRecord]:
        return ()

    def runs(self, trial_id: str) -> Sequence[tuple[int, PointRun]]:
        return ()

    def add_rung(self, record: RungRecord) -> None: ...

    def end_trial(self, end: TrialEnd) -> None: ...

    def note_failure(self, record: FailureRecord) -> None: ...

    def set_usage(self, trial_id: str, usage: Usage, node: str) -> None: ...

    def append_log(self, trial_id: str, name: str, offset: int, data: bytes) -> int:
        return offset + len(data)


def real_ratios(trials: Sequence[VirtualTrial], gpus: Sequence[int]) -> dict[str, float]:
    """Time over the bound of ours and of plain Ray Tune (``fifo``), for a list of trials that is known."""
    short = [replace(trial, length_s=trial.length_s / _SHORTER) for trial in trials]
    bound = bound_s(short, gpus)
    return {name: _measure(run, short, gpus) / bound for name, run in _RUNS.items()}


def _measure(
    run: Callable[[Sequence[VirtualTrial]], None], trials: Sequence[VirtualTrial], gpus: Sequence[int]
) -> float:
    """Seconds from the first to the last, workers' starts included, on a cluster of their own."""
    with raylets([NodeKind(count, cpus=64) for count in gpus]) as cluster, ray_session(cluster.address):
        started = time.monotonic()
        run(trials)
        return time.monotonic() - started


def _ours(trials: Sequence[VirtualTrial]) -> None:
    configs = [Config({"gpus": trial.gpus, "length_s": trial.length_s, "n": n}) for n, trial in enumerate(trials)]
    rules = Rules(len(configs), 1, 0, (parse_objective("throughput"),), configs[0], None, "score")
    conductor = Conductor(rules, _Listed(configs[1:]), Budget(), (), _need_of)
    store: StudyStore = _NoStore()  # by its type, so that a new method of the product's is missed here at once
    run = StudyRun(conductor, store, [], SystemClock(), _need_of, Spent(), lambda: None, Cluster())
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = "1000"
    _fit(
        tune.with_resources(_Sleeper, lambda config: _pinned(config[ASSIGNMENT])),
        tune.TuneConfig(
            search_alg=ConductorSearcher(run, "max"),
            scheduler=StudyTrialScheduler(FIFOScheduler(), run),
            num_samples=-1,
            reuse_actors=True,
        ),
        {},
    )


def _plain(trials: Sequence[VirtualTrial]) -> None:
    os.environ.pop("TUNE_MAX_PENDING_TRIALS_PG", None)
    listed = [{"gpus": trial.gpus, "length_s": trial.length_s} for trial in trials]
    _fit(
        tune.with_resources(_Sleeper, lambda config: _group(config["trial"]["gpus"])),
        tune.TuneConfig(),
        {"trial": tune.grid_search(listed)},
    )


_RUNS = {"autotuner": _ours, "fifo": _plain}


def _need_of(config: Config) -> Need:
    return Need((Share(int(config.values["gpus"]), 1.0),))


def _pinned(assignment: Any) -> tune.PlacementGroupFactory:
    return _group(assignment.config.values["gpus"], bundle_label_selector=[{NODE_LABEL: assignment.nodes[0]}])


def _group(gpus: int, **more: Any) -> tune.PlacementGroupFactory:
    return tune.PlacementGroupFactory([{"CPU": 1.0, "GPU": float(gpus)}], strategy="STRICT_PACK", **more)


def _fit(trainable: Any, tune_config: tune.TuneConfig, space: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory(prefix="utilisation-") as folder:
        checkpoints = tune.CheckpointConfig(checkpoint_at_end=False, checkpoint_frequency=0)
        run_config = tune.RunConfig(name="run", storage_path=folder, verbose=0, checkpoint_config=checkpoints)
        tune.Tuner(trainable, param_space=space, tune_config=tune_config, run_config=run_config).fit()
    assert ray.is_initialized()
