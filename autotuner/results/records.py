"""The rows of the store: what is known of a study, a trial, a rung."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from autotuner.errors import Failure
from autotuner.metrics.measurement import Measurement
from autotuner.metrics.request import PointRun
from autotuner.scoring.score import Score

LITTLE_LEFT = "little is left to find"  # so the reason begins where search.stop ended a search


class Phase(StrEnum):
    """What a trial is for."""

    NODE_CHECK = "node_check"  # the default's first rung on each of several like nodes, to find slow ones
    BASELINE = "baseline"
    REFERENCE = "reference"  # the default again while the search goes on, at one load level
    SEARCH = "search"
    PUT_BACK = "put_back"  # the best with some of its settings as the default has them, after the search
    CONFIRM = "confirm"  # best or default afresh

    @property
    def explores(self) -> bool:
        """Whether its trials are those that ``search.trials`` counts; others measure one of their Configs anew."""
        return self in (Phase.BASELINE, Phase.SEARCH, Phase.PUT_BACK)

    @property
    def is_afresh(self) -> bool:
        """Whether its trials measure a Config again whose own trial has ended, and do so in a single rung."""
        return self in (Phase.REFERENCE, Phase.CONFIRM)

    def counts(self, failure: Failure | None) -> bool:
        """Whether a trial that ended so uses up one of ``search.trials``: no searched one that the load driver was too
        slow for, which says nothing about its Config."""
        return self.explores and (self is Phase.BASELINE or failure is not Failure.CLIENT_SATURATED)


class TrialState(StrEnum):
    """A trial's life.

    RUNNING ──▶ COMPLETED  reached the last rung
            ├─▶ STOPPED    by the trial scheduler or a budget: has ended rungs or none
            └─▶ FAILED     see its Failure
    """

    RUNNING = "running"
    COMPLETED = "completed"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def is_terminal(self) -> bool:
        return self is not TrialState.RUNNING


@dataclass(frozen=True)
class Usage:
    """Seconds a trial held its place, over all its launches; times GPUs or CPUs gives GPU-seconds.

    ``warmup_s`` are those of ``measuring_s`` that passed before the first measured request of each load point.
    """

    reserved_s: float = 0.0
    loading_s: float = 0.0
    measuring_s: float = 0.0
    warmup_s: float = 0.0


@dataclass(frozen=True)
class Hold:
    """What a trial reserves. ``since`` is the epoch second from which it holds that; ``None``: it does not now."""

    gpus: int
    cpus: int
    since: float | None = None


@dataclass(frozen=True)
class TrialRecord:
    """A trial when it starts. Times are seconds since the epoch.

    ``config`` is the Config that ran, ``asked`` the one that was asked for where that is another: servers that had no
    memory to start ran with less of it. ``gpus`` and ``cpus`` are what its servers and their client use. A server that
    was there before uses GPUs that the trial does not reserve: ``hold`` is what it does, ``None`` for both alike.
    """

    trial_id: str
    phase: Phase
    config: Mapping[str, Any]
    started_at: float
    state: TrialState = TrialState.RUNNING
    failure: Failure | None = None
    message: str = ""
    gpus: int = 0
    cpus: int = 0
    replicas: int = 1
    accelerator: str = ""
    node: str = ""
    launch_id: str = ""
    engine_version: str = ""
    startup_s: float | None = None
    ended_at: float | None = None
    usage: Usage = Usage()
    hold: Hold | None = None
    asked: Mapping[str, Any] | None = None

    @property
    def changed_at_start(self) -> str:
        """What runs otherwise than was asked for, in words; empty: nothing."""
        return "" if self.asked is None else changes_text(self.asked, self.config)

    @property
    def is_counted(self) -> bool:
        """Whether it uses up one of ``search.trials``."""
        return self.phase.counts(self.failure)

    @property
    def held(self) -> Hold:
        """What it reserves."""
        return self.hold or Hold(self.gpus, self.cpus)

    @property
    def gpu_seconds(self) -> float:
        return self.held.gpus * self.usage.reserved_s

    @property
    def cpu_seconds(self) -> float:
        return self.held.cpus * self.usage.reserved_s


def changes_text(asked: Mapping[str, Any], ran: Mapping[str, Any]) -> str:
    """``gpu-memory-utilization 0.95 → 0.9``."""
    changed = [name for name in ran if asked.get(name) != ran[name]]
    return ", ".join(f"{name} {asked.get(name, 'not set')} → {ran[name]}" for name in changed)


@dataclass(frozen=True)
class RungRecord:
    """One ended rung: written once, with its measurements and raw requests, in one commit.

    ``usage`` is the trial's so far. Read back from the store, ``runs`` is empty and measurements have no
    samples: the requests are read only when asked for.
    """

    trial_id: str
    rung: int
    launch_id: str
    score: Score
    measurements: tuple[Measurement, ...]
    ended_at: float
    usage: Usage
    runs: tuple[PointRun, ...] = ()
    failures: tuple[PointFailure, ...] = ()

    @property
    def disturbed(self) -> str:
        """What disturbed the load points that its score rests on."""
        return disturbed_score(self.score, self.measurements)


def disturbed_score(score: Score, measurements: Sequence[Measurement]) -> str:
    """What disturbed the load points that a score rests on: its own, where it is of one, else all; empty: nothing."""
    own = [m.disturbed for m in measurements if m.disturbed and score.level in (None, m.level)]
    return "; ".join(dict.fromkeys(own))


@dataclass(frozen=True)
class PointFailure:
    """A load point that has no measurement."""

    level: str
    failure: Failure
    message: str


@dataclass(frozen=True)
class TrialEnd:
    """How a trial ended. ``usage`` is the whole trial's. ``node``: the one whose process says so; empty: the driver."""

    trial_id: str
    state: TrialState
    ended_at: float
    usage: Usage
    failure: Failure | None = None
    message: str = ""
    log_tail: str = ""
    node: str = ""


class StudyStatus(StrEnum):
    """A study's life: RUNNING ──▶ COMPLETED by its budget, or INTERRUPTED by a signal or an error; resumed: RUNNING."""

    RUNNING = "running"
    COMPLETED = "completed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class StudyRecord:
    """The study itself. Times are seconds since the epoch."""

    study_id: str
    name: str
    study_yaml: str
    status: StudyStatus
    stop_reason: str
    created_at: float
    ended_at: float | None = None


@dataclass(frozen=True)
class LifeRecord:
    """One run of the study by one driver, counted from 1. Times are seconds since the epoch.

    ``seen_at`` is when its driver was last known to live. GPU- and CPU-seconds are those of the lives before.
    """

    life: int
    began_at: float
    seen_at: float
    ended_at: float | None
    gpu_s_before: float
    cpu_s_before: float


@dataclass(frozen=True)
class QuarantineRecord:
    """A node that got no further trials, as people know it; ``at`` in seconds since the epoch."""

    node: str
    reason: str
    at: float


@dataclass(frozen=True)
class FailureRecord:
    """One failure, of a trial's launch (``rung`` and ``level`` are ``None``) or of a load point."""

    trial_id: str
    failure: Failure
    message: str
    at: float
    rung: int | None = None
    level: str | None = None
    log_tail: str = ""
