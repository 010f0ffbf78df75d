"""The interval of what is chosen in the end is honest, whatever is chosen and whenever."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from statistics import fmean, stdev

import pytest

from autotuner.results.finals import Finals, Gain
from autotuner.results.improvement import paired_ratio
from tests.finals_parts import DEFAULT, play

Truth = Mapping[str, float]
NOISES = (0.005, 0.02, 0.05, 0.08)
STUDIES = 1000  # over all noises and truths


def alike(count: int, gain: float) -> Truth:
    return {DEFAULT: 0.0, **{f"{n:04d}": gain for n in range(1, count + 1)}}


def spaced(count: int, gain: float, step: float) -> Truth:
    return {DEFAULT: 0.0, **{f"{n:04d}": gain - (n - 1) * step for n in range(1, count + 1)}}


TRUTHS = (
    alike(20, 0.0),  # nothing is won, and the best of twenty is all luck
    alike(20, 0.1),
    alike(2, 0.0),
    spaced(1, 0.1, 0.0),
    spaced(3, 0.05, 0.01),
    spaced(12, 0.4, 0.02),
)


def covered(
    interval: Callable[[Finals, Gain], tuple[float, float] | None], studies: int = STUDIES, seed: int = 0
) -> float:
    """In which share of the studies the interval holds the true gain of what was chosen."""
    chance = random.Random(seed)
    held = []
    for number in range(studies):
        truth = TRUTHS[number % len(TRUTHS)]
        known = play(truth, NOISES[number // len(TRUTHS) % len(NOISES)], chance)
        chosen = known.chosen
        assert chosen is not None
        gain = known.gain(chosen)
        assert gain is not None
        found = interval(known, gain)
        true = truth[chosen] - truth[DEFAULT]
        held.append(found is not None and found[0] <= true <= found[1])
    return fmean(held)


def of_finals(_: Finals, gain: Gain) -> tuple[float, float] | None:
    return None if gain.half_width is None else (gain.mean - gain.half_width, gain.mean + gain.half_width)


def with_the_lucky_search(known: Finals, gain: Gain) -> tuple[float, float] | None:
    """What many do: all runs of both, the search's too, as if none had been picked by its value."""
    chosen = known.chosen or ""
    ours, theirs = ([run.good for run in (known.searched[n], *known.fresh[n].values())] for n in (chosen, DEFAULT))
    differences = [a - b for a, b in zip(ours, theirs, strict=False) if a is not None and b is not None]
    half = 1.96 * stdev(differences) / math.sqrt(len(differences))
    return fmean(differences) - half, fmean(differences) + half


def of_paired_rounds(known: Finals, gain: Gain) -> tuple[float, float] | None:
    """Student's interval of the rounds alone, as if they had not been looked at before the end: one has none."""
    ours, theirs = known.fresh[known.chosen or ""], known.fresh[DEFAULT]
    values = [(math.exp(ours[n].good or 0.0), math.exp(theirs[n].good or 0.0)) for n in ours if n in theirs]
    interval = paired_ratio(values)[1]
    return None if interval is None else (math.log(interval[0]), math.log(interval[1]))


def test_it_covers_the_truth_in_at_least_93_of_100_studies() -> None:
    assert covered(of_finals) >= 0.93


@pytest.mark.parametrize("naive", [with_the_lucky_search, of_paired_rounds])
def test_an_interval_that_knows_nothing_of_luck_and_looks_does_not(
    naive: Callable[[Finals, Gain], tuple[float, float] | None],
) -> None:
    assert covered(naive, studies=240) < 0.9


@pytest.mark.parametrize("noise", NOISES)
def test_it_is_honest_where_nothing_is_won_at_each_noise_and_hardly_ever_proves_a_gain(noise: float) -> None:
    chance = random.Random(7)
    truth = alike(20, 0.0)
    ended = [known.gain(known.chosen or "") for known in (play(truth, noise, chance) for _ in range(150))]
    clear = [gain is not None and gain.is_clear for gain in ended]
    assert fmean(clear) <= 0.05


@pytest.mark.parametrize(("gain", "noise"), [(0.3, 0.02), (0.1, 0.005), (0.7, 0.05)])
def test_a_large_win_needs_one_round(gain: float, noise: float) -> None:
    chance = random.Random(3)
    ended = [play(spaced(4, gain, 0.2), noise, chance) for _ in range(60)]
    found = [known.gain("0001") for known in ended]
    assert all(g is not None and g.is_clear for g in found)
    assert fmean([g.rounds == 1 for g in found if g is not None]) >= 0.8


def test_the_finalists_hold_the_truly_best_more_often_than_the_searchs_best_is() -> None:
    chance = random.Random(5)
    truth = spaced(12, 0.4, 0.02)
    ended = [play(truth, 0.05, chance) for _ in range(150)]
    chosen = fmean([truth[known.chosen or ""] for known in ended])
    searched = fmean([truth[known.candidates[0]] for known in ended])
    assert chosen > searched + 0.005
