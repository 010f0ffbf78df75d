"""What is recommended over the default, and why: every rule of the verdict, on figures that are known.

Under the earlier rule, of which each round has the best alone beside the default; finals have tests of their own.
"""

from __future__ import annotations

import math
from typing import Any

import pytest

from autotuner.errors import Failure
from autotuner.results import TrialState
from autotuner.results.improvement import Improvement, Outcome, confirmed_rounds, paired_ratio
from tests.known_results import Known

SLO = {"ttft": {"p90": {"threshold_ms": 100}}}
FAST, SLOW, LATE = 40.0, 80.0, 150.0  # LATE is over the SLO


def at_levels(value: float, metric: str = "ttft_p90_ms", **more: float) -> dict[float, dict[str, float]]:
    return {level: {metric: value, **more} for level in (1, 2)}


def known_of(keys: dict[str, Any]) -> Known:
    return Known({**keys, "search": {**keys.get("search", {}), "finalists": None}})


def study(**keys: Any) -> Known:
    return known_of({"objective": "ttft_p90", "slo": SLO, **keys})


def confirmed(known: Known, best: list[Any], default: list[Any], *, search: tuple[Any, Any] = (FAST, SLOW)) -> None:
    """Trial 0001 against the default, 0000: in the search, and a value (or figures) a round of confirmation."""
    known.trial("0000", figures(search[1]))
    known.trial("0001", figures(search[0]))
    for number, (ours, theirs) in enumerate(zip(best, default, strict=True), 1):
        known.trial(f"0001-c{number}", figures(ours))
        known.trial(f"0000-c{number}", figures(theirs))


def figures(value: Any) -> dict[float, dict[str, float]]:
    return value if isinstance(value, dict) else at_levels(value)


def improvement(known: Known) -> Improvement:
    found = known.results().improvement
    assert found is not None
    return found


def verdict(best: list[Any], default: list[Any], **keys: Any) -> tuple[bool, str]:
    known = study(**keys)
    confirmed(known, best, default)
    found = improvement(known)
    assert found.rounds == len(best)
    return found.recommended, found.reason


# ── by the interval ───────────────────────────────────────────────────────────────────────────


def test_what_is_faster_beyond_chance_is_recommended() -> None:
    assert verdict([40, 41], [80, 81]) == (True, "the interval excludes no gain")


def test_what_may_be_chance_is_not() -> None:
    assert verdict([40, 80], [80, 41]) == (False, "a tie: the interval does not exclude no gain")


def test_what_is_slower_beyond_chance_is_not() -> None:
    assert verdict([80, 81], [40, 41]) == (False, "the interval excludes a gain")


@pytest.mark.parametrize(
    ("best", "default", "recommended"),
    [([20, 21], [10, 10], True), ([10, 10], [20, 21], False), ([10, 20], [11, 10], False)],
)
def test_of_what_is_better_when_it_is_more_the_ratio_is_to_be_over_one(
    best: list[float], default: list[float], recommended: bool
) -> None:
    known = known_of({"objective": "throughput", "search": {"confirm": 2}})
    rounds = [[at_levels(value, "output_tokens_per_s") for value in values] for values in (best, default)]
    confirmed(known, *rounds, search=(at_levels(20, "output_tokens_per_s"), at_levels(10, "output_tokens_per_s")))
    assert improvement(known).recommended is recommended


def test_the_ratio_and_what_it_is_of_are_geometric_means_of_the_rounds() -> None:
    known = study()
    confirmed(known, [20, 45], [80, 80])
    found = improvement(known)
    assert found.ratio == pytest.approx(30 / 80)
    assert found.best_value == pytest.approx(30)
    assert found.baseline_value == pytest.approx(80)
    assert (found.metric, found.baseline, found.scope) == ("ttft_p90_ms", "0000", "mean of concurrency 1 and 2")


def test_the_scope_is_that_of_the_last_rung() -> None:
    known = study(search={"confirm": 0})
    for trial_id, value in (("0000", 80), ("0001", 40)):
        known.trial(trial_id, {1: {"ttft_p90_ms": value}}, at_levels(value))
    assert improvement(known).scope == "mean of concurrency 1 and 2"


