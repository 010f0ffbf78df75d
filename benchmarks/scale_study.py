"""A study of empty servers of 8 GPUs each, on 64 logical GPUs over 4 raylets, watched from its driver."""

from __future__ import annotations

import struct
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from ray._private.state import actors

from autotuner.results import OutputFolder
from autotuner.study import study_id
from autotuner.study.model import Study
from autotuner.tuning.events import Event, Observer, TrialEnded, TrialStarted
from autotuner.tuning.on_ray.runner import run_study
from autotuner.tuning.store_service import StoreService
from benchmarks import empty_server
from benchmarks.raylets import NodeKind

_ACCELERATOR = "H100-80GB"
NODES = (NodeKind(16, _ACCELERATOR),) * 4
_TOLD_EVERY = 25


@dataclass(frozen=True)
class Mark:
    """What the driver has used when a trial has ended. ``trial_s``: from that trial's hand-out."""

    trial_id: str
    trial_s: float
    at_s: float
    cpu_s: float
    mib: float


class Watch:
    """An Observer on the driver: a Mark for each trial, in the order in which they end."""

    def __init__(self, trials: int) -> None:
        self._trials = trials
        self.marks: list[Mark] = []
        self.workers = 0  # processes that Ray has started for trials
        self._began: dict[str, float] = {}
        self._process = psutil.Process()

    def on_event(self, event: Event) -> None:
        if isinstance(event, TrialStarted):
            self._began.setdefault(event.trial_id, time.monotonic())  # one that is repeated starts again
        elif isinstance(event, TrialEnded):
            self._mark(event.trial_id)

    def _mark(self, trial_id: str) -> None:
        now = time.monotonic()
        mib = self._process.memory_info().rss / 2**20
        self.marks.append(Mark(trial_id, now - self._began[trial_id], now, time.process_time(), mib))
        if len(self.marks) % _TOLD_EVERY == 0 or len(self.marks) == self._trials:
            self.workers = sum(actor["ActorClassName"] != StoreService.__name__ for actor in actors().values())
            print(f"trial {len(self.marks)}: {mib:.0f} MiB, {self.workers} workers", file=sys.stderr, flush=True)

    def close(self) -> None:
        """An Observer has to."""


def empty_study(folder: Path, trials: int) -> Study:
    """Each trial one rung of one load point of 4 requests."""
    model = folder / "empty.gguf"
    model.write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, 0, 0))  # no tensors, nothing told
    return Study.model_validate(
        {
            "name": "scale",
            "model": {"id": str(model), "prefetch": False},
            "engine": {
                "name": "llamacpp",
                "command": [sys.executable, "-S", "-E", empty_server.__file__],
                "args": {"threads": 1, "ctx-size": 512},
            },
            "hardware": {"accelerators": [_ACCELERATOR], "server_cpus": 1},
            "space": {
                "parallelism": {"tp": [8]},  # of several sizes, how many run at a time would change with the search
                "parameters": {"batch-size": {"int": [512, 4096]}, "ubatch-size": {"int": [32, 512]}},
            },
            "workload": {"scenario": "D(8,2)", "load": {"concurrency": [1]}, "requests": {"per_slot": 4, "min": 4}},
            "objective": "throughput",
            "search": {"algorithm": "tpe", "trials": trials, "confirm": 0, "check_nodes": "never"},
            "fidelity": {"trial_scheduler": "none", "rungs": 1},
        }
    )


def run_empty_trials(folder: Path, trials: int, address: str, observers: Sequence[Observer] = ()) -> OutputFolder:
    """On the cluster at ``address``; returns the study's folder."""
    study = empty_study(folder, trials)
    out = OutputFolder(folder / "out")
    out.prepare(study, study_id(study))
    run_study(study, study_id(study), out, address, observers)
    return out
