"""What a study takes at the least and at the most, told before it starts. Pure arithmetic on its own numbers.

The least is a lower bound: open-loop load takes as long as it is asked for where it may not be given up, closed-loop
load and a server's start as little as any could. The usual least is where none is given up. The most is every wait to
its end. What lies between is for measurement, or prediction, to say.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from autotuner.benchmark import full_requests, levels, rungs_of
from autotuner.benchmark.traffic.workload import trace_timestamps
from autotuner.engines import ModelFormat, get_engine
from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.results.finals import most_runs
from autotuner.results.noise.drift import MOST_TIMES
from autotuner.results.noise.references import most_references, reference_every
from autotuner.scoring.objective import Aggregate, parse_objective
from autotuner.study.model import FindMaxLoad, RateLoad, Study
from autotuner.tuning.decisions.budget import Spent

# A process, its readiness, a load driver's own process, warm-up and end: no launch takes less.
_LEAST_LAUNCH_S = 1.0
# vLLM, SGLang and TensorRT-LLM import PyTorch, start workers, load weights and warm up: a real vLLM with a tiny model
# and no graphs is ready in 35 to 50 s on two slow cores.
_LEAST_LARGE_LAUNCH_S = 10.0
_SIGMAS = 4.0  # by which a Poisson process may be faster than its rate


@dataclass(frozen=True)
class Launches:
    """How many times servers are launched: the default and those searched, then afresh in rounds, and the default
    beside the search."""

    searched: int
    confirming: int
    references: int = 0


def fewest_launches(study: Study, configs: int | None) -> Launches:
    """Those without which nothing can be recommended: the default, one other where there is one (``configs``: how
    many there are, ``None`` where that is endless), and their confirmation."""
    if study.launcher.kind == "endpoint" or 1 in (study.search.trials, configs):
        return Launches(1, 0)
    return Launches(2, 2 * study.search.confirm)


def most_launches(study: Study, configs: int | None) -> Launches:
    """Of so many Configs; the default may be one more."""
    search = study.search
    trials = search.trials if configs is None else min(search.trials, configs + 1)
    confirming = most_runs(search.confirm, search.finalists, trials)
    references = MOST_TIMES * most_references(trials, reference_every(study))
    return Launches(trials, 0 if study.launcher.kind == "endpoint" else confirming, references)


def least_spent(study: Study, gpus: tuple[float, float], configs: int | None) -> Spent:
    """Below this nothing can be recommended. ``gpus``: the default's, and the fewest that any Config has."""
    launches = fewest_launches(study, configs)
    best_s = _least_start_s(study) + _load_s(study, _needed_levels(study))
    return _spent(launches, gpus, best_s if launches.searched == 1 else _least_start_s(study), best_s)


def usual_least_spent(study: Study, gpus: tuple[float, float], configs: int | None) -> Spent:
    """With every load point in full."""
    launch_s = _least_start_s(study) + _load_s(study, _usual_levels(study))
    return _spent(fewest_launches(study, configs), gpus, launch_s, launch_s)


def _spent(launches: Launches, gpus: tuple[float, float], default_s: float, other_s: float) -> Spent:
    """The default and the other may run side by side, their confirmations one after another."""
    if launches.searched == 1:
        return Spent(wall_s=default_s, gpu_s=default_s * gpus[0])
    rounds = launches.confirming // 2
    return Spent(
        wall_s=max(default_s, other_s) + rounds * (default_s + other_s),
        gpu_s=(1 + rounds) * (default_s * gpus[0] + other_s * gpus[1]),
    )


def _needed_levels(study: Study) -> Sequence[LoadLevel]:
    """Those that the best Config has in full: above one that is given up none is measured."""
    every = levels(study.workload)
    return every if parse_objective(study.objectives[0]).aggregate is Aggregate.MEAN else every[:1]


def _usual_levels(study: Study) -> Sequence[LoadLevel]:
    """All of them; a load search asks for two at the least: one that holds, and one that does not."""
    every = levels(study.workload)
    return every[:2] if isinstance(study.workload.load, FindMaxLoad) else every


def _load_s(study: Study, measured: Sequence[LoadLevel]) -> float:
    return sum(_least_point_s(study, level) for level in measured)


def most_spent(study: Study, gpus: float, configs: int | None, at_a_time: int | None = None) -> Spent:
    """Every wait to its end, on ``gpus`` a trial; a budget cuts it. Repeats after failures come on top.

    The wall clock cuts a rung. GPU-hours do not: of each trial that runs when they are spent, a start and a rung at
    most are yet to come; of a fresh run, which is alone and has the time of all rungs in its one, the whole of it.
    ``configs``: how many there are, ``None`` where that is endless; ``at_a_time``: trials, ``None`` where not known:
    the wall clock is then that of one after another, GPU-hours those of all at once.
    """
    launches, limits = most_launches(study, configs), study.timeouts
    start_s = 0.0 if study.launcher.kind == "endpoint" else limits.start_s
    longest_s = limits.trial_s if limits.trial_s is not None else math.inf
    trial_s = min(start_s + rungs_of(study) * limits.rung_s, longest_s)
    last_s = min(start_s + limits.rung_s, longest_s)
    in_a_row = math.ceil(launches.searched / (at_a_time or 1))
    others_s = launches.confirming * trial_s + launches.references * last_s
    wall_s, gpu_s = (n * trial_s + others_s for n in (in_a_row, launches.searched))
    gpu_s *= gpus
    budget = study.budget
    if budget.wall_clock_h is not None:
        wall_s = min(wall_s, budget.wall_clock_h * 3600)
        gpu_s = gpu_s if at_a_time is None else min(gpu_s, wall_s * at_a_time * gpus)
    if budget.gpu_hours is not None:
        at_once = min(launches.searched, at_a_time or launches.searched)
        beyond_s = max(at_once * last_s, trial_s if launches.confirming else 0.0)
        gpu_s = min(gpu_s, budget.gpu_hours * 3600 + beyond_s * gpus)
    return Spent(wall_s, gpu_s)


def _least_start_s(study: Study) -> float:
    if study.launcher.kind == "endpoint":
        return 0.0
    commands = [study.engine.command, *(own.command for own in study.engine.per_engine.values())]
    large = all(get_engine(name).model_format is ModelFormat.HUB for name in study.engine.names)
    return _LEAST_LARGE_LAUNCH_S if large and not any(commands) else _LEAST_LAUNCH_S


def _least_point_s(study: Study, level: LoadLevel) -> float:
    """Until the last request is sent in open loop; how fast a server answers in closed loop is not known."""
    workload = study.workload
    if level.kind is LoadKind.CONCURRENCY:
        return 0.0
    count = full_requests(workload, level)
    if level.kind is LoadKind.SPEED:
        times = trace_timestamps(workload)[:count]
        return (times[-1] - times[0]) / level.value
    is_random = isinstance(workload.load, RateLoad | FindMaxLoad) and workload.load.arrival == "poisson"
    spread = _SIGMAS * math.sqrt(count) if is_random else 0.0
    return max(0.0, count - 1 - spread) / level.value
