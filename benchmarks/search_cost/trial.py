"""One trial of a way that is not the product's: launched, measured and scored as the product's trials are."""

from __future__ import annotations

import math
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from autotuner.engines import FailureReport
from autotuner.errors import Failure
from autotuner.results.records import Phase
from autotuner.scoring import Score
from autotuner.scoring.merit import Merit
from autotuner.servers.replay.clock import VirtualClock
from autotuner.servers.replay.launcher import ReplayDriver, ReplayedServer
from autotuner.servers.replay.lookup import replayed_deployment
from autotuner.space.config import Config
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.trial.rung import RungRunner
from benchmarks.search_cost.surface import Surface

GoesOn = Callable[[int, Score], bool]  # rung, score → whether the trial goes on after it


@dataclass(frozen=True)
class Tried:
    """``score`` as measured at full fidelity; ``None`` for a trial that was stopped early, or that failed."""

    config: Config
    gpu_s: float
    score: Score | None
    failed: bool

    @property
    def merit(self) -> Merit | None:
        """In the first objective."""
        return None if self.score is None else self.score.merit()


def try_config(
    surface: Surface, config: Config, seed: int, number: int, *, rungs: int = 1, goes_on: GoesOn | None = None
) -> Tried:
    """The trial of that ``number``; its repeat is drawn by ``seed``. One rung is full fidelity at once, more are cut by
    requests: what the product passes over is its own."""
    launches = surface.lookup.find(config.values).launches
    recorded = random.Random(zlib.crc32(f"{seed}/{number}".encode())).choice(launches)
    clock = VirtualClock(0.0)
    clock.sleep(recorded.startup_s)
    gpus = max(1, recorded.gpus)
    if recorded.failure is not None:
        return Tried(config, clock.epoch_s() * gpus, None, failed=True)
    server = ReplayedServer.of(recorded)
    assignment = Assignment(str(number), Phase.SEARCH, config, rungs)
    study = surface.study
    study = study.model_copy(update={"fidelity": study.fidelity.model_copy(update={"cut": "requests"})})
    runner = RungRunner(study, assignment, replayed_deployment(study, config))
    measured: Score | None = None
    for rung in range(rungs):
        result = runner.run(rung, ReplayDriver(server, clock), server, clock, math.inf, _nobody_died)
        if result.failure is not None:
            return Tried(config, clock.epoch_s() * gpus, None, failed=True)
        if rung == rungs - 1:
            measured = result.score
        elif goes_on is not None and not goes_on(rung, result.score):
            break
    return Tried(config, clock.epoch_s() * gpus, measured, failed=False)


def _nobody_died(_: int | None, log: str) -> FailureReport:
    return FailureReport(Failure.CRASH, log)