def test_the_scope_of_a_round_is_that_of_its_last_rung() -> None:
    known = study()
    known.trial("0000", at_levels(SLOW))
    known.trial("0001", at_levels(FAST))
    for number in (1, 2):
        for trial_id, value in (("0000", SLOW), ("0001", FAST)):
            known.trial(f"{trial_id}-c{number}", {1: {"ttft_p90_ms": value}}, at_levels(value))
    assert improvement(known).scope == "mean of concurrency 1 and 2"


@pytest.mark.parametrize(
    ("best", "default", "outcome"),
    [
        ([40, 41], [80, 81], Outcome.BETTER),
        ([40, 80], [80, 41], Outcome.TIE),
        ([80, 81], [40, 41], Outcome.WORSE),
        ([LATE, LATE], [80, 81], Outcome.WORSE),
        ([40], [80], Outcome.UNCONFIRMED),
    ],
)
def test_what_came_out_is_told_in_a_word(best: list[float], default: list[float], outcome: Outcome) -> None:
    known = study()
    confirmed(known, best, default)
    assert improvement(known).outcome is outcome


def test_finalists_are_told_the_best_first_each_with_its_rounds_and_its_ratio() -> None:
    known = Known({"objective": "ttft_p90", "slo": SLO, "search": {"confirm": 3, "finalists": 3}})
    for trial_id, value in (("0000", SLOW), ("0001", 41.0), ("0002", 40.0)):
        known.trial(trial_id, at_levels(value), config={"n": int(trial_id)})
        for number in (1, 2):
            known.trial(f"{trial_id}-c{number}", at_levels(value + number / 100), config={"n": int(trial_id)})
    found = improvement(known)
    best, other = found.finalists
    assert (best.trial_id, other.trial_id) == ("0002", "0001")
    assert (best.rounds, other.rounds) == (2, 2)
    assert (best.ratio, other.ratio) == pytest.approx((found.ratio, 41 / 80), rel=1e-3)


@pytest.mark.parametrize(
    ("objective", "metric", "default"), [("ttft_p90", "ttft_p90_ms", 60), ("throughput", "output_tokens_per_s", 40)]
)
def test_what_makes_no_difference_is_no_gain(objective: str, metric: str, default: float) -> None:
    known = known_of({"objective": objective, "search": {"confirm": 2}})
    rounds = [at_levels(50, metric), at_levels(50, metric)]
    confirmed(known, rounds, rounds, search=(at_levels(50, metric), at_levels(default, metric)))
    found = improvement(known)
    assert found.ratio == pytest.approx(1)
    assert found.ci95 == pytest.approx((1, 1))
    assert (found.recommended, found.reason) == (False, "a tie: the interval does not exclude no gain")


def test_of_a_round_its_last_rung_counts() -> None:
    known = study()
    known.trial("0000", at_levels(SLOW))
    known.trial("0001", at_levels(FAST))
    for number in (1, 2):
        known.trial(f"0001-c{number}", at_levels(1), at_levels(40 + number))
        known.trial(f"0000-c{number}", at_levels(1), at_levels(80 + number))
    assert improvement(known).best_value == pytest.approx(math.sqrt(41 * 42))


@pytest.mark.parametrize(("select", "best_value"), [("slo_met", 10), ("score", 50)])
def test_the_point_of_a_round_is_chosen_as_that_of_a_trial_is(select: str, best_value: float) -> None:
    """At level 2 it is much faster, and a little over the SLO."""
    ours = {1: {"output_tokens_per_s": 10, "ttft_p90_ms": 50}, 2: {"output_tokens_per_s": 50, "ttft_p90_ms": 100.1}}
    theirs = at_levels(5, "output_tokens_per_s", ttft_p90_ms=50)
    known = known_of({"objective": "throughput", "slo": SLO, "search": {"confirm": 2, "select": select}})
    confirmed(known, [ours, ours], [theirs, theirs], search=(ours, theirs))
    found = improvement(known)
    assert found.best_value == pytest.approx(best_value)
    assert found.scope == ("concurrency 1" if select == "slo_met" else "each at its best load level")


def test_a_round_in_which_nothing_was_measured_is_an_infeasible_one() -> None:
    known = known_of({"objective": "throughput", "search": {"confirm": 2}})
    fast, slow = at_levels(20, "output_tokens_per_s"), at_levels(10, "output_tokens_per_s")
    confirmed(known, [fast], [slow], search=(fast, slow))
    known.trial("0001-c2", {}, lacks={1: Failure.HANG, 2: Failure.HANG})
    known.trial("0000-c2", slow)
    found = improvement(known)
    assert (found.recommended, found.reason) == (False, "the default meets the SLOs in every round, it does not")


