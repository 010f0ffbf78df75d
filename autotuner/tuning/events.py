"""What a running study tells its observers (terminal, TensorBoard, logs)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from autotuner.errors import Failure
from autotuner.metrics.load_level import LoadLevel
from autotuner.results.account import Account
from autotuner.results.noise.told_shift import ToldShift
from autotuner.results.records import Phase, TrialState
from autotuner.results.waits import Wait
from autotuner.scoring import Select
from autotuner.scoring.score import Score


@dataclass(frozen=True)
class StudyStarted:
    name: str
    out_dir: str
    trials: int
    rungs: int
    objective: str
    direction: str  # "min" or "max"
    concurrent_trials: int  # of the default's size, over all GPU types
    resumed: Mapping[TrialState, int] = field(default_factory=dict)  # of baseline and search, ended in earlier lives
    resumed_counted: int = 0  # of these, towards ``trials``
    resumed_best: tuple[str, Score] | None = None  # trial and score
    confirmations: int = 0  # at most
    select: Select = "slo_met"
    concurrent_by_type: Mapping[str, int] = field(default_factory=dict)  # of a study over several GPU types
    wall_clock_s: float | None = None  # budget
    gpu_seconds: float | None = None  # budget
    account: Account = field(default_factory=Account)  # what is spent by now, in this life and before

    @property
    def resumed_trials(self) -> int:
        return sum(self.resumed.values())


@dataclass(frozen=True)
class ConfigsLeftOut:
    """Configs that are never proposed, since no node holds them."""

    reason: str


@dataclass(frozen=True)
class TrialStarted:
    trial_id: str
    phase: Phase
    config: Mapping[str, Any]
    gpus: int = 0  # reserved
    accelerator: str = ""  # their type, where it is known
    cpus: int = 0  # reserved


@dataclass(frozen=True)
class RungEnded:
    trial_id: str
    phase: Phase
    config: Mapping[str, Any]
    rung: int
    score: Score
    metrics: Mapping[LoadLevel, Mapping[str, float]]  # of each load point


@dataclass(frozen=True)
class TrialEnded:
    trial_id: str
    phase: Phase
    config: Mapping[str, Any]
    state: TrialState
    failure: Failure | None
    message: str
    score: Score | None
    gpu_seconds: float  # that it held them for since it was last started
    cpu_seconds: float


@dataclass(frozen=True)
class RankingChanged:
    """From the end of this trial on, trials rank by how far they are over the SLOs, or by their scores again."""

    trial_id: str
    by_violation: bool


@dataclass(frozen=True)
class TrialRepeated:
    """A trial that failed on ``node``, or was lost with it (``failure`` ``None``), is to be started again elsewhere."""

    trial_id: str
    failure: Failure | None
    message: str
    node: str
    gpu_seconds: float = 0.0  # that it held them for since it was last started
    cpu_seconds: float = 0.0


@dataclass(frozen=True)
class NodeQuarantined:
    """A node that gets no further trial of this study."""

    node: str
    reason: str


@dataclass(frozen=True)
class DefaultShifted:
    """The default, measured again, came to be faster or slower by more than chance."""

    shift: ToldShift


@dataclass(frozen=True)
class Waiting:
    """All that is waited for from now on because others hold it; none: nothing any more."""

    waits: tuple[Wait, ...]


@dataclass(frozen=True)
class PhaseStarted:
    phase: Phase
    message: str


@dataclass(frozen=True)
class StudyEnded:
    stop_reason: str
    account: Account | None = None  # what was spent; None: by the events alone


Event = (
    StudyStarted
    | ConfigsLeftOut
    | TrialStarted
    | RungEnded
    | TrialRepeated
    | TrialEnded
    | RankingChanged
    | NodeQuarantined
    | DefaultShifted
    | Waiting
    | PhaseStarted
    | StudyEnded
)


class Observer(Protocol):
    """Sees each event once, in order, on the driver. Must not raise and must not block."""

    def on_event(self, event: Event) -> None: ...

    def close(self) -> None: ...
