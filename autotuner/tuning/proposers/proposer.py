"""Proposer: the interface of every searcher, and what it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable

from autotuner.space.config import Config
from autotuner.tuning.proposers.shown import Shown


class OutcomeKind(StrEnum):
    """How a proposed Config turned out.

    COMPLETED and INFEASIBLE are final; PRUNED was stopped early, its scores are those of low rungs and
    are never told as final; UNKNOWN says nothing about the Config (a node was lost) and is forgotten.
    """

    COMPLETED = "completed"
    INFEASIBLE = "infeasible"
    PRUNED = "pruned"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Outcome:
    """``values``: the told value of each objective, finite, in the objectives' own directions.

    ``by_rung`` maps ended rungs to the told value of the first objective, ``all_by_rung`` to those of every one where
    there are several. ``infeasibility`` is 0 for what is feasible, and more the further something is from that.
    ``meets_slos``: values of what does not are below those of all that do.
    ``shown``: what each ended rung's load levels showed in the first objective; a level that is missing from the last
    rung of a completed trial failed, or would have.
    ``gpu_s``: GPU-seconds that the trial reserved, without GPUs seconds, and ``start_gpu_s`` those of them until its
    servers answered; 0 where that is not known.
    """

    kind: OutcomeKind
    values: tuple[float, ...] = ()
    by_rung: Mapping[int, float] = field(default_factory=dict)
    infeasibility: float = 0.0
    meets_slos: bool = True
    gpu_s: float = 0.0
    shown: Mapping[int, Sequence[Shown]] = field(default_factory=dict)
    start_gpu_s: float = 0.0
    all_by_rung: Mapping[int, tuple[float, ...]] = field(default_factory=dict)


class Proposer(Protocol):
    """Proposes Configs of the space and learns from outcomes. Same seed and same order: same proposals."""

    @property
    def learns(self) -> bool:
        """Whether what it proposes depends on outcomes, so that it is best asked late."""
        ...

    def propose(self, trial_id: str) -> Config | None:
        """The next Config, or ``None`` when there is none left that was not proposed before."""
        ...

    def tell(self, trial_id: str, outcome: Outcome) -> None:
        """How a proposed trial ended. Each proposal is told once."""
        ...

    def replay(self, trial_id: str, config: Config, outcome: Outcome | None) -> None:
        """A trial that it has not proposed in this life: one of an earlier life, or a baseline, of which it learns too.

        ``None`` when it is still to be ended (then told). ``config`` is not proposed any more. A baseline need not be a
        Config of the space: it leaves to the server what the space has values for.
        """
        ...


@runtime_checkable
class Amending(Protocol):
    """A searcher that can be told anew of a trial that it was told of."""

    def amend(self, trial_id: str, outcome: Outcome) -> None: ...


@runtime_checkable
class Foreseeing(Protocol):
    """A searcher that tells what it still expects to find."""

    def expected_gain(self, before: int = 0) -> float | None:
        """By which share the best Config that is still open is expected to be better than the best so far.

        ``before``: as it was before the last so many trials were told of. ``None`` where nothing is expected: of
        several objectives, and while no trial has met the SLOs.
        """
        ...


@dataclass(frozen=True)
class GainBelief:
    """What a searcher believes one Config to gain over another: log(ratio) of the first objective, turned so that more
    is better, each Config at its best load level where the SLOs are met.

    ``gain`` is the median, ``low`` and ``high`` are the ends of the interval that holds it with 95 %, as far as the
    other meets the SLOs; ``None`` where it hardly ever would. ``meets``, ``other_meets``: how probable it is that each
    meets the SLOs, at the load level where that is the most probable.
    """

    gain: float | None
    low: float | None
    high: float | None
    meets: float
    other_meets: float


@runtime_checkable
class Comparing(Protocol):
    """A searcher that tells how much better it believes one Config to be than others."""

    def expected_gains(self, config: Config, others: Sequence[Config]) -> Sequence[GainBelief] | None:
        """Of a Config that met the SLOs over each of the others. The same however often it is asked.

        ``None`` where nothing is believed: of several objectives, of a Config that was not measured to its end or met
        no SLO, and where the load levels of trials are not told.
        """
        ...