# ── by the SLOs ───────────────────────────────────────────────────────────────────────────────


def test_what_meets_the_slos_in_every_round_beats_a_default_that_never_does_however_unsure_the_ratio() -> None:
    assert verdict([40, 95], [101, 150]) == (True, "it meets the SLOs, the default does not")


def test_a_default_that_met_them_once_is_not_said_not_to_meet_them() -> None:
    """From 95 to 90 and from 150 to 95: the ratio alone decides."""
    assert verdict([90, 95], [95, LATE]) == (False, "a tie: the interval does not exclude no gain")


def test_what_met_them_in_one_of_two_rounds_does_not_meet_them() -> None:
    assert verdict([FAST, 101], [LATE, LATE]) == (False, "a tie: the interval does not exclude no gain")


def test_a_default_that_meets_them_in_every_round_is_not_given_up_for_what_does_not() -> None:
    """Mean over both levels 5 % of the default's, and over the SLO at one of them."""
    over = {1: {"ttft_p90_ms": 1.0}, 2: {"ttft_p90_ms": 101.0}}
    known = study()
    confirmed(known, [over, over], [99, 99], search=(FAST, 99))
    found = improvement(known)
    assert found.ratio is not None
    assert found.ratio < 0.6
    assert (found.recommended, found.reason) == (False, "the default meets the SLOs in every round, it does not")


def test_against_a_default_that_met_them_in_one_round_the_ratio_decides() -> None:
    """Neither meets them always; the best is far faster beyond chance."""
    over = {1: {"ttft_p90_ms": 1.0}, 2: {"ttft_p90_ms": 101.0}}
    known = study()
    confirmed(known, [over, over], [99, {1: {"ttft_p90_ms": 99.0}, 2: {"ttft_p90_ms": 101.0}}], search=(FAST, 99))
    assert improvement(known).recommended


def test_what_was_infeasible_in_one_round_is_not_recommended() -> None:
    """A hard limit is kept in the search and missed in a round, by the default in both."""
    hard = {"slo": {"ttft": {"p90": {"threshold_ms": 100, "hard_fail": True}}}}
    known = known_of({"objective": "throughput", **hard, "search": {"confirm": 2}})
    good, bad = (at_levels(20, "output_tokens_per_s", ttft_p90_ms=ms) for ms in (50, 500))
    slower = at_levels(10, "output_tokens_per_s", ttft_p90_ms=50)
    confirmed(
        known, [good, bad], [slower, at_levels(10, "output_tokens_per_s", ttft_p90_ms=500)], search=(good, slower)
    )
    found = improvement(known)
    assert (found.recommended, found.reason) == (False, "it was infeasible in a confirmation round")


# ── values of 0 ───────────────────────────────────────────────────────────────────────────────


def goodput(best: list[float], default: list[float]) -> Improvement:
    known = known_of({"objective": "goodput", "search": {"confirm": 2}})
    rounds = [[at_levels(value, "goodput_per_s") for value in values] for values in (best, default)]
    confirmed(known, *rounds, search=(at_levels(5, "goodput_per_s"), at_levels(4, "goodput_per_s")))
    return improvement(known)


def test_something_beats_a_default_of_0_in_every_round() -> None:
    found = goodput([3, 4], [0, 0])
    assert (found.ratio, found.ci95, found.recommended) == (None, None, True)
    assert found.reason == "the default's value is 0"
    assert (found.best_value, found.baseline_value) == (None, None)


@pytest.mark.parametrize(
    ("best", "default"), [([3, 4], [0, 1]), ([3, 4], [1, 0]), ([0, 4], [0, 0]), ([0, 0], [0, 0]), ([0, 0], [3, 4])]
)
def test_a_0_anywhere_else_leaves_no_ratio_to_go_by(best: list[float], default: list[float]) -> None:
    found = goodput(best, default)
    assert (found.ratio, found.recommended) == (None, False)
    assert found.reason == "no ratio: a value is missing or 0"


def test_a_value_below_1_is_one_too() -> None:
    assert goodput([0.5, 0.25], [0, 0]).recommended


