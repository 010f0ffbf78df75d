"""Searchers that do not learn: the whole grid in order, and uniform random sampling."""

from __future__ import annotations

import random
from collections.abc import Iterator

from autotuner.space import SearchSpace
from autotuner.space.config import Config
from autotuner.tuning.proposers.proposer import Outcome
from autotuner.tuning.proposers.same_config import Seen

_TRIES_FOR_A_NEW_CONFIG = 1000


class GridProposer:
    """Every Config of a finite space, once, in the space's own order."""

    learns = False

    def __init__(self, space: SearchSpace) -> None:
        self._configs: Iterator[Config] = space.grid()
        self._seen = Seen()

    def propose(self, trial_id: str) -> Config | None:
        return next((config for config in self._configs if config not in self._seen), None)

    def tell(self, trial_id: str, outcome: Outcome) -> None:
        """Nothing is learnt."""

    def replay(self, trial_id: str, config: Config, outcome: Outcome | None) -> None:
        self._seen.add(config)


class RandomProposer:
    """Uniform over the space's valid Configs, without repeats."""

    learns = False

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._space = space
        self._rng = random.Random(seed)  # noqa: S311  # sampling, not secrets
        self._seen = Seen()

    def propose(self, trial_id: str) -> Config | None:
        config = draw_new(self._space, self._rng, self._seen)
        if config is not None:
            self._seen.add(config)
        return config

    def tell(self, trial_id: str, outcome: Outcome) -> None:
        """Nothing is learnt."""

    def replay(self, trial_id: str, config: Config, outcome: Outcome | None) -> None:
        self._seen.add(config)


def draw_new(space: SearchSpace, rng: random.Random, seen: Seen) -> Config | None:
    """A valid Config that is not in ``seen``; ``None`` when tries run out, as in an exhausted space."""
    for _ in range(_TRIES_FOR_A_NEW_CONFIG):
        config = space.sample(rng)
        if config not in seen:
            return config
    return None
