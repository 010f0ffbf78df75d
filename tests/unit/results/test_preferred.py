"""What a study's front has for somebody who says what each objective is worth."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from autotuner.errors import InputError
from autotuner.results.preferred import find_preferred
from tests.known_results import Known

SLO = {"ttft": {"p90": {"threshold_ms": 500}}}


def known(*points: tuple[float, float], slo: Mapping[str, object] = SLO) -> Known:
    """A trial a point: throughput and TTFT p90 at concurrency 1."""
    found = Known({"objective": ["throughput", "ttft_p90"], "slo": slo, "search": {"confirm": 0}})
    for number, (throughput, ttft) in enumerate(points):
        found.trial(f"{number:04d}", {1: {"output_tokens_per_s": throughput, "ttft_p90_ms": ttft}})
    return found


def test_the_point_that_is_worth_the_most_is_told_beside_the_next_and_the_best() -> None:
    found = find_preferred(known((100, 50), (180, 60), (200, 150)).results(), "throughput,ttft=1")
    assert (found.trial_id, found.load_kind, found.level, found.slo_met) == ("0001", "concurrency", 1, True)
    assert found.values == {"throughput": 180, "ttft_p90": 60}
    assert found.weights == {"throughput": 1, "ttft_p90": 1}
    assert found.reason == (
        "of the 3 points of the front that meet the SLOs it is worth the most by throughput=1,ttft_p90=1; next is "
        "trial 0000 at concurrency 1, with 44 % less throughput, 17 % less ttft_p90; the best throughput is that of "
        "trial 0002 at concurrency 1, with 11 % more throughput, 2.5 times the ttft_p90"
    )


def test_what_breaks_an_slo_is_preferred_to_nothing_that_keeps_them() -> None:
    points = [(100, 50), (5000, 501)]
    assert find_preferred(known(*points).results(), "throughput=9,ttft=1").trial_id == "0000"
    found = find_preferred(known((100, 600), (5000, 700)).results(), "throughput=9,ttft=1")
    assert (found.trial_id, found.slo_met) == ("0001", False)
    assert "that meet the SLOs" not in found.reason


def test_the_only_point_is_told_as_that() -> None:
    assert find_preferred(known((100, 50)).results(), "ttft=1").reason == (
        "it is the only point of the front that meets the SLOs"
    )


def test_a_study_without_a_feasible_point_has_nothing_to_prefer() -> None:
    with pytest.raises(InputError, match="nothing to prefer"):
        find_preferred(known().results(), "ttft=1")


def test_the_knee_of_the_front_is_marked_among_what_meets_the_slos() -> None:
    found = known((100, 50), (180, 60), (200, 150), (5000, 501)).results()
    assert dict(zip(found.pareto["trial_id"], found.pareto["knee"], strict=True)) == {
        "0000": False,
        "0001": True,
        "0002": False,
        "0003": False,
    }
    assert [point["knee"] is True for point in found.summary["pareto"]] == [False, True, False, False]
