"""Drawn: one surface, all of it drawn from (seed, number)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.surfaces.drawn.effects import Values
from benchmarks.surfaces.drawn.knobs import ABSENT, Indices, Knob, draw_knobs, grid
from benchmarks.surfaces.drawn.server import Behaviour, draw_behaviour

_MOST_WITH_REQUESTS = 600  # Configs of a surface with raw requests: more take longer to read than to search
_FEW_METRICS = 4_000  # Configs: of more only two repeats


@dataclass(frozen=True)
class Noise:
    """Spreads, as shares: of a launch, of each of its load points, of each of these's metrics, of single requests.

    ``cold``: how many times as long the first requests of a launch take.
    """

    launch: float
    point: float
    metric: float
    request: float
    cold: float

    @property
    def all(self) -> float:
        """Between two measurements of the same."""
        return float(np.sqrt(self.launch**2 + self.point**2 + self.metric**2))

    @property
    def p90(self) -> float:
        """The 90th percentile of a request's latency, over its mean (log-normal)."""
        return float(np.exp(1.2816 * self.request - self.request**2 / 2))


@dataclass(frozen=True)
class Drawn:
    """``slo_ms``: metric.statistic → threshold. ``requests_of``: at full fidelity, of each level."""

    name: str
    knobs: tuple[Knob, ...]
    configs: Indices
    levels: tuple[int, ...]
    behaviour: Behaviour
    startup_s: Values
    noise: Noise
    repeats: int
    per_slot: int
    min_requests: int
    is_raw: bool
    objective: str
    slo_ms: Mapping[str, float]
    default: Mapping[str, Any]
    trials: int
    told: str
    seed: tuple[int, int]

    def values(self, number: int) -> dict[str, Any]:
        """A Config by its place."""
        return _values(self.knobs, self.configs[number])


def requests_at(level: int, per_slot: int, least: int) -> int:
    return max(least, per_slot * level)


def draw(seed: int, number: int) -> Drawn:
    """The same for the same seed and number, whatever else is drawn."""
    rng = np.random.default_rng([seed, number])
    knobs = draw_knobs(rng)
    configs = grid(knobs)
    is_raw = len(configs) <= _MOST_WITH_REQUESTS and rng.random() < 0.7
    levels = _levels(rng, most=16 if is_raw else 1024)
    behaviour = draw_behaviour(rng, knobs, configs, levels)
    repeats = int(rng.integers(2, 4)) if len(configs) <= _FEW_METRICS and not is_raw else 2
    per_slot, least = int(rng.integers(3, 9)), int(rng.choice([16, 32, 64]))
    if is_raw:
        per_slot, least = min(per_slot, 4), min(least, 32)
    requests = [requests_at(level, per_slot, least) for level in levels]
    noise = _noise(rng)
    startup_share = rng.uniform(0.02, 0.7)
    measuring_s = (behaviour.e2e_s * np.array(requests) / np.array(levels)).sum(axis=1).mean()
    startup_s = behaviour.startup * measuring_s * startup_share / (1 - startup_share) / behaviour.startup.mean()
    slo_ms, is_binding, meets = _slo(rng, behaviour, noise, levels)
    default, is_good = _default(rng, behaviour, meets, levels)
    return Drawn(
        name=f"drawn-{seed}-{number:02d}",
        knobs=knobs,
        configs=configs,
        levels=levels,
        behaviour=behaviour,
        startup_s=startup_s,
        noise=noise,
        repeats=repeats,
        per_slot=per_slot,
        min_requests=least,
        is_raw=is_raw,
        objective="goodput_per_gpu" if is_raw and rng.random() < 0.3 else "throughput_per_gpu",
        slo_ms=slo_ms,
        default=_values(knobs, configs[default]),
        trials=min(60, round(3.5 * len(configs) ** 0.5)),
        told=f"{_told(knobs, behaviour, is_raw)}; start-up {startup_share:.0%} of a trial; noise {noise.all:.1%}; "
        f"SLOs {'at the best' if is_binding else 'loose'}; the default is {'good' if is_good else 'bad'}",
        seed=(seed, number),
    )


