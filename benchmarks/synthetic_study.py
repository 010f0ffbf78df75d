"""An output folder of a study that was never run, written through the real store and scorer.

The figures follow a small queueing-like formula of the Config and the load level, with seeded noise: reports and
tables of any size can be made in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autotuner.errors import Failure
from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.metrics.measurement import Measurement
from autotuner.metrics.registry import LATENCY_METRICS
from autotuner.results.folder import OutputFolder
from autotuner.results.records import (
    Phase,
    RungRecord,
    StudyStatus,
    TrialEnd,
    TrialRecord,
    TrialState,
    Usage,
)
from autotuner.results.storage.store import Store
from autotuner.scoring.objective import parse_objective
from autotuner.scoring.score import Score
from autotuner.scoring.scorer import score_rung
from autotuner.scoring.select import select_best
from autotuner.study.model import Study

STUDY_ID = "synthetic-0000"
_STATISTICS = {"mean": 1.0, "p50": 0.95, "p90": 1.35, "p95": 1.6, "p99": 2.2}
_BEGAN = 1_790_000_000.0


@dataclass(frozen=True)
class Shape:
    """How large the study is, and what goes wrong in it: shares of the trials that fail or are stopped."""

    trials: int = 40
    levels: tuple[float, ...] = (1, 4, 16, 64)
    rungs: int = 3
    gpus: int = 0
    confirm: int = 3
    failing: float = 0.1
    stopped: float = 0.5
    infeasible: float = 0.0
    seed: int = 0


def make_study(shape: Shape, **changes: Any) -> Study:
    """The study that the folder is of; ``changes`` replace its sections."""
    sections: dict[str, Any] = {
        "name": "synthetic",
        "model": {"id": "/models/tiny.gguf"},
        "engine": {"name": "llamacpp"},
        "space": {"parameters": {"ubatch-size": [32, 128, 512]}},
        "workload": {"scenario": "D(256,64)", "load": {"concurrency": [int(v) for v in shape.levels]}},
        "slo": {
            "ttft": {"p90": {"threshold_ms": 900}, "p99": {"threshold_ms": 1500}},
            "tpot": {"mean": {"threshold_ms": 40}},
        },
        "objective": "goodput_per_gpu",
        "search": {"trials": shape.trials, "confirm": shape.confirm},
        "fidelity": {"rungs": shape.rungs},
    }
    return Study.model_validate(sections | changes)


def default_config() -> dict[str, Any]:
    return {"batch-size": 2048, "ubatch-size": 512, "parallel": 1, "flash-attn": "auto", "cache-type-k": "f16"}


def draw_config(rng: np.random.Generator) -> dict[str, Any]:
    config: dict[str, Any] = {
        "batch-size": int(rng.choice([256, 512, 1024, 2048])),
        "ubatch-size": int(rng.choice([32, 64, 128, 256, 512])),
        "parallel": int(rng.integers(1, 65)),
        "flash-attn": str(rng.choice(["on", "off", "auto"])),
        "cache-type-k": str(rng.choice(["f16", "q8_0", "q4_0"])),
    }
    if rng.random() < 0.5:
        config["cache-reuse"] = int(rng.choice([64, 256]))
    return config


def write_folder(path: Path, study: Study, shape: Shape) -> Path:
    """Writes study.yaml and results.sqlite of the study into ``path``, trial by trial as a study would."""
    folder = OutputFolder(path)
    folder.prepare(study, STUDY_ID)
    rng = np.random.default_rng(shape.seed)
    with Store(folder.database_url, folder.requests) as store:
        store.open_study(folder.study_yaml.read_text(), STUDY_ID, study.name, now=_BEGAN)
        writer = _Writer(store, study, shape, rng)
        for number in range(shape.trials):
            writer.search_trial(number)
        writer.confirm()
        store.end_study(StudyStatus.COMPLETED, f"all {shape.trials} trials ended", now=writer.now)
    return path


class _Writer:
    def __init__(self, store: Store, study: Study, shape: Shape, rng: np.random.Generator) -> None:
        self._store = store
        self._study = study
        self._shape = shape
        self._rng = rng
        self.now = _BEGAN
        self._scores: dict[str, Score] = {}
        self._configs: dict[str, Mapping[str, Any]] = {}

    def search_trial(self, number: int) -> None:
        trial_id, draw = f"{number:04d}", self._rng.random()
        config = draw_config(self._rng) if number else default_config()
        phase = Phase.SEARCH if number else Phase.BASELINE
        if number and draw < self._shape.failing:
            self._failed(trial_id, config)
            return
        ended = self._shape.rungs
        if number and draw < self._shape.failing + self._shape.stopped:
            ended = int(self._rng.integers(1, max(2, self._shape.rungs)))
        self._measured(trial_id, phase, config, range(ended), is_infeasible=self._rng.random() < self._shape.infeasible)

    def confirm(self) -> None:
        """The best completed trial and the default, afresh, in turn."""
        objective = parse_objective(self._study.objectives[0])
        best = select_best(self._scores, objective, self._study.search.select)
        if best is None:
            return
        for number in range(1, self._shape.confirm + 1):
            for trial_id in dict.fromkeys(("0000", best.trial_id)):
                config = self._configs[trial_id]
                self._measured(f"{trial_id}-c{number}", Phase.CONFIRM, config, [self._shape.rungs - 1])

    def _measured(
        self,
        trial_id: str,
        phase: Phase,
        config: Mapping[str, Any],
        rungs: Sequence[int] | range,
        *,
        is_infeasible: bool = False,
    ) -> None:
        self._start(trial_id, phase, config)
        usage = Usage(reserved_s=9, loading_s=4)
        speed = float(self._rng.normal(1, 0.03))
        for rung in rungs:
            measuring_s = usage.measuring_s + 12 * 3**rung
            usage = Usage(9 + measuring_s, 4, measuring_s)
            self.now += 12 * 3**rung
            share = 3.0 ** (rung - self._shape.rungs + 1)
            measurements = tuple(
                self._measurement(config, level, share, speed, errors=0.2 if is_infeasible else 0.0)
                for level in self._shape.levels
            )
            score = score_rung(
                measurements, [], self._study.slo, [parse_objective(name) for name in self._study.objectives]
            )
            self._store.add_rung(RungRecord(trial_id, rung, f"{trial_id}-l1", score, measurements, self.now, usage))
        is_complete = rungs[-1] == self._shape.rungs - 1
        if is_complete and phase is not Phase.CONFIRM:
            self._scores[trial_id], self._configs[trial_id] = score, config
        state = TrialState.COMPLETED if is_complete else TrialState.STOPPED
        self._end(TrialEnd(trial_id, state, self.now, usage))

    def _failed(self, trial_id: str, config: Mapping[str, Any]) -> None:
        self._start(trial_id, Phase.SEARCH, config)
        failure = Failure.OUT_OF_MEMORY_AT_START if self._rng.random() < 0.5 else Failure.INVALID_CONFIG
        log = "".join(f"llama_context: line {i}\n" for i in range(30)) + "ggml: failed to allocate buffer\n"
        self.now += 6
        usage = Usage(reserved_s=6, loading_s=6)
        message = "failed to allocate the KV cache"
        self._end(TrialEnd(trial_id, TrialState.FAILED, self.now, usage, failure, message, log))

    def _end(self, end: TrialEnd) -> None:
        self._store.end_trial(end)
        self._store.let_go(end.trial_id, end.usage.reserved_s, now=end.ended_at)

    def _start(self, trial_id: str, phase: Phase, config: Mapping[str, Any]) -> None:
        shape = self._shape
        record = TrialRecord(trial_id, phase, config, self.now, gpus=shape.gpus, cpus=2, accelerator="", node="local")
        self._store.add_trial(record)
        self._store.take_hold(trial_id, record.held, now=self.now)
        self._store.update_launch(trial_id, f"{trial_id}-l1", node="local", startup_s=4.0, engine_version="b9999")

    def _measurement(
        self, config: Mapping[str, Any], level: float, share: float, speed: float, *, errors: float
    ) -> Measurement:
        slots = min(level, config["parallel"])
        waiting = max(0.0, level - slots) / max(1.0, slots)
        pace = speed * (0.6 + 0.4 * config["ubatch-size"] / 512) * {"off": 0.7}.get(str(config["flash-attn"]), 1.0)
        pace *= {"q4_0": 0.75, "q8_0": 0.9}.get(str(config["cache-type-k"]), 1.0)
        noise = float(self._rng.normal(1, 0.02 / share**0.5))
        tpot = 6 * (1 + 0.11 * slots) / pace * noise
        ttft = 60 * (1 + 0.05 * slots + 1.2 * waiting) / pace * noise
        e2e = ttft + 63 * tpot
        throughput = 1000 * level * 64 / e2e
        latencies = {"ttft": ttft, "ttft_visible": ttft, "tpot": tpot, "itl": tpot, "e2e": e2e}
        metrics = {
            metric.column(name): latencies[metric.name] * factor
            for metric in LATENCY_METRICS
            for name, factor in _STATISTICS.items()
        }
        good = float(np.clip(1.6 - ttft * 1.35 / 900, 0, 1) * np.clip(2 - tpot / 40, 0, 1))
        rates = {
            "output_tokens_per_s": throughput,
            "total_tokens_per_s": throughput * 5,
            "requests_per_s": throughput / 64,
            "goodput_per_s": throughput / 64 * good,
        }
        per_gpu = {f"{name}_per_gpu": value / max(1, self._shape.gpus) for name, value in rates.items()}
        requests = max(4, round(8 * level * share))
        return Measurement(
            LoadLevel(LoadKind.CONCURRENCY, level),
            requests,
            round(errors * requests),
            {**metrics, **rates, **per_gpu, "tokens_per_s_per_user": 1000 / tpot, "error_rate": errors},
        )