def test_a_latency_of_0_recommends_nothing() -> None:
    assert verdict([FAST, FAST], [0, 0]) == (False, "no ratio: a value is missing or 0")


# ── no verdict ────────────────────────────────────────────────────────────────────────────────


def test_the_default_itself_is_no_improvement_and_confirms_nothing() -> None:
    known = study()
    known.trial("0000", at_levels(FAST))
    known.trial("0001", at_levels(SLOW))
    found = improvement(known)
    assert (found.reason, found.recommended, found.ratio, found.ci95) == ("the default is the best", False, 1.0, None)
    assert (found.rounds, found.baseline) == (0, "0000")


def test_without_a_default_nothing_is_compared() -> None:
    known = study()
    known.trial("0001", at_levels(FAST))
    found = improvement(known)
    assert (found.reason, found.recommended, found.ratio, found.baseline) == (
        "the default was not measured",
        False,
        None,
        None,
    )


def test_without_anything_feasible_there_is_none() -> None:
    known = study()
    known.trial("0000", state=TrialState.FAILED, failure=Failure.CRASH)
    assert known.results().improvement is None


def test_one_round_is_not_enough_however_great_the_gain() -> None:
    known = study(search={"confirm": 1})
    confirmed(known, [1], [1000])
    found = improvement(known)
    assert (found.recommended, found.rounds, found.ci95) == (False, 1, None)
    assert found.ratio == pytest.approx(0.001)
    assert (
        found.reason == "1 of 1 confirmation round came to an end, as search.confirm asks; 2 are needed for an interval"
    )


def rounds_that_failed(known: Known, count: int, of: str = "0001") -> None:
    for number in range(1, count + 1):
        known.trial(f"{of}-c{number}", state=TrialState.FAILED, failure=Failure.INFRASTRUCTURE)


@pytest.mark.parametrize(("asked", "s"), [(1, ""), (2, "s"), (3, "s")])
def test_two_of_the_failures_that_left_too_few_rounds_are_told(asked: int, s: str) -> None:
    known = study(search={"confirm": asked})
    confirmed(known, [], [])
    rounds_that_failed(known, 3)
    told = "; ".join(f"0001-c{number}: INFRASTRUCTURE: it broke" for number in (1, 2))
    assert improvement(known).reason == (
        f"0 of {asked} confirmation round{s} came to an end; 2 are needed for an interval ({told})"
    )


def test_rounds_of_what_was_the_best_then_confirm_nothing_of_what_is_the_best_now() -> None:
    known = study(search={"confirm": 2})
    confirmed(known, [], [])
    for trial_id in ("0003", "0002"):
        known.trial(trial_id, at_levels(SLOW))
        rounds_that_failed(known, 1, trial_id)
    rounds_that_failed(known, 2, "0000")
    told = "the confirmation rounds were of trial 0002, 0003, which was the best then"
    assert improvement(known).reason == told
    rounds_that_failed(known, 1)
    assert improvement(known).reason.startswith("0 of 2 confirmation rounds came to an end"), "one was of this one"


def test_where_only_the_default_was_confirmed_yet_the_studys_end_is_the_reason() -> None:
    known = study(search={"confirm": 2})
    confirmed(known, [], [])
    known.trial("0000-c1", at_levels(SLOW))
    assert improvement(known).reason == "0 of 2 confirmation rounds came to an end: the study ended (all trials done)"


@pytest.mark.parametrize("asked", [2, 3])
def test_fewer_rounds_than_were_asked_for_end_with_the_study(asked: int) -> None:
    known = study(search={"confirm": asked})
    confirmed(known, [FAST], [SLOW])
    told = f"1 of {asked} confirmation rounds came to an end: the study ended (all trials done)"
    assert improvement(known).reason == told


def test_none_of_the_one_round_that_was_asked_for_ends_with_the_study_too() -> None:
    known = study(search={"confirm": 1})
    confirmed(known, [], [])
    told = "0 of 1 confirmation round came to an end: the study ended (all trials done)"
    assert improvement(known).reason == told


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (Failure.CRASH, "there is no default to confirm against: trial 0000 failed: CRASH: it broke"),
        (Failure.INFRASTRUCTURE, "0 of 2 confirmation rounds came to an end: the study ended (all trials done)"),
    ],
)
def test_a_default_that_failed_by_its_own_fault_is_not_there_to_be_confirmed_against(
    failure: Failure, told: str
) -> None:
    known = study(search={"confirm": 2})
    known.trial("0000", state=TrialState.FAILED, failure=failure)
    known.trial("0001", at_levels(FAST))
    found = improvement(known)
    assert (found.reason, found.recommended, found.ratio) == (told, False, None)


