"""Whether the default came out otherwise than before, worked out by hand, and over many studies of known truth."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from autotuner.results.noise.drift import DefaultRun, Drift, find_drift, is_settled, steady_before

HERE = "node"
NOISES = (0.01, 0.05, 0.2)


def run(
    number: int, value: float, at_s: float | None = None, node: str = HERE, other: float | None = None
) -> DefaultRun:
    return DefaultRun(number, float(100 * number) if at_s is None else at_s, node, (math.log(value), other))


def slowed(*values: float) -> list[DefaultRun]:
    """The default's own trial, a reference like it, and one that was run three times."""
    return [run(0, 100), run(1, 101), *(run(2, value, 200 + n) for n, value in enumerate(values))]


def play(truth: Callable[[int], float], noise: float, chance: random.Random, references: int) -> Drift:
    """A whole study: ``truth`` (logarithms) by the number of the reference."""
    runs: list[DefaultRun] = []
    for number in range(references + 1):
        while True:
            good = truth(number) + chance.gauss(0, noise)
            runs.append(DefaultRun(number, float(len(runs)), HERE, (good,)))
            own = [r.good for r in runs if r.number == number and r.good is not None]
            if not number or is_settled(steady_before(runs, number, HERE, references), own):
                break
    return find_drift(runs, references)


def share(truth: Callable[[int], float], noise: float, references: int, studies: int = 2000) -> float:
    """Of so many studies, those in which a shift is told."""
    chance = random.Random(7)
    return sum(bool(play(truth, noise, chance, references).shifts) for _ in range(studies)) / studies


# ── what is run again ─────────────────────────────────────────────────────────────────────────


def test_a_reference_that_is_off_is_run_three_times_and_one_that_is_not_once() -> None:
    assert is_settled([0.0], [0.04])
    assert not is_settled([0.0], [0.06])
    assert not is_settled([0.0], [-0.06])
    assert not is_settled([0.0], [0.2, 0.2])
    assert is_settled([0.0], [0.2, 0.2, 0.2])
    assert is_settled([0.0], [0.08, 0.0]), "the second was as before"


def test_where_nothing_is_known_of_before_nothing_is_run_again() -> None:
    assert is_settled([], [1.0])


# ── what is a shift ───────────────────────────────────────────────────────────────────────────


def test_a_default_that_came_out_lower_three_times_has_shifted() -> None:
    (shift,) = find_drift(slowed(80, 81, 80.5), 2).shifts
    assert (shift.number, shift.node, shift.from_s, shift.to_s) == (2, HERE, 100, 200)
    before, after = math.log(100 * 101) / 2, math.log(80 * 81 * 80.5) / 3
    assert shift.changes[0] == pytest.approx(after - before)
    assert 0 < shift.half_width < abs(shift.changes[0])


def test_one_that_was_not_run_three_times_has_not() -> None:
    assert find_drift(slowed(80, 80.5), 2).shifts == ()


def test_what_noise_may_do_is_no_shift() -> None:
    assert find_drift(slowed(80, 120, 95), 2).shifts == ()
    assert find_drift([run(0, 100), run(1, 90), run(1, 91, 101), run(1, 70, 102)], 1).shifts == ()


def test_less_than_a_twentieth_is_no_shift_however_sure() -> None:
    assert find_drift(slowed(97, 97.01, 97.02), 2).shifts == ()


def test_the_more_references_a_study_may_have_the_surer_each_must_be() -> None:
    """t = 5.6 of 3 degrees of freedom: p = 0.011."""
    runs = slowed(90, 93, 91)
    assert find_drift(runs, 2).shifts
    assert find_drift(runs, 10).shifts == ()


def test_after_a_shift_what_comes_is_judged_by_what_is_then() -> None:
    later = [run(3, 81), *(run(4, value, 400 + n) for n, value in enumerate((101, 100, 100.5)))]
    found = find_drift([*slowed(80, 81, 80.5), *later], 4)
    assert [shift.number for shift in found.shifts] == [2, 4]
    assert found.offsets(HERE, 300)[0] == pytest.approx(found.shifts[0].changes[0])
    assert found.offsets(HERE, 500)[0] == pytest.approx(0, abs=0.01)


def test_each_node_is_looked_at_by_itself() -> None:
    slower = [run(1, 80, 100 + n, "other") for n in range(3)]
    assert find_drift([run(0, 100), *slower], 2).shifts == (), "the other node may always have been slower"
    found = find_drift([run(0, 100), *slower, *(run(2, 100 + n / 10, 200 + n, "other") for n in range(3))], 2)
    assert [shift.node for shift in found.shifts] == ["other"]
    assert found.offsets(HERE, 900) == ()


# ── by how much ───────────────────────────────────────────────────────────────────────────────


def test_between_the_last_run_before_and_the_first_after_it_grows_evenly() -> None:
    found = find_drift(slowed(80, 81, 80.5), 2)
    whole = found.shifts[0].changes[0]
    assert found.offsets(HERE, 50) == (0, 0)
    assert found.offsets(HERE, 150)[0] == pytest.approx(whole / 2)
    assert found.offsets(HERE, 200)[0] == found.offsets(HERE, 1e9)[0] == pytest.approx(whole)


def test_every_objective_shifts_by_its_own_share_and_one_without_a_value_by_none() -> None:
    before = [run(0, 100, other=1.0), run(1, 100, other=1.2)]
    after = [run(2, 80, 200 + n, other=value) for n, value in enumerate((2.0, None, 2.2))]
    (shift,) = find_drift([*before, *after], 2).shifts
    assert shift.changes[1] == pytest.approx(1.0)
    (shift,) = find_drift([*(run(0, 100), run(1, 100)), *after], 2).shifts
    assert shift.changes[1] == 0


# ── how often it is wrong, and right ──────────────────────────────────────────────────────────


@pytest.mark.parametrize("references", [1, 3, 8])
@pytest.mark.parametrize("noise", NOISES)
def test_where_nothing_drifts_at_most_one_study_in_twenty_is_told_so(noise: float, references: int) -> None:
    assert share(lambda _: 0.0, noise, references) <= 0.05


@pytest.mark.parametrize("noise", [0.01, 0.02])
def test_a_machine_that_lost_a_quarter_is_noticed(noise: float) -> None:
    assert share(lambda number: math.log(0.75) if number >= 2 else 0.0, noise, 3, studies=200) > 0.95
    assert share(lambda number: math.log(0.75) if number else 0.0, noise, 1, studies=200) > 0.95
