"""Finals with figures that a test chooses, and whole finals played out from a known truth."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence

from autotuner.results.finals import Finals, Run, next_run
from autotuner.scoring import Grade

DEFAULT = "0000"


def run(value: float | None, grade: Grade = Grade.MEETING) -> Run:
    return Run(None if value is None else math.log(value), grade)


def finals(
    fresh: Mapping[str, Sequence[float | None]],
    searched: Mapping[str, float],
    *,
    rounds: int = 3,
    changes: Mapping[str, int] | None = None,
) -> Finals:
    """``fresh``: values of round 1, 2, …; ``None``: not measured in that round. ``searched``: the best first."""
    return Finals(
        DEFAULT,
        tuple(name for name in searched if name != DEFAULT),
        rounds,
        {name: run(value) for name, value in searched.items()},
        {
            name: {number: run(value) for number, value in enumerate(values, 1) if value is not None}
            for name, values in fresh.items()
        },
        changes or {},
    )


def play(
    truth: Mapping[str, float], noise: float, chance: random.Random, *, finalists: int = 3, rounds: int = 3
) -> Finals:
    """A whole study's end: ``truth`` (logarithms) is searched once, and its finalists confirmed.

    ``noise``: the standard deviation of a run, in logarithms.
    """

    def measured(name: str) -> Run:
        return Run(truth[name] + chance.gauss(0, noise), Grade.MEETING)

    searched = {name: measured(name) for name in truth}
    others = sorted((name for name in truth if name != DEFAULT), key=lambda name: -(searched[name].good or 0.0))
    candidates = tuple(others[:finalists])
    kept = {name: searched[name] for name in (*candidates, DEFAULT)}
    fresh: dict[str, dict[int, Run]] = {}
    begun: set[tuple[str, int]] = set()
    while True:
        known = Finals(DEFAULT, candidates, rounds, kept, fresh, {})
        following = next_run(known, begun, ())
        if following is None:
            return known
        begun.add(following)
        name, number = following
        fresh = {**fresh, name: {**fresh.get(name, {}), number: measured(name)}}
