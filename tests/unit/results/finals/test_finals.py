"""What fresh runs decide: who is out, who is chosen, and when it is over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autotuner.results.finals.finals import FAILED, Finals
from autotuner.scoring import Grade
from tests.finals_parts import DEFAULT, finals, run

LEVEL = {"0001": 200.0, "0002": 198.0, "0003": 196.0, DEFAULT: 100.0}


def test_a_gain_is_of_the_rounds_that_both_came_through() -> None:
    known = finals({"0001": [210, 190, None], DEFAULT: [100, None, 100]}, LEVEL)
    gain = known.gain("0001")
    assert gain is not None
    assert gain.rounds == 1
    assert gain.mean == pytest.approx(0.7419373)
    assert known.gain("0002") is None


def test_without_a_value_there_is_no_ratio() -> None:
    known = finals({"0001": [210, 190], DEFAULT: [100, 100]}, LEVEL)
    zero = replace(known, fresh={**known.fresh, DEFAULT: {1: run(100), 2: run(None)}})
    assert zero.gain("0001") is None
    failed = replace(known, fresh={**known.fresh, DEFAULT: {1: run(100), 2: FAILED}})
    gain = failed.gain("0001")
    assert gain is not None
    assert gain.rounds == 1, "a run that failed is none, and leaves the others"


def test_the_search_says_how_far_runs_differ_and_nothing_else() -> None:
    calm, lucky = (finals({"0001": [200], DEFAULT: [100]}, LEVEL | {"0001": best}) for best in (201, 260))
    first, second = calm.gain("0001"), lucky.gain("0001")
    assert first is not None
    assert second is not None
    assert first.mean == second.mean
    assert (first.half_width or 0) < 0.2 < (second.half_width or 0)


@pytest.mark.parametrize(("rounds", "finalists"), [(1, 1), (3, 1), (1, 3), (3, 3), (12, 1)])
def test_the_interval_is_wider_the_more_looks_and_finalists_there_are(rounds: int, finalists: int) -> None:
    fresh = {name: [200.0 + n] for n, name in enumerate(["0001", "0002", "0003"][:finalists])} | {DEFAULT: [101.0]}
    known = finals(fresh, LEVEL, rounds=rounds)
    gain, plain = known.gain("0001"), known.spread
    assert gain is not None
    assert plain is not None
    wrong = {1: 0.05, 3: 0.0221, 12: 0.0106 * 10 / 12}[rounds]
    assert gain.half_width == pytest.approx(plain.half_width(1, 1 - wrong / finalists))


# ── who runs besides the best ─────────────────────────────────────────────────────────────────


def rivals(noise: float, second: float) -> tuple[str, ...]:
    best, default = 200.0, 100.0
    fresh = {"0001": [best * (1 - noise)], DEFAULT: [default * (1 + noise)]}
    return finals(fresh, {"0001": best, "0002": second, DEFAULT: default}).rivals


@pytest.mark.parametrize(
    ("noise", "second", "expected"),
    [
        (0.05, 198, ("0002",)),  # 1 % behind where runs differ by 3.5 %
        (0.05, 150, ()),
        (0.002, 199.9, ()),  # what noise may hide is nothing that anyone would feel
        (0.0, 200, ()),
    ],
)
def test_a_rival_is_what_may_be_better_by_what_its_noise_hides(
    noise: float, second: float, expected: tuple[str, ...]
) -> None:
    assert rivals(noise, second) == expected


def test_what_broke_an_slo_in_the_search_is_no_rival_of_what_met_them() -> None:
    known = finals({"0001": [190], DEFAULT: [105]}, LEVEL)
    assert known.rivals == ("0002", "0003")
    broke = replace(known, searched={**known.searched, "0002": run(198, Grade.VIOLATING)})
    assert broke.rivals == ("0003",)


def test_without_a_spread_there_are_no_rivals() -> None:
    assert finals({}, LEVEL).rivals == ()


# ── who is out ────────────────────────────────────────────────────────────────────────────────


def test_what_is_clearly_worse_than_another_is_out() -> None:
    known = finals({"0001": [200, 201], "0002": [150, 151], "0003": [199, 200], DEFAULT: [100, 100]}, LEVEL)
    assert known.left == ("0001", "0003")


def test_what_broke_an_slo_afresh_gives_way_to_what_did_not() -> None:
    known = finals({"0001": [220], "0002": [200], DEFAULT: [100]}, LEVEL)
    assert known.left[0] == "0001"
    broke = replace(known, fresh={**known.fresh, "0001": {1: run(220, Grade.VIOLATING)}})
    assert broke.left == ("0002",)


def test_what_failed_afresh_is_out_and_without_another_all_is_over() -> None:
    known = finals({"0001": [220], "0002": [200], DEFAULT: [100]}, LEVEL)
    assert replace(known, fresh={**known.fresh, "0001": {1: FAILED}}).left == ("0002",)
    alone = replace(known, fresh={"0001": {1: FAILED}, DEFAULT: {1: run(100)}})
    assert (alone.left, alone.chosen, alone.is_decided) == ((), None, True)


def test_a_new_best_of_the_search_is_not_passed_over_for_what_ran_afresh_before_it() -> None:
    known = finals({"0002": [200], DEFAULT: [100]}, LEVEL)
    assert (known.left, known.chosen, known.is_decided) == ((), None, False)


# ── the choice ────────────────────────────────────────────────────────────────────────────────


def test_the_fresh_runs_choose_and_not_the_search() -> None:
    known = finals({"0001": [180, 181], "0002": [199, 200], DEFAULT: [100, 100]}, LEVEL)
    assert known.chosen == "0002"


def of_changes(second: float, **changes: int) -> str | None:
    """0001 runs at 200, and what a single run is off is about 2 %."""
    searched = {"0001": 206.0, "0002": second * 0.98, DEFAULT: 98.0}
    fresh = {"0001": [200.0], "0002": [second], DEFAULT: [100.0]}
    return finals(fresh, searched, changes={"0001": 5, "0002": 2} | changes).chosen


def test_of_those_within_one_standard_error_the_plainest_is_chosen() -> None:
    assert of_changes(198) == "0002"
    assert of_changes(190) == "0001", "further behind than one standard error"
    assert of_changes(198, **{"0002": 6}) == "0001"
    assert of_changes(198, **{"0002": 5}) == "0001", "of alike ones the one that leads"


def test_the_plainest_is_not_chosen_where_it_is_not_proven_and_the_leader_is() -> None:
    fresh: dict[str, list[float | None]] = {
        "0001": [112.0, 112.0, 112.0],
        "0002": [None, 111.9, None],
        DEFAULT: [100.0, 100.0, 100.0],
    }
    searched = {"0001": 119.0, "0002": 111.0, DEFAULT: 97.0}
    known = finals(fresh, searched, changes={"0001": 5, "0002": 1})
    gains = known.gain("0001"), known.gain("0002")
    assert [gain is not None and gain.is_clear for gain in gains] == [True, False]
    assert known.chosen == "0001"


# ── the end ───────────────────────────────────────────────────────────────────────────────────


def decided(values: list[float], default: list[float], search: tuple[float, float], rounds: int = 3) -> bool:
    searched = {"0001": search[0], DEFAULT: search[1]}
    return finals({"0001": values, DEFAULT: default}, searched, rounds=rounds).is_decided


def test_it_is_over_once_the_best_is_clearly_better() -> None:
    assert decided([200], [100], (202, 99))
    assert not decided([110], [100], (113, 99)), "10 % where runs differ by 2 %"


def test_it_is_over_once_no_round_to_come_would_prove_a_gain() -> None:
    assert decided([99, 98], [100, 100], (104, 100)), "it is behind"
    assert decided([100.1, 100.2], [100, 100], (100.3, 100)), "a gain that nobody would feel"
    assert not decided([104, 107], [100, 101], (111, 99))


def test_it_is_not_over_before_anything_ran_or_while_nothing_is_known_of_noise() -> None:
    assert not finals({}, LEVEL).is_decided
    assert not finals({"0001": [200], DEFAULT: [100]}, {"0001": 200.0}).until(0).is_decided
    bare = finals({"0001": [200], DEFAULT: [100]}, LEVEL)
    assert not replace(bare, searched={}).is_decided


def graded(ours: list[Grade], theirs: list[Grade]) -> Finals:
    """The first of each is of the search."""
    known = finals({"0001": [100], DEFAULT: [100]}, {"0001": 104.0, DEFAULT: 98.0})
    fresh = {
        name: {n: run(100, grade) for n, grade in enumerate(grades[1:], 1)}
        for name, grades in (("0001", ours), (DEFAULT, theirs))
    }
    searched = {"0001": run(104, ours[0]), DEFAULT: run(98, theirs[0])}
    return replace(known, fresh=fresh, searched=searched)


MET, BROKE = Grade.MEETING, Grade.VIOLATING


@pytest.mark.parametrize(
    ("ours", "theirs", "is_decided"),
    [
        ([MET, MET], [BROKE, BROKE], True),
        ([MET, MET], [MET, BROKE], False),
        ([MET, MET], [BROKE, MET], False),
        ([BROKE, MET], [BROKE, BROKE], False),
    ],
)
def test_meeting_the_slos_in_every_run_where_the_default_never_did_decides(
    ours: list[Grade], theirs: list[Grade], is_decided: bool
) -> None:
    known = graded(ours, theirs)
    assert known.meets_what_the_default_breaks("0001") is is_decided
    if is_decided:
        assert known.is_decided


def test_the_slos_are_not_decided_by_a_single_run_of_each() -> None:
    known = graded([MET, MET], [BROKE, BROKE])
    assert not replace(known, searched={}).meets_what_the_default_breaks("0001")
