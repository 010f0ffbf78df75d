"""Effects: a random function of a Config, of main effects and of pairs that act together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from benchmarks.surfaces.drawn.knobs import Indices, Kind, Knob

Values = npt.NDArray[np.float64]
_IDLE = 0.25  # of all knobs: no effect on this quantity


def draw_effect(rng: np.random.Generator, knobs: Sequence[Knob], configs: Indices) -> Values:
    """A value a Config: mean 0, standard deviation 1 over all of them (all 0 where no knob has an effect).

    A random share of up to 40 % of its variance is of pairs of knobs.
    """
    single = sum((rng.exponential() * _main(rng, knob)[configs[:, i]] for i, knob in enumerate(knobs)), _zero(configs))
    pairs = _zero(configs)
    for _ in range(int(rng.integers(0, len(knobs) + 1))):
        one, other = rng.choice(len(knobs), size=2, replace=False)
        pairs += rng.exponential() * _pair(rng, knobs[one], knobs[other])[configs[:, one], configs[:, other]]
    together = rng.uniform(0.0, 0.4)
    return standard(np.sqrt(1 - together) * standard(single) + np.sqrt(together) * standard(pairs))


def standard(values: Values) -> Values:
    spread = float(values.std())
    return (values - values.mean()) / spread if spread > 1e-9 else np.zeros_like(values)


def _zero(configs: Indices) -> Values:
    return np.zeros(len(configs))


def _main(rng: np.random.Generator, knob: Knob) -> Values:
    """By the index of the value; the last entry (index -1) is that of a Config without the knob."""
    size = len(knob.values)
    if rng.random() < _IDLE:
        shape = np.zeros(size)
    elif knob.kind is Kind.ORDERED:
        shape = _ordered(rng, np.linspace(0.0, 1.0, size))
    else:
        shape = rng.normal(size=size)
    return np.append(rng.choice([-1.0, 1.0]) * shape, 0.0)


def _ordered(rng: np.random.Generator, place: Values) -> Values:
    """Rising, with a peak, with a plateau, or a step."""
    turn = rng.uniform(0.15, 0.85)
    shapes = (
        lambda: place ** rng.uniform(0.4, 2.5),
        lambda: -4 * (place - turn) ** 2,
        lambda: np.minimum(place, turn) / turn,
        lambda: (place > turn).astype(float),
    )
    return np.asarray(shapes[int(rng.integers(len(shapes)))]())


def _pair(rng: np.random.Generator, one: Knob, other: Knob) -> Values:
    """A product of two effects; or an effect of the one that holds at one value of the other alone."""
    if rng.random() < 0.5:
        return np.outer(_main(rng, one), _main(rng, other))
    held = np.zeros(len(other.values) + 1)
    held[int(rng.integers(len(other.values)))] = 1.0
    return np.outer(_main(rng, one), held)
