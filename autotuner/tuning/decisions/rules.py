"""Rules: what of a study steers the conductor."""

from __future__ import annotations

from dataclasses import dataclass

from autotuner.metrics.load_level import LoadLevel
from autotuner.results.finals import Word, as_said
from autotuner.scoring import Objective, Select
from autotuner.space.config import Config
from autotuner.study.model import Stop


@dataclass(frozen=True)
class Rules:
    """``trials`` counts the baselines: ``baseline``, the default, and that of each further GPU type of the study.

    Where not ``lists_levels`` each trial searches for load levels of its own, which tell a searcher nothing.
    ``levels``: those of the load, where rungs are cut by them; ``stops_early``: whether what is clearly behind is
    stopped. ``reference_every``: after so many explored trials each the default is measured again; ``None``: never.
    ``word``: what a setting is, so that like ones are alike; ``put_back``: whether settings of the best are put back.
    """

    trials: int
    rungs: int
    confirm: int
    objectives: tuple[Objective, ...]
    baseline: Config
    max_running: int | None
    select: Select
    more_baselines: tuple[Config, ...] = ()
    trials_per_checked_node: int | None = None
    lists_levels: bool = True
    finalists: int | None = None  # at most; None: the best alone, and every round of ``confirm``
    levels: tuple[LoadLevel, ...] = ()
    stops_early: bool = False
    stop: Stop | None = None
    reference_every: int | None = None
    word: Word = as_said
    put_back: bool = False

    @property
    def baselines(self) -> tuple[Config, ...]:
        return (self.baseline, *self.more_baselines)
