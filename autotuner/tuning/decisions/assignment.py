"""What travels between the driver and a trial: an Assignment out, a RungReport back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from autotuner.errors import Failure
from autotuner.metrics.load_level import LoadLevel
from autotuner.results.records import Phase, Usage
from autotuner.scoring.merit import Merit
from autotuner.scoring.score import Score
from autotuner.space.config import Config


@dataclass(frozen=True)
class Assignment:
    """One trial to run: its id, phase and Config, and how many rungs lead to full fidelity.

    ``nodes`` are the ids of those it is to run on, one for each share of its need; empty: wherever Ray finds room.
    Failures of ``repeat_on`` are not believed yet: the trial ends without a record of them, to be started elsewhere.
    ``begin_at``: the load that a load search begins at; ``None``: the lowest. ``handed_out_s``: at which epoch second,
    where time is virtual. ``probe``: the load level of rung 0, where rungs are cut by levels; ``to_beat``: what the
    incumbent was worth when it started. ``only``: the one load level that is measured; ``None``: all of them.
    """

    trial_id: str
    phase: Phase
    config: Config
    rungs: int
    nodes: tuple[str, ...] = ()
    repeat_on: frozenset[Failure] = frozenset()
    begin_at: LoadLevel | None = None
    handed_out_s: float | None = None
    probe: LoadLevel | None = None
    to_beat: Merit | None = None
    only: LoadLevel | None = None


@dataclass(frozen=True)
class RungReport:
    """What one ``step()`` tells the driver; everything in it is already in the store.

    ``failure`` is set when the trial can't go on; ``score`` is then infeasible. ``out_of_time`` says
    that the study's own end cut the rung, which is then not recorded; so is one that is ``to_repeat`` on another
    node. ``metrics`` are those of each load point. ``stopped`` repeats the report of a
    rung after which the trial was told to end, once its servers have. ``changed``: the Config that ran, where it is
    not the one that was asked for. ``disturbed``: others had a part in the load points that the score rests on.
    ``ended_s``: when the rung did, seconds since the epoch; ``node``: the one that it was measured from.
    """

    trial_id: str
    rung: int
    last: bool
    score: Score | None
    metrics: Mapping[LoadLevel, Mapping[str, float]] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    gpus: int = 0  # reserved
    failure: Failure | None = None
    message: str = ""
    out_of_time: bool = False
    to_repeat: bool = False
    stopped: bool = False
    changed: Config | None = None
    disturbed: bool = False
    ended_s: float = 0.0
    node: str = ""

    @property
    def is_final(self) -> bool:
        """Whether the trial has ended, and its servers with it."""
        return self.last or self.failure is not None or self.out_of_time or self.stopped