def _told(knobs: Sequence[Knob], behaviour: Behaviour, is_raw: bool) -> str:
    failing = sum(failure is not None for failure in behaviour.at_start)
    what = "raw requests" if is_raw else "metrics"
    return f"{len(behaviour.at_start)} Configs of {len(knobs)} parameters, {failing} of which do not start; {what}"


def _values(knobs: Sequence[Knob], config: Indices) -> dict[str, Any]:
    return {k.name: k.values[i] for k, i in zip(knobs, config, strict=True) if i != ABSENT}


def _levels(rng: np.random.Generator, most: int) -> tuple[int, ...]:
    """2 to 5 of them, each 2 or 4 times the one below; up to ``most``."""
    levels = [int(rng.choice([1, 1, 2, 4]))]
    factor = int(rng.choice([2, 4]))
    for _ in range(int(rng.integers(1, 5))):
        levels.append(levels[-1] * factor)
    within = [level for level in levels if level <= most]
    return tuple(within if len(within) > 1 else levels[:2])


def _noise(rng: np.random.Generator) -> Noise:
    """Between repeats of a measurement 0.5 to 8 % in all, evenly on a log scale."""
    spread = float(np.exp(rng.uniform(np.log(0.005), np.log(0.08))))
    launch, point, metric = (float(part) for part in np.sqrt(rng.dirichlet([2.0, 1.0, 1.0])) * spread)
    return Noise(launch, point, metric, request=float(rng.uniform(0.02, 0.3)), cold=float(rng.uniform(1.0, 1.5)))


def _per_gpu(behaviour: Behaviour, levels: Sequence[int]) -> Values:
    """Requests a second and GPU; nothing where it failed: [Configs, levels]."""
    rate = np.array(levels, dtype=float) / behaviour.e2e_s / behaviour.gpus[:, None]
    starts = np.array([failure is None for failure in behaviour.at_start])
    lives = np.arange(len(levels))[None, :] < behaviour.under_load[:, None]
    return np.where(starts[:, None] & lives, rate, 0.0)


def _slo(
    rng: np.random.Generator, behaviour: Behaviour, noise: Noise, levels: Sequence[int]
) -> tuple[dict[str, float], bool, Values]:
    """Thresholds by one of the best twentieth of all Configs at its best level: 0 to 3 % above what it shows, or far
    above. With them which load points meet them."""
    rate = _per_gpu(behaviour, levels)
    best = np.argsort(-rate.max(axis=1), kind="stable")[: max(1, len(rate) // 20)]
    chosen = int(rng.choice(best))
    level = int(rate[chosen].argmax())
    shown = {"ttft.p90": behaviour.ttft_s * noise.p90, "tpot.mean": behaviour.tpot_s, "e2e.mean": behaviour.e2e_s}
    names = [str(name) for name in rng.choice(list(shown), size=int(rng.integers(1, 3)), replace=False)]
    is_binding = bool(rng.random() < 0.6)
    slo_ms, meets = {}, rate > 0
    for place, name in enumerate(names):
        room = rng.uniform(1.0, 1.03) if is_binding and place == 0 else rng.uniform(1.3, 4.0)
        threshold_s = shown[name][chosen, level] * room
        slo_ms[name] = float(f"{1000 * threshold_s:.4g}")
        meets &= shown[name] <= threshold_s
    return slo_ms, is_binding, np.where(meets, rate, 0.0)


def _default(
    rng: np.random.Generator, behaviour: Behaviour, meeting: Values, levels: Sequence[int]
) -> tuple[int, bool]:
    """One that works at every level: of the better half of those that meet the SLOs, or of the rest."""
    works = (_per_gpu(behaviour, levels) > 0).all(axis=1)
    value = meeting.max(axis=1)
    able = np.flatnonzero(works)
    met = np.flatnonzero(works & (value > 0))
    is_good = len(met) > 0 and bool(rng.random() < 0.5)
    middle = np.median(value[met]) if len(met) else 0.0
    wanted = met[value[met] >= middle] if is_good else able[value[able] <= middle]
    return int(rng.choice(wanted if len(wanted) else able)), is_good