@pytest.mark.parametrize(("ended", "has_interval"), [(1, False), (2, True)])
def test_an_interval_needs_two_rounds(ended: int, has_interval: bool) -> None:
    known = study(search={"confirm": 2})
    confirmed(known, [FAST, FAST + 1][:ended], [SLOW, SLOW + 1][:ended])
    found = improvement(known)
    assert (found.ci95 is not None, found.recommended) == (has_interval, has_interval)


@pytest.mark.parametrize(("levels", "scope"), [((1, 1), "concurrency 1"), ((1, 2), "each at its best load level")])
def test_without_rounds_the_scope_is_that_of_the_search(levels: tuple[int, int], scope: str) -> None:
    known = known_of({"objective": "throughput", "search": {"confirm": 0}})
    best, default = ({level: {"output_tokens_per_s": 10.0}} for level in levels)
    best[levels[0]]["output_tokens_per_s"] = 20.0
    confirmed(known, [], [], search=(best, default))
    assert improvement(known).scope == scope


def test_a_default_without_a_level_has_no_scope_of_its_own() -> None:
    known = study(search={"confirm": 0})
    known.trial("0000", state=TrialState.FAILED, failure=Failure.CRASH)
    known.trial("0001", at_levels(FAST))
    assert improvement(known).scope == "mean of concurrency 1 and 2"


def test_without_rounds_the_ratio_is_that_of_the_search() -> None:
    known = study(search={"confirm": 0})
    confirmed(known, [], [])
    found = improvement(known)
    assert found.ratio == pytest.approx(0.5)
    assert (found.recommended, found.rounds) == (False, 0)
    assert found.reason == "confirmation is off (search.confirm: 0)"


def test_a_round_counts_where_both_came_to_its_end() -> None:
    known = study(search={"confirm": 3})
    confirmed(known, [FAST, FAST], [SLOW, SLOW])
    known.trial("0001-c3", at_levels(FAST))
    known.trial("0000-c3", state=TrialState.FAILED, failure=Failure.INFRASTRUCTURE)
    pairs = confirmed_rounds(known.trials, known.rungs, "0001", "0000")
    assert [(b.trial_id, d.trial_id) for b, d in pairs] == [("0001-c1", "0000-c1"), ("0001-c2", "0000-c2")]
    assert confirmed_rounds(known.trials, known.rungs, "0002", "0000") == []


# ── the ratio ─────────────────────────────────────────────────────────────────────────────────


def test_paired_ratio_is_students_interval_of_the_logarithms() -> None:
    """Ratios 1.1, 1.2 and 1.3; t(0.975, 2) = 4.302653 (Student's table)."""
    ratio, interval = paired_ratio([(11, 10), (12, 10), (13, 10)])
    logs = [math.log(r) for r in (1.1, 1.2, 1.3)]
    mean = sum(logs) / 3
    half = 4.302653 * math.sqrt(sum((x - mean) ** 2 for x in logs) / 2 / 3)
    assert ratio == pytest.approx(math.exp(mean))
    assert interval is not None
    assert interval == pytest.approx((math.exp(mean - half), math.exp(mean + half)), rel=1e-6)


@pytest.mark.parametrize("value", [0, None, -1])
@pytest.mark.parametrize("side", [0, 1])
def test_paired_ratio_needs_every_value_to_be_over_0(value: float | None, side: int) -> None:
    pair: list[float | None] = [2.0, 2.0]
    pair[side] = value
    assert paired_ratio([(1, 2), (pair[0], pair[1])]) == (None, None)


def test_paired_ratio_of_one_pair_has_no_interval_and_of_none_nothing() -> None:
    assert paired_ratio([(1, 2)]) == (0.5, None)
    assert paired_ratio([]) == (None, None)


def test_an_interval_beyond_all_numbers_stays_finite() -> None:
    _, interval = paired_ratio([(1e-100, 1e100), (1e100, 1e-100)])
    assert interval is not None
    assert all(math.isfinite(end) for end in interval)
