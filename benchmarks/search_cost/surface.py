"""Surface: a study whose launcher is replay, with the truth about each of its Configs."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from autotuner.benchmark import longest_request_tokens
from autotuner.engines.known_space import known_space
from autotuner.scoring.merit import Grade, Merit
from autotuner.servers.replay.lookup import Lookup, find_lookup
from autotuner.servers.replay.row import ConfigKey, config_key
from autotuner.servers.replay.truth import Truth, true_score
from autotuner.space import SearchSpace
from autotuner.space.config import Config
from autotuner.study import load_study
from autotuner.study.known_models import KnownModels
from autotuner.study.model import Study
from autotuner.tuning.decisions.baseline import baseline_config
from autotuner.tuning.decisions.default_space import default_space

_CLOSE = 0.02  # of the best: as good as it
_MOST_LISTED = 20_000  # Configs whose truth is looked up one by one; of more, so many are drawn


@dataclass(frozen=True)
class Surface:
    """``configs`` are all of its space, or a sample of a huge one; ``count`` is how many there are."""

    name: str
    study: Study
    space: SearchSpace
    lookup: Lookup
    configs: Sequence[Config]
    count: int
    default: Config

    @cached_property
    def best(self) -> Merit:
        """Of the best feasible Config."""
        return max(self.truth(config).score.merit() for config in self.configs)

    @cached_property
    def grid_s(self) -> float:
        """GPU-seconds of measuring every Config once at full fidelity."""
        return self.count * statistics.fmean(self.truth(config).gpu_s for config in self.configs)

    @cached_property
    def _truths(self) -> dict[ConfigKey, Truth]:
        return {}

    def truth(self, config: Config | Mapping[str, Any]) -> Truth:
        values = config.values if isinstance(config, Config) else config
        key = config_key(values)
        known = self._truths.get(key)
        if known is None:
            known = self._truths[key] = true_score(self.study, self.lookup.find(values).launches)
        return known

    def is_near(self, config: Config | Mapping[str, Any]) -> bool:
        """Whether its true score is within 2 % of the best's."""
        return self.closeness(config) >= 1 - _CLOSE

    def closeness(self, config: Config | Mapping[str, Any]) -> float:
        """Its true value over the best's (or the best's over its, where less is better); 0 for one of a lower grade."""
        merit = self.truth(config).score.merit()
        return _ratio(merit, self.best)

    def over_default(self, config: Config | Mapping[str, Any]) -> float:
        """Its true value over the default's; 0 for one of a lower grade, infinite for one of a higher."""
        return _ratio(self.truth(config).score.merit(), self.truth(self.default).score.merit())


def _ratio(merit: Merit, other: Merit) -> float:
    if merit.grade is not other.grade:
        return 0.0 if merit.grade < other.grade else math.inf
    if merit.grade is Grade.MEETING:
        return math.exp(merit.good - other.good)
    return math.exp(merit.nearness - other.nearness)


def load_surface(file: Path) -> Surface:
    """Raises StudyError for a study that is not replayed, and for a table that can't be read."""
    study = load_study(file).study
    lookup = find_lookup(study)
    models = KnownModels()
    tokens = longest_request_tokens(study.workload, study.slo.error_rate)
    space = known_space(study, models, tokens)
    count = space.count().number or 0
    if count <= _MOST_LISTED:
        configs = list(space.grid())
    else:
        rng = random.Random(0)
        configs = [space.sample(rng) for _ in range(_MOST_LISTED)]
    default = baseline_config(study, default_space(study, space, models, tokens))
    return Surface(study.name, study, space, lookup, configs, max(count, len(configs)), default)
