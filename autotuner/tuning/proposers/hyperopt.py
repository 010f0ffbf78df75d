"""HyperOpt's tree-structured Parzen estimator (Bergstra et al., 2011)."""

from __future__ import annotations

import logging
import math
import random
from typing import Any

from autotuner.scoring import Direction, parse_objective
from autotuner.space import Choice, FloatRange, IntRange, Parameter, SearchSpace
from autotuner.space.config import Config
from autotuner.study.model import Study
from autotuner.tuning.proposers.nearest_new import nearest_new
from autotuner.tuning.proposers.proposer import Outcome, OutcomeKind
from autotuner.tuning.proposers.same_config import Seen, in_space

_TRIES = 20
_BELOW_ONE = 1 - 1e-9


class HyperOptProposer:
    """Ranges are drawn as a fraction in [0, 1), choices as an index.

    Every parameter is drawn each time; those whose condition does not hold are then left out. HyperOpt knows
    neither constraints nor stopped trials: an infeasible Config is told by its finite worst score, a stopped
    one is told as failed, which HyperOpt leaves aside.
    """

    learns = True

    def __init__(self, space: SearchSpace, study: Study) -> None:
        import hyperopt  # here: it takes a second

        self._hyperopt = hyperopt
        logging.getLogger("hyperopt").setLevel(logging.ERROR)
        hp = self._hyperopt.hp
        self._space = space
        self._rng = random.Random(study.search.seed)  # noqa: S311  # sampling, not secrets
        self._sign = -1.0 if parse_objective(study.objectives[0]).direction is Direction.MAX else 1.0
        self._startup = max(4, min(20, study.search.trials // 4))
        self._domain = self._hyperopt.base.Domain(
            fn=lambda _: 0.0,
            expr={
                p.name: hp.randint(p.name, p.size) if isinstance(p, Choice) else hp.uniform(p.name, 0.0, 1.0)
                for p in space.parameters
            },
        )
        self._trials = self._hyperopt.Trials()
        self._asked: dict[str, dict[str, Any]] = {}
        self._seen = Seen()

    def propose(self, trial_id: str) -> Config | None:
        wanted = []
        for _ in range(_TRIES):
            document = self._hyperopt.tpe.suggest(
                self._trials.new_trial_ids(1),
                self._domain,
                self._trials,
                self._rng.randrange(2**31),
                n_startup_jobs=self._startup,
                verbose=False,
            )[0]
            config = self._config(document)
            if config not in self._seen and self._space.contains(config):
                return self._accept(trial_id, document, config)
            wanted.append(config)
        found = nearest_new(self._space, wanted, self._seen, self._rng)
        return None if found is None else self._accept(trial_id, self._document(found), found)

    def tell(self, trial_id: str, outcome: Outcome) -> None:
        base = self._hyperopt.base
        document = self._asked.pop(trial_id, None)
        if document is None:  # a baseline that HyperOpt can't be told of
            return
        if outcome.kind in (OutcomeKind.COMPLETED, OutcomeKind.INFEASIBLE):
            document["state"] = base.JOB_STATE_DONE
            document["result"] = {"status": base.STATUS_OK, "loss": self._sign * outcome.values[0]}
        else:
            document["state"] = base.JOB_STATE_ERROR
        self._trials.refresh()

    def replay(self, trial_id: str, config: Config, outcome: Outcome | None) -> None:
        self._seen.add(config)
        own = in_space(self._space, config)
        if own is not None:
            self._accept(trial_id, self._document(own), own)
        if outcome is not None:
            self.tell(trial_id, outcome)

    def _accept(self, trial_id: str, document: dict[str, Any], config: Config) -> Config:
        self._trials.insert_trial_docs([document])
        self._trials.refresh()
        # HyperOpt keeps the very document that it was given, and reads results from it
        self._asked[trial_id] = next(t for t in self._trials.trials if t["tid"] == document["tid"])
        self._seen.add(config)
        return config

    def _config(self, document: dict[str, Any]) -> Config:
        drawn = document["misc"]["vals"]
        values: dict[str, object] = {}
        for parameter in self._space.parameters:
            if parameter.is_active(values):
                number = drawn[parameter.name][0]
                choice = isinstance(parameter, Choice)
                values[parameter.name] = parameter.value_at(int(number)) if choice else parameter.draw(float(number))
        return Config(values)

    def _document(self, config: Config) -> dict[str, Any]:
        """A Config that HyperOpt did not propose, as if it had."""
        tid = self._trials.new_trial_ids(1)[0]
        names = [p.name for p in self._space.parameters if p.name in config.values]
        misc = {
            "tid": tid,
            "cmd": self._domain.cmd,
            "workdir": self._domain.workdir,
            "idxs": {p.name: [tid] if p.name in names else [] for p in self._space.parameters},
            "vals": {
                p.name: [_number(p, config.values[p.name])] if p.name in names else [] for p in self._space.parameters
            },
        }
        result = {"status": self._hyperopt.base.STATUS_NEW}
        document: dict[str, Any] = self._trials.new_trial_docs([tid], [None], [result], [misc])[0]
        return document


def _number(parameter: Parameter, value: Any) -> float:
    """The index or the fraction that ``value`` is drawn at."""
    if isinstance(parameter, Choice):
        return parameter.labels.index(parameter.label_of(value))
    return min(max(_fraction(parameter, float(value)), 0.0), _BELOW_ONE)


def _fraction(parameter: IntRange | FloatRange, value: float) -> float:
    low, high = float(parameter.low), float(parameter.high)
    if isinstance(parameter, IntRange):  # the middle of the piece of [0, 1) that is drawn as this value
        if not parameter.log:
            return ((value - low) / parameter.step + 0.5) / parameter.size
        low, high = low - 0.5, high + 0.5
    if low == high:
        return 0.0
    if parameter.log:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)
