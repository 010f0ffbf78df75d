"""MetricsObserver: a running study as Prometheus metrics of the driver's Ray node.

Ray exports them on that node's metrics port, with ``ray_`` before each name, a few seconds late.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ray.util import metrics

from autotuner.errors import Failure
from autotuner.results.records import TrialState
from autotuner.tuning.best_so_far import BestSoFar
from autotuner.tuning.events import (
    Event,
    NodeQuarantined,
    RungEnded,
    StudyEnded,
    StudyStarted,
    TrialEnded,
    TrialRepeated,
    TrialStarted,
)

_log = logging.getLogger(__name__)
NO_ACCELERATOR = "none"  # a label's value: Prometheus takes an empty one for no label


@dataclass(frozen=True)
class StudyMetric:
    """A metric as it is told to Ray. Each has the label ``study`` besides ``labels``."""

    name: str
    is_counter: bool
    labels: tuple[str, ...]
    what: str


TRIALS = StudyMetric(
    "autotuner_trials", False, ("state",), "Trials by state; of those that ended, confirmations are left out"
)
GPUS_BUSY = StudyMetric("autotuner_gpus_busy", False, ("accelerator",), "GPUs that running trials hold")
BEST_SCORE = StudyMetric("autotuner_best_score", False, ("objective",), "Score of the best trial that has ended")
QUARANTINED = StudyMetric("autotuner_quarantined_nodes", False, (), "Nodes that get no more trials of the study")
FAILURES = StudyMetric("autotuner_failures_total", True, ("kind",), "Trials that failed or are repeated, by failure")
RUNGS = StudyMetric("autotuner_rungs_total", True, (), "Ended rungs")
GPU_SECONDS = StudyMetric("autotuner_gpu_seconds_total", True, ("accelerator",), "GPU-seconds that trials have held")

STUDY_METRICS = (TRIALS, GPUS_BUSY, BEST_SCORE, QUARANTINED, FAILURES, RUNGS, GPU_SECONDS)


class MetricsObserver:
    """Counters begin at 0 with each life of a study; gauges tell of all its lives. No metric makes a study fail."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: _ToldMetrics | None = None
        self._is_broken = False

    def on_event(self, event: Event) -> None:
        if self._is_broken:
            return
        try:
            if isinstance(event, StudyStarted):  # by now there is a Ray session, which metrics need
                self._told = _ToldMetrics(event, self._clock)
            elif isinstance(event, StudyEnded):
                self._told = None
            elif self._told is not None:
                self._told.see(event)
        except Exception as error:  # noqa: BLE001  # Ray's may raise anything; the study goes on without them
            self._is_broken = True
            _log.warning("the study goes on without metrics for Prometheus: %s", error)

    def close(self) -> None:
        self._told = None


class _ToldMetrics:
    """One life of a study in Ray's metrics."""

    def __init__(self, study: StudyStarted, clock: Callable[[], float]) -> None:
        self._study = study
        self._clock = clock
        self._metrics = {metric: _make(metric, study.name) for metric in STUDY_METRICS}
        self._ended = {state: study.resumed.get(state, 0) for state in TrialState if state.is_terminal}
        self._running: dict[str, TrialStarted] = {}
        self._best = BestSoFar()
        self._best.begin(study)
        self._quarantined = 0
        self._busy: dict[str, int] = {}
        self._charged_at = clock()
        self._tell()

    def see(self, event: Event) -> None:
        self._charge()
        match event:
            case TrialStarted():
                self._running[event.trial_id] = event
            case RungEnded():
                self._metrics[RUNGS].inc()
            case TrialRepeated():
                self._running.pop(event.trial_id, None)
                self._count_failure(event.failure or Failure.INFRASTRUCTURE)
            case TrialEnded():
                self._end(event)
            case NodeQuarantined():
                self._quarantined += 1
        self._tell()

    def _end(self, event: TrialEnded) -> None:
        self._running.pop(event.trial_id, None)
        self._best.see(event)
        if event.failure is not None:
            self._count_failure(event.failure)
        if event.phase.explores:
            self._ended[event.state] += 1

    def _count_failure(self, failure: Failure) -> None:
        self._metrics[FAILURES].inc(tags={"kind": failure.value})

    def _charge(self) -> None:
        """GPU-seconds since the last event."""
        now = self._clock()
        for accelerator, gpus in self._busy.items():
            if gpus and now > self._charged_at:
                self._metrics[GPU_SECONDS].inc(gpus * (now - self._charged_at), tags={"accelerator": accelerator})
        self._charged_at = now

    def _tell(self) -> None:
        trials = {TrialState.RUNNING: len(self._running), **self._ended}
        for state, count in trials.items():
            self._metrics[TRIALS].set(count, tags={"state": state.value})
        self._busy = dict.fromkeys(self._busy, 0)  # a type of which none is busy any more is told as 0
        for trial in self._running.values():
            accelerator = trial.accelerator or NO_ACCELERATOR
            self._busy[accelerator] = self._busy.get(accelerator, 0) + trial.gpus
        for accelerator, gpus in self._busy.items():
            self._metrics[GPUS_BUSY].set(gpus, tags={"accelerator": accelerator})
        self._metrics[QUARANTINED].set(self._quarantined)
        if self._best.best is not None:
            self._metrics[BEST_SCORE].set(self._best.best[1].score, tags={"objective": self._study.objective})


def _make(metric: StudyMetric, study: str) -> Any:
    kind = metrics.Counter if metric.is_counter else metrics.Gauge
    made = kind(metric.name, metric.what, tag_keys=("study", *metric.labels))
    return made.set_default_tags({"study": study})
