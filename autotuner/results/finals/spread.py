"""Spread: by how much runs of one Config differ, from all that a study has measured more than once. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Fresh = Mapping[str, Mapping[int, float]]  # Config → round → value


@dataclass(frozen=True)
class Spread:
    """``deviation``: the standard deviation of one run, in logarithms; ``freedom``: its degrees of freedom."""

    deviation: float
    freedom: int

    def at_least(self, deviation: float) -> Spread:
        """Runs that were measured in coarse steps may agree to the last digit, and differ by less than a step."""
        return Spread(max(self.deviation, deviation), self.freedom)

    def error(self, rounds: int) -> float:
        """The standard error of a difference of two Configs that is the mean of so many rounds."""
        return self.deviation * math.sqrt(2 / rounds)

    def half_width(self, rounds: int, confidence: float) -> float:
        """Of Student's interval around such a difference."""
        from scipy.special import stdtrit  # slow to import

        return float(stdtrit(self.freedom, 0.5 + confidence / 2)) * self.error(rounds)

    def exceeds(self, bound: float, error: float) -> float:
        """How likely a quantity of mean 0 and so large a standard error, known by this spread, is over ``bound``."""
        from scipy.special import stdtr  # slow to import

        if not error:
            return float(bound <= 0)
        return 1 - float(stdtr(self.freedom, bound / error))


def pooled_spread(alone: Mapping[str, Sequence[float]], fresh: Fresh) -> Spread | None:
    """From the values (logarithms) of Configs in runs ``alone``, those of the search, and in fresh rounds; ``None``
    without any repeat.

    Of the rounds what is left once each Config and each round has its own mean (analysis of variance of two ways
    without interaction), so that a drift which all of a round share is no spread. Of the runs alone what they are off
    their Config's mean, and this mean off that of its rounds. That of the search's best was partly luck, which can only
    make this part larger: the spread is then rather told too wide than too narrow.
    """
    squares, freedom = _within_rounds(fresh)
    for name, values in alone.items():
        squares += math.fsum((value - _mean(values)) ** 2 for value in values)
        freedom += len(values) - 1
        if rounds := [*fresh.get(name, {}).values()]:
            off = _mean(values) - _mean(rounds)
            squares += off * off / (1 / len(values) + 1 / len(rounds))
            freedom += 1
    return Spread(math.sqrt(squares / freedom), freedom) if freedom else None


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _within_rounds(fresh: Fresh) -> tuple[float, int]:
    """The sum of squares that Config and round leave, and its degrees of freedom."""
    cells = [(name, number, value) for name, rounds in fresh.items() for number, value in rounds.items()]
    columns: dict[object, int] = {}
    for name, number, _ in cells:
        columns.setdefault(name, len(columns))
        columns.setdefault(number, len(columns))
    if len(cells) < 2:
        return 0.0, 0
    import numpy as np  # slow to import

    design = np.zeros((len(cells), len(columns)))
    for row, (name, number, _) in enumerate(cells):
        design[row, columns[name]] = design[row, columns[number]] = 1.0
    values = np.array([value for *_, value in cells])
    means, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
    freedom = len(cells) - int(rank)
    return (float(np.sum((values - design @ means) ** 2)) if freedom else 0.0), freedom
