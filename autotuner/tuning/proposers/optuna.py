"""Searchers of Optuna, by its ask-and-tell interface: tpe, cmaes, nsga2, gp."""

from __future__ import annotations

import logging
import random
import warnings

import optuna
from optuna.trial import TrialState

from autotuner.extras import require
from autotuner.scoring import parse_objective
from autotuner.space import Choice, IntRange, Parameter, SearchSpace
from autotuner.space.config import Config
from autotuner.study.model import Study
from autotuner.tuning.proposers.nearest_new import nearest_new
from autotuner.tuning.proposers.proposer import Outcome, OutcomeKind
from autotuner.tuning.proposers.same_config import Seen, in_space

_TRIES = 20  # asks until the sampler hits a new, valid Config; then the nearest to them is taken
_INFEASIBLE = "infeasible"  # Optuna's constraint: positive is infeasible


class OptunaProposer:
    """Optuna's samplers see the space by its own names; a choice is seen by its labels."""

    learns = True

    def __init__(self, space: SearchSpace, study: Study) -> None:
        logging.getLogger("optuna").setLevel(logging.ERROR)
        self._space = space
        self._knows_constraints = study.search.algorithm != "cmaes"
        self._single = len(study.objectives) == 1 or study.search.algorithm == "cmaes"
        names = study.objectives[:1] if self._single else study.objectives
        self._study = optuna.create_study(
            sampler=_make_sampler(study),
            directions=["minimize" if parse_objective(n).direction == "min" else "maximize" for n in names],
        )
        self._rng = random.Random(study.search.seed)  # noqa: S311  # sampling, not secrets
        self._asked: dict[str, optuna.Trial] = {}
        self._seen = Seen()

    def propose(self, trial_id: str) -> Config | None:
        wanted = []
        for _ in range(_TRIES):
            trial = self._study.ask()
            config = self._suggest(trial)
            if config not in self._seen and self._space.contains(config):
                return self._accept(trial_id, trial, config)
            self._study.tell(trial, state=TrialState.FAIL)
            wanted.append(config)
        found = nearest_new(self._space, wanted, self._seen, self._rng)
        return None if found is None else self._ask_for(trial_id, found)

    def tell(self, trial_id: str, outcome: Outcome) -> None:
        trial = self._asked.pop(trial_id, None)
        if trial is None:  # a baseline that Optuna can't be told of
            return
        match outcome.kind:
            case OutcomeKind.COMPLETED | OutcomeKind.INFEASIBLE:
                if self._knows_constraints:
                    trial.set_constraint(_INFEASIBLE, outcome.infeasibility)
                self._study.tell(trial, outcome.values[:1] if self._single else outcome.values)
            case OutcomeKind.PRUNED:
                for rung, value in outcome.by_rung.items() if self._single else ():
                    trial.report(value, rung)
                self._study.tell(trial, state=TrialState.PRUNED)
            case OutcomeKind.UNKNOWN:
                self._study.tell(trial, state=TrialState.FAIL)

    def replay(self, trial_id: str, config: Config, outcome: Outcome | None) -> None:
        self._seen.add(config)
        own = in_space(self._space, config)
        if own is not None:
            self._ask_for(trial_id, own)
        if outcome is not None:
            self.tell(trial_id, outcome)

    def _ask_for(self, trial_id: str, config: Config) -> Config:
        self._study.enqueue_trial(
            {p.name: _encode(p, config.values[p.name]) for p in self._space.parameters if p.name in config.values}
        )
        trial = self._study.ask()
        self._suggest(trial)
        return self._accept(trial_id, trial, config)

    def _accept(self, trial_id: str, trial: optuna.Trial, config: Config) -> Config:
        self._asked[trial_id] = trial
        self._seen.add(config)
        return config

    def _suggest(self, trial: optuna.Trial) -> Config:
        values: dict[str, object] = {}
        for parameter in self._space.parameters:
            if parameter.is_active(values):
                values[parameter.name] = _suggest_one(trial, parameter)
        return Config(values)


def _suggest_one(trial: optuna.Trial, parameter: Parameter) -> object:
    if isinstance(parameter, Choice):
        return parameter.value_of(str(trial.suggest_categorical(parameter.name, parameter.labels)))
    # Optuna has no stepped log scale; the step is part of the set, the scale is only a hint
    log = parameter.log and (parameter.step == 1 if isinstance(parameter, IntRange) else parameter.step is None)
    if isinstance(parameter, IntRange):
        return trial.suggest_int(parameter.name, parameter.low, parameter.high, step=parameter.step, log=log)
    value = trial.suggest_float(parameter.name, parameter.low, parameter.high, step=parameter.step, log=log)
    return parameter.nearest(value)


def _encode(parameter: Parameter, value: object) -> object:
    return parameter.label_of(value) if isinstance(parameter, Choice) else value


def _make_sampler(study: Study) -> optuna.samplers.BaseSampler:
    seed, trials = study.search.seed, study.search.trials
    startup = max(4, min(10, trials // 2))  # Optuna's own 10, but no more than half of a short study
    match study.search.algorithm:
        case "nsga2":
            return optuna.samplers.NSGAIISampler(seed=seed, population_size=max(4, min(50, trials // 4)))
        case "cmaes":
            require("cmaes", "cmaes", "search.algorithm: cmaes")
            return optuna.samplers.CmaEsSampler(seed=seed, n_startup_trials=startup, warn_independent_sampling=False)
        case "gp":
            require("torch", "gp", "search.algorithm: gp")
            return optuna.samplers.GPSampler(seed=seed, n_startup_trials=startup)
        case _:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # multivariate is marked experimental
                return optuna.samplers.TPESampler(
                    seed=seed, n_startup_trials=startup, multivariate=True, constant_liar=True
                )
