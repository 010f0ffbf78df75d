"""Candidates: the Configs that can still be proposed, and the best of them by any measure."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from heapq import nlargest
from operator import itemgetter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from autotuner.space import SearchSpace
from autotuner.space.config import Config
from autotuner.tuning.proposers.same_config import Seen, asked
from autotuner.tuning.proposers.surrogate.encoding import Encoding, Matrix, Vector
from autotuner.tuning.proposers.surrogate.neighbours import neighbours

MOST_LISTED = 50_000
_DRAWN = 2_000
_FRESH = 200  # of them, drawn anew for each proposal
_CLIMBERS = 8
_STEPS = 20
_TRIES = 1_000  # until a space that can't be listed is taken for exhausted

Measure = Callable[[Matrix], Vector]


class Candidates(Protocol):
    """What was closed, or has been taken, is not found again."""

    def close(self, config: Config) -> None:
        """It is not to be proposed, whether or not it could have been."""
        ...

    def best(self, measure: Measure, near: Sequence[Config] = ()) -> Config | None:
        """The open Config of the highest measure; ``near``: Configs about which a good one is likely."""
        ...

    def some(self, count: int) -> Sequence[Config]:
        """Up to so many open ones, at random."""
        ...

    def open_points(self) -> Matrix:
        """All open ones, encoded; of a space too large to list those that were drawn last."""
        ...


def candidates_of(space: SearchSpace, encoding: Encoding, rng: random.Random) -> Candidates:
    listed = space.listed(MOST_LISTED)
    return Drawn(space, encoding, rng) if listed is None else Listed(listed, encoding, rng)


class Listed:
    """Every Config of a space that is small enough."""

    def __init__(self, configs: Iterable[Config], encoding: Encoding, rng: random.Random) -> None:
        self._configs = list(configs)
        rng.shuffle(self._configs)  # of equal ones the first is taken: no corner of the space is preferred
        self._rng = rng
        self._points = encoding.matrix(self._configs)
        self._open = np.ones(len(self._configs), dtype=np.bool_)
        self._open_points = self._points
        self._places = {asked(config): place for place, config in enumerate(self._configs)}

    def close(self, config: Config) -> None:
        place = self._places.get(asked(config))
        if place is not None and self._open[place]:
            self._open[place] = False
            self._open_points = self._points[self._open]

    def best(self, measure: Measure, near: Sequence[Config] = ()) -> Config | None:
        places: NDArray[np.intp] = np.flatnonzero(self._open)
        return self._configs[places[int(np.argmax(measure(self._open_points)))]] if len(places) else None

    def open_points(self) -> Matrix:
        return self._open_points

    def some(self, count: int) -> Sequence[Config]:
        places = np.flatnonzero(self._open).tolist()
        return [self._configs[place] for place in self._rng.sample(places, min(count, len(places)))]


class Drawn:
    """Of a larger space: those that are drawn at random, improved step by step, and those about the best known."""

    def __init__(self, space: SearchSpace, encoding: Encoding, rng: random.Random) -> None:
        self._space = space
        self._encoding = encoding
        self._rng = rng
        self._closed = Seen()
        self._drawn: list[Config] = []
        self._points: Matrix = encoding.matrix([])

    def close(self, config: Config) -> None:
        self._closed.add(config)

    def best(self, measure: Measure, near: Sequence[Config] = ()) -> Config | None:
        self._draw()
        pool = dict(self._measured(self._about(near), measure))
        if self._drawn:
            pool |= zip(self._drawn, measure(self._points).tolist(), strict=True)
        for _ in range(_STEPS):
            climbers = [config for config, _ in nlargest(_CLIMBERS, pool.items(), key=itemgetter(1))]
            steps = [config for config in self._about(climbers) if config not in pool]
            better = dict(self._measured(steps, measure))
            best_yet = max(pool.values(), default=-np.inf)
            pool |= better
            if max(better.values(), default=-np.inf) <= best_yet:
                break
        return max(pool.items(), key=itemgetter(1))[0] if pool else None

    def open_points(self) -> Matrix:
        return self._points[[place for place, config in enumerate(self._drawn) if config not in self._closed]]

    def some(self, count: int) -> Sequence[Config]:
        drawn: dict[Config, None] = {}
        for _ in range(max(count, _TRIES)):
            config = self._space.sample(self._rng)
            if config not in self._closed:
                drawn[config] = None
            if len(drawn) == count:
                break
        return list(drawn)

    def _draw(self) -> None:
        kept = [place for place, config in enumerate(self._drawn) if config not in self._closed][-(_DRAWN - _FRESH) :]
        new = self.some(_DRAWN - len(kept))
        self._points = np.vstack([self._points[kept], self._encoding.matrix(new)])
        self._drawn = [*(self._drawn[place] for place in kept), *new]

    def _about(self, configs: Sequence[Config]) -> list[Config]:
        found = [one for config in configs for one in neighbours(self._space, config, self._rng)]
        return [one for one in dict.fromkeys(found) if one not in self._closed]

    def _measured(self, configs: Sequence[Config], measure: Measure) -> Iterable[tuple[Config, float]]:
        if not configs:
            return ()
        return zip(configs, measure(self._encoding.matrix(configs)).tolist(), strict=True)
