"""Other ways to search the same surface, each as its own library gives it."""

from __future__ import annotations

import logging
import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import hyperopt
import numpy as np
import optuna
from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from autotuner.scoring import Score
from autotuner.scoring.merit import Merit
from autotuner.space import Choice
from autotuner.space.config import Config
from autotuner.space.parameters import Parameter
from autotuner.tuning.on_ray.trial_schedulers import StandIn
from benchmarks.search_cost.smac_way import smac
from benchmarks.search_cost.surface import Surface
from benchmarks.search_cost.trace import Trace
from benchmarks.search_cost.trial import Tried, try_config
from benchmarks.search_cost.tried import listed_values, made_trace, suggested

Way = Callable[[Surface, int, int], Trace]  # surface, trials, seed → what it did


def grid(surface: Surface, trials: int, seed: int) -> Trace:
    """The Configs of the space in random order."""
    rng = random.Random(seed)
    order = rng.sample(range(len(surface.configs)), min(trials, len(surface.configs)))
    return made_trace(surface, [try_config(surface, surface.configs[i], seed, n) for n, i in enumerate(order)])


def drawn(surface: Surface, trials: int, seed: int) -> Trace:
    """Configs drawn evenly, one as often as it comes."""
    rng = random.Random(seed)
    return made_trace(surface, [try_config(surface, surface.space.sample(rng), seed, n) for n in range(trials)])


# ── Optuna ────────────────────────────────────────────────────────────────────────────────────


def of_optuna(sampler: Callable[[int], optuna.samplers.BaseSampler], surface: Surface, trials: int, seed: int) -> Trace:
    """Ask and tell. What the space forbids is told as failed, and costs nothing."""
    study = _optuna_study(sampler(seed))
    tried: list[Tried] = []
    for asked in asked_of(study, surface, trials):
        one = try_config(surface, asked.config, seed, len(tried))
        tried.append(one)
        study.tell(asked.trial, (one.merit or Merit()).told)
    return made_trace(surface, tried)


def tpe_asha(surface: Surface, trials: int, seed: int) -> Trace:
    """Optuna's TPE under Ray Tune's ASHA, at the study's own rungs and eta."""
    fidelity = surface.study.fidelity
    study = _optuna_study(optuna.samplers.TPESampler(seed=seed))
    asha = AsyncHyperBandScheduler(
        time_attr="resource",
        metric="score",
        mode="max",
        max_t=fidelity.eta ** (fidelity.rungs - 1),
        grace_period=1,
        reduction_factor=fidelity.eta,
        stop_last_trials=False,
    )
    tried: list[Tried] = []
    for asked in asked_of(study, surface, trials):
        stub = StandIn(str(len(tried)), Trial.RUNNING)
        asha.on_trial_add(None, stub)
        told: list[float] = []

        def goes_on(rung: int, score: Score, stub: StandIn = stub, told: list[float] = told) -> bool:
            told.append(score.merit().told)
            result = {"resource": fidelity.eta**rung, "score": told[-1]}
            return bool(asha.on_trial_result(None, stub, result) != TrialScheduler.STOP)

        one = try_config(surface, asked.config, seed, len(tried), rungs=fidelity.rungs, goes_on=goes_on)
        tried.append(one)
        if one.merit is None and not one.failed:
            study.tell(asked.trial, told[-1])  # as Ray's OptunaSearch tells a trial that was stopped: its last result
        else:
            study.tell(asked.trial, (one.merit or Merit()).told)
    return made_trace(surface, tried)


@dataclass(frozen=True)
class Asked:
    trial: optuna.Trial
    config: Config


def _optuna_study(sampler: optuna.samplers.BaseSampler) -> optuna.Study:
    logging.getLogger("optuna").setLevel(logging.ERROR)
    return optuna.create_study(sampler=sampler, direction="maximize")


def asked_of(study: optuna.Study, surface: Surface, trials: int) -> Iterator[Asked]:
    """So many Configs of the space; ten times as many asks at most."""
    given = 0
    for _ in range(10 * trials):
        if given == trials:
            return
        trial = study.ask()
        config = suggested(surface.space, lambda p, trial=trial: _suggest(trial, p))  # type: ignore[misc]
        if surface.space.contains(config):
            given += 1
            yield Asked(trial, config)
        else:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)


def _suggest(trial: optuna.Trial, parameter: Parameter) -> Any:
    if isinstance(parameter, Choice):
        return parameter.value_of(str(trial.suggest_categorical(parameter.name, parameter.labels)))
    values = list(parameter.values())
    return values[trial.suggest_int(parameter.name, 0, len(values) - 1)]


# ── HyperOpt ──────────────────────────────────────────────────────────────────────────────────


def of_hyperopt(surface: Surface, trials: int, seed: int) -> Trace:
    """HyperOpt's TPE over the index of each parameter's value."""
    listed = {p.name: listed_values(p) for p in surface.space.parameters}
    indices = {name: hyperopt.hp.randint(name, len(values)) for name, values in listed.items()}
    tried: list[Tried] = []

    def objective(chosen: Mapping[str, int]) -> dict[str, Any]:
        config = suggested(surface.space, lambda p: listed[p.name][int(chosen[p.name])])
        if not surface.space.contains(config) or len(tried) == trials:
            return {"status": hyperopt.STATUS_FAIL}
        one = try_config(surface, config, seed, len(tried))
        tried.append(one)
        return {"status": hyperopt.STATUS_OK, "loss": -(one.merit or Merit()).told}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hyperopt.fmin(
            objective,
            indices,
            algo=hyperopt.tpe.suggest,
            max_evals=10 * trials,
            rstate=np.random.default_rng(seed),
            show_progressbar=False,
            verbose=False,
            early_stop_fn=lambda _, *__: (len(tried) >= trials, ()),
        )
    return made_trace(surface, tried)


def ways() -> dict[str, Way]:
    """Name → way; those whose packages are installed."""
    found: dict[str, Way] = {
        "grid, random order": grid,
        "random": drawn,
        "optuna tpe": partial(of_optuna, lambda seed: optuna.samplers.TPESampler(seed=seed)),
        "tpe + asha, plain": tpe_asha,
        "hyperopt": of_hyperopt,
    }
    if find_spec("torch") is not None:
        found["optuna gp"] = partial(of_optuna, lambda seed: optuna.samplers.GPSampler(seed=seed))
    if find_spec("smac") is not None:
        found["smac3"] = smac
    return found
