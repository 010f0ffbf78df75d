"""StudyProgress: where a study stands, while it runs and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from autotuner.results.account import Account
from autotuner.results.driver import Driver
from autotuner.results.fetched import FetchedCopy
from autotuner.results.records import Phase, QuarantineRecord, TrialState
from autotuner.results.standing import Standing
from autotuner.results.waits import Wait
from autotuner.scoring import Grade, Score
from autotuner.scoring.select import Choice


class Doing(StrEnum):
    """What a trial that has not ended is at."""

    WAITING = "waiting"  # for a place, to be started again or gone on with: it holds nothing
    PLACED = "placed"  # it has its GPUs, and no server yet
    STARTING = "starting"  # servers start and load the model
    MEASURING = "measuring"


@dataclass(frozen=True)
class RunningTrial:
    """A trial under test. ``score`` is of its last ended rung; ``running_s``: for how long it has held its place."""

    trial_id: str
    phase: Phase
    config: Mapping[str, Any]
    doing: Doing
    node: str
    gpus: int
    accelerator: str
    rungs_ended: int
    score: Score | None
    running_s: float
    last_activity_at: float


@dataclass(frozen=True)
class StudyProgress:
    """Counts are of trials by state, confirmations left out; ``failures`` counts failures of trials and of load
    points by kind. Limits are those of the study's budget; ``left_s`` is ``None`` where it can't be told."""

    name: str
    study_id: str
    path: Path
    at: float
    standing: Standing
    driver: Driver
    phase: Phase | None
    objective: str
    rungs: int
    trials_planned: int
    trials: Mapping[TrialState, int]
    not_counted: int  # of them, towards the planned ones
    confirmations: tuple[int, int]  # ended, planned
    running: tuple[RunningTrial, ...]
    failures: Mapping[str, int]
    best: Choice | None
    best_config: Mapping[str, Any] | None
    best_scope: str  # the load levels that the best's score is of, in words
    account: Account
    wall_clock_limit_s: float | None
    gpu_limit_s: float | None
    left_s: float | None
    last_activity_at: float | None
    quarantines: tuple[QuarantineRecord, ...]
    stop_reason: str
    fetched: FetchedCopy | None = None
    waits: tuple[Wait, ...] = ()  # for what others hold; of a study that runs
    replayed: str = ""  # from where, in words; of a study that measures nothing itself

    @property
    def ranks_by_violation(self) -> bool:
        """Whether the best is the least over the SLOs, for want of one that meets them."""
        return self.best is not None and self.best.merit.grade is Grade.VIOLATING

    def as_dict(self) -> dict[str, Any]:
        """As ``status --json`` prints it."""
        owner = self.driver.owner
        return {
            "name": self.name,
            "study_id": self.study_id,
            "folder": str(self.path),
            "at": self.at,
            "state": self.standing.value,
            "replayed": self.replayed or None,
            "driver": {
                "state": self.driver.state.value,
                "host": owner and owner.host,
                "pid": owner and owner.pid,
                "since": self.driver.since,
            },
            "phase": self.phase and self.phase.value,
            "objective": self.objective,
            "trials": {"planned": self.trials_planned, **{s.value: n for s, n in self.trials.items()}},
            "trials_not_counted": self.not_counted,
            "confirmations": dict(zip(("ended", "planned"), self.confirmations, strict=True)),
            "running": [_running_dict(trial, self.rungs) for trial in self.running],
            "waiting": [wait.as_dict() for wait in self.waits],
            "failures": dict(self.failures),
            "best": self.best and _best_dict(self.best, self.best_config or {}) | {"scope": self.best_scope},
            "spent": self.account.as_dict(),
            "budget": {"wall_clock_s": self.wall_clock_limit_s, "gpu_s": self.gpu_limit_s},
            "left_s": self.left_s,
            "last_activity_at": self.last_activity_at,
            "quarantined_nodes": [asdict(quarantine) for quarantine in self.quarantines],
            "stop_reason": self.stop_reason,
            "fetched": self.fetched and asdict(self.fetched),
        }


def _running_dict(trial: RunningTrial, rungs: int) -> dict[str, Any]:
    score = trial.score
    return {
        "trial_id": trial.trial_id,
        "phase": trial.phase.value,
        "config": dict(trial.config),
        "doing": trial.doing.value,
        "node": trial.node,
        "gpus": trial.gpus,
        "accelerator": trial.accelerator,
        "rungs_ended": trial.rungs_ended,
        "rungs": rungs,
        "score": score and score.score,
        "feasible": score and score.feasible,
        "slo_met": score and score.slo_met,
        "running_s": trial.running_s,
        "last_activity_at": trial.last_activity_at,
    }


def _best_dict(best: Choice, config: Mapping[str, Any]) -> dict[str, Any]:
    level = best.level
    return {
        "trial_id": best.trial_id,
        "config": dict(config),
        "load_kind": level.kind.value if level else None,
        "level": level.value if level else None,
        "value": best.value,
        "score": best.score,
        "slo_met": best.slo_met,
        "violations": [asdict(violation) for violation in best.violations],
    }
