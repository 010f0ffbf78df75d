"""What a trial costs beside its server's start and its load, against an empty Ray Tune trial.

Both run in this one process, one trial at a time, with the same placement group and number of rungs. A trial's
time is from the searcher's proposal to its completion as Ray Tune tells the searcher. The peer is Ray Tune
with its own defaults; with reuse_actors it is shown too, for what a reused worker saves.

Run it: ``python -m benchmarks.trial_overhead [--trials N] [--json]``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.search import Searcher

from autotuner.engines import build_space
from autotuner.results import load_results
from autotuner.results.records import Phase
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.baseline import baseline_config
from autotuner.tuning.events import Event, TrialEnded, TrialStarted
from autotuner.tuning.on_ray.placement import placement_group
from autotuner.tuning.on_ray.session import ray_session
from benchmarks.small_study import run_small_study, small_study

RUNGS = 3
MOST_RATIO = 1.3


class _Stopwatch:
    """Seconds from a trial's proposal to its completion."""

    def __init__(self) -> None:
        self._began: dict[str, float] = {}
        self.seconds: dict[str, float] = {}

    def on_event(self, event: Event) -> None:
        if isinstance(event, TrialStarted):
            self.begin(event.trial_id)
        elif isinstance(event, TrialEnded):
            self.end(event.trial_id)

    def begin(self, trial_id: str) -> None:
        self._began[trial_id] = time.perf_counter()

    def end(self, trial_id: str) -> None:
        self.seconds[trial_id] = time.perf_counter() - self._began[trial_id]

    def close(self) -> None:
        """An Observer has to."""


class _EmptyTrainable(tune.Trainable):  # type: ignore[misc]  # Ray has no type stubs
    def step(self) -> dict[str, Any]:
        return {"score": 1.0, "done": self.training_iteration + 1 >= RUNGS}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        return True


class _OneByOne(Searcher):  # type: ignore[misc]  # Ray has no type stubs
    def __init__(self, trials: int, stopwatch: _Stopwatch) -> None:
        super().__init__(metric="score", mode="max")
        self._left = trials
        self._stopwatch = stopwatch
        self._running = False

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self._running:
            return None
        if self._left == 0:
            return str(Searcher.FINISHED)
        self._left -= 1
        self._running = True
        self._stopwatch.begin(trial_id)
        return {"number": self._left}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self._running = False
        self._stopwatch.end(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Nothing to keep."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing was kept."""


def measure(trials: int) -> dict[str, float]:
    """Median seconds of a trial: ours without server start and load, and empty ones of Ray Tune."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study = small_study(folder, trials, RUNGS)
        ours = _Stopwatch()
        out = run_small_study(study, folder, [ours])
        results = load_results(out.path)
        overhead = [
            ours.seconds[trial.trial_id] - (trial.startup_s or 0.0) - trial.usage.measuring_s
            for trial in results.trial_records
        ]
        baseline = baseline_config(study, build_space(study))
        group = placement_group(study, Assignment("0000", Phase.BASELINE, baseline, RUNGS))
        with ray_session(None):
            empty = _run_empty(folder / "empty", trials, group, reuse=False)
            reused = _run_empty(folder / "reused", trials, group, reuse=True)
    return {
        "trial_s": statistics.median(ours.seconds.values()),
        "overhead_s": statistics.median(overhead),
        "empty_s": statistics.median(empty),
        "empty_reused_s": statistics.median(reused),
        "ratio": statistics.median(overhead) / statistics.median(empty),
    }


def _run_empty(folder: Path, trials: int, group: tune.PlacementGroupFactory, *, reuse: bool) -> list[float]:
    stopwatch = _Stopwatch()
    tune.Tuner(
        tune.with_resources(_EmptyTrainable, group),
        tune_config=tune.TuneConfig(search_alg=_OneByOne(trials, stopwatch), num_samples=-1, reuse_actors=reuse),
        run_config=tune.RunConfig(
            storage_path=str(folder), verbose=0, checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False)
        ),
    ).fit()
    return list(stopwatch.seconds.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("a trial needs two cores: its server's and its load driver's")
    found = measure(arguments.trials)
    within = found["ratio"] <= MOST_RATIO
    if arguments.json:
        print(json.dumps({**found, "bound": MOST_RATIO, "within_bounds": within}))
        return 0 if within else 1
    print(f"median of {arguments.trials} trials, {RUNGS} rungs each, one at a time")
    print(f"  {'our trial, all of it':<46} {found['trial_s']:6.2f} s")
    print(f"  {'our trial without server start and load':<46} {found['overhead_s']:6.2f} s")
    print(f"  {'empty Ray Tune trial':<46} {found['empty_s']:6.2f} s")
    print(f"  {'empty Ray Tune trial, reuse_actors':<46} {found['empty_reused_s']:6.2f} s")
    print(f"  {'ratio to the empty trial':<46} {found['ratio']:6.2f}   bound {MOST_RATIO}")
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
