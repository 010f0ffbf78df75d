"""Server: what each Config of a drawn surface does under load, by a closed form that no real server follows.

For c requests in flight, of O output tokens, with effects e₁, e₂, e₃ of the Config, each with a spread of its own:

    n        requests that run: the least of c and the slots that one knob gives (in some surfaces)
    d(n)     a decoding step: t₀ e₁ (1 + n / (knee e₂)), and 1.8 times that above what the memory holds (in some)
    p        a prefill: p₀ e₃
    TPOT     d(n) + n p / O
    TTFT     p + (c / n − 1) O TPOT
    E2E      TTFT + O TPOT, and so many requests a second: c / E2E

d and p are 1 / tp^efficiency as long on tp GPUs, and the knee lies higher by tp^(a draw).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autotuner.errors import Failure
from benchmarks.surfaces.drawn.effects import Values, draw_effect
from benchmarks.surfaces.drawn.knobs import ABSENT, TP, Indices, Kind, Knob

_THRASHING = 1.8
_MOST_FAILING = 0.4  # of all Configs


@dataclass(frozen=True)
class Behaviour:
    """``ttft_s``, ``tpot_s``: [Configs, levels]. ``at_start``: what keeps a Config from starting. ``under_load``: the
    first level whose load kills it, by its index; as many as there are levels where none does."""

    gpus: Values
    ttft_s: Values
    tpot_s: Values
    tokens_out: int
    startup: Values  # in proportion
    at_start: Sequence[Failure | None]
    under_load: Indices

    @property
    def e2e_s(self) -> Values:
        return self.ttft_s + self.tokens_out * self.tpot_s


def draw_behaviour(
    rng: np.random.Generator, knobs: Sequence[Knob], configs: Indices, levels: Sequence[int]
) -> Behaviour:
    gpus = _gpus(knobs, configs)
    faster = gpus ** rng.uniform(0.6, 0.95)
    texture = np.exp(rng.uniform(0.0, 0.02) * rng.normal(size=len(configs)))  # what no parameter explains
    step_s = _factor(rng, knobs, configs, 0.05, 0.4) * texture * rng.uniform(0.004, 0.04) / faster
    knee = _factor(rng, knobs, configs, 0.1, 0.7) * rng.choice(levels) * rng.uniform(0.5, 4) * gpus ** rng.uniform(0, 1)
    prefill_s = _factor(rng, knobs, configs, 0.05, 0.5) * rng.uniform(0.02, 0.6) / faster
    tokens_out = int(rng.integers(50, 600))
    at_once = np.array(levels, dtype=float)[None, :]
    running = np.minimum(at_once, _slots(rng, knobs, configs, levels)[:, None])
    decode_s = step_s[:, None] * (1 + running / knee[:, None])
    if rng.random() < 0.5:
        held = levels[-1] * rng.uniform(0.3, 1.5) * _factor(rng, knobs, configs, 0.2, 0.8) * gpus
        decode_s = decode_s * np.where(running > held[:, None], _THRASHING, 1.0)
    tpot_s = decode_s + running * prefill_s[:, None] / tokens_out
    ttft_s = prefill_s[:, None] + (at_once / running - 1) * tokens_out * tpot_s
    at_start, under_load = _failures(rng, knobs, configs, len(levels))
    startup = _factor(rng, knobs, configs, 0.0, 0.5)
    return Behaviour(gpus, ttft_s, tpot_s, tokens_out, startup, at_start, under_load)


def _factor(rng: np.random.Generator, knobs: Sequence[Knob], configs: Indices, least: float, most: float) -> Values:
    """e to an effect of a spread between ``least`` and ``most``."""
    return np.exp(rng.uniform(least, most) * draw_effect(rng, knobs, configs))


def _gpus(knobs: Sequence[Knob], configs: Indices) -> Values:
    for column, knob in enumerate(knobs):
        if knob.name == TP:
            return np.array(knob.values, dtype=float)[configs[:, column]]
    return np.ones(len(configs))


def _slots(rng: np.random.Generator, knobs: Sequence[Knob], configs: Indices, levels: Sequence[int]) -> Values:
    """In six surfaces of ten an ordered knob says how many requests run at a time."""
    able = [i for i, knob in enumerate(knobs) if knob.kind is Kind.ORDERED and knob.name != TP]
    if not able or rng.random() > 0.6:
        return np.full(len(configs), np.inf)
    column = int(rng.choice(able))
    size = len(knobs[column].values)
    slots = np.maximum(1.0, np.geomspace(levels[-1] / 8, levels[-1] * 2, size).round())
    chosen = configs[:, column]
    return np.where(chosen == ABSENT, levels[-1], slots[chosen])


def _failures(
    rng: np.random.Generator, knobs: Sequence[Knob], configs: Indices, levels: int
) -> tuple[list[Failure | None], Indices]:
    """Up to 40 % of all Configs, in four surfaces of five: refused, too large to start, or too large for a load."""
    share = rng.uniform(0.0, _MOST_FAILING) if rng.random() < 0.8 else 0.0
    refused_share, start_share, load_share = share * rng.dirichlet([1.0, 1.0, 0.7])
    memory = draw_effect(rng, knobs, configs)
    order = np.argsort(-memory, kind="stable")
    starting = round(start_share * len(configs))
    loaded = round(load_share * len(configs))
    at_start: list[Failure | None] = [None] * len(configs)
    for index in order[:starting]:
        at_start[index] = Failure.OUT_OF_MEMORY_AT_START
    for index in np.flatnonzero(_refused(rng, knobs, configs, refused_share)):
        at_start[index] = Failure.INVALID_CONFIG
    under_load = np.full(len(configs), levels)
    under_load[order[starting : starting + loaded]] = levels - 1 if rng.random() < 0.5 else max(1, levels - 2)
    return at_start, under_load


def _refused(rng: np.random.Generator, knobs: Sequence[Knob], configs: Indices, share: float) -> Values:
    """What a server does not take: values of two knobs that do not go together, up to that share of all Configs."""
    refused = np.zeros(len(configs), dtype=bool)
    for _ in range(20):
        one, other = rng.choice(len(knobs), size=2, replace=False)
        values = int(rng.integers(len(knobs[one].values))), int(rng.integers(len(knobs[other].values)))
        more = refused | ((configs[:, one] == values[0]) & (configs[:, other] == values[1]))
        if more.mean() <= share:
            refused = more
    return refused
