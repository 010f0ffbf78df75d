"""Knob: a parameter of a drawn surface; and all Configs of some of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

FEWEST, MOST = 48, 12_000  # Configs of a surface
ABSENT = -1  # the index of the value of a knob that a Config does not have
TP = "tp"

Indices = npt.NDArray[np.int64]  # [Configs, knobs]: which of its values each has


class Kind(StrEnum):
    ORDERED = "ordered"
    CATEGORICAL = "categorical"
    BOOLEAN = "boolean"


_LARGEST = {Kind.ORDERED: 12, Kind.CATEGORICAL: 6, Kind.BOOLEAN: 2}


@dataclass(frozen=True)
class Knob:
    """``needs``: the boolean knob that must be true for this one to exist."""

    name: str
    kind: Kind
    values: tuple[Any, ...]
    needs: str | None = None


def draw_knobs(rng: np.random.Generator) -> tuple[Knob, ...]:
    """3 to 9 knobs that make 48 to 12,000 Configs, about evenly on a log scale; in half of all surfaces one is tp."""
    while True:
        target = float(np.exp(rng.uniform(np.log(FEWEST), np.log(MOST))))
        knobs = _named(rng, _sizes(rng, target))
        if FEWEST <= len(grid(knobs)) <= MOST:
            return knobs


def grid(knobs: Sequence[Knob]) -> Indices:
    """Every Config once."""
    found = np.array(list(itertools.product(*(range(len(knob.values)) for knob in knobs))), dtype=np.int64)
    names = [knob.name for knob in knobs]
    for column, knob in enumerate(knobs):
        if knob.needs is not None:
            needed = names.index(knob.needs)
            found[~is_true(knobs[needed], found[:, needed]), column] = ABSENT
    return np.unique(found, axis=0)


def is_true(knob: Knob, indices: Indices) -> npt.NDArray[np.bool_]:
    return np.asarray(indices == knob.values.index(True))


def _sizes(rng: np.random.Generator, target: float) -> list[tuple[Kind, int]]:
    """Kinds with numbers of values that multiply to ``target`` or a little less."""
    count = int(rng.integers(3, min(9, int(np.log2(target))) + 1))
    shares = {Kind.ORDERED: 0.5, Kind.CATEGORICAL: 0.25, Kind.BOOLEAN: 0.25}
    kinds = [Kind(one) for one in rng.choice(list(shares), size=count, p=list(shares.values()))]
    sizes = [2] * count
    while True:
        roomy = [
            i
            for i, kind in enumerate(kinds)
            if sizes[i] < _LARGEST[kind] and np.prod(sizes) / sizes[i] * (sizes[i] + 1) <= target
        ]
        if not roomy:
            return list(zip(kinds, sizes, strict=True))
        sizes[int(rng.choice(roomy))] += 1


def _named(rng: np.random.Generator, sizes: Sequence[tuple[Kind, int]]) -> tuple[Knob, ...]:
    knobs: list[Knob] = []
    has_tp = rng.random() < 0.5
    for number, (kind, size) in enumerate(sizes):
        if has_tp and kind is Kind.ORDERED and size <= 4:
            knobs.append(Knob(TP, kind, (1, 2, 4, 8)[:size]))
            has_tp = False
            continue
        switches = [knob.name for knob in knobs if knob.kind is Kind.BOOLEAN and knob.needs is None]
        needs = str(rng.choice(switches)) if switches and rng.random() < 0.3 else None
        knobs.append(Knob(f"knob-{'abcdefghi'[number]}", kind, _values(rng, kind, size), needs))
    return tuple(knobs)


def _values(rng: np.random.Generator, kind: Kind, size: int) -> tuple[Any, ...]:
    match kind:
        case Kind.BOOLEAN:
            return (True, False)
        case Kind.CATEGORICAL:
            return tuple(f"option{number}" for number in range(size))
        case _ if rng.random() < 0.5:
            first = int(rng.integers(0, 8))
            return tuple(2 ** (first + number) for number in range(size))
        case _:
            step = int(rng.integers(1, 20))
            return tuple(step * (number + 1) for number in range(size))
