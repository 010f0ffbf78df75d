"""Scores as they would be on a machine that stayed as it was."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from autotuner.metrics import LoadKind, LoadLevel, Measurement
from autotuner.scoring import Score, parse_objective, score_rung
from autotuner.scoring.shifted import without_shift
from autotuner.study.model import Slo

THROUGHPUT, LATENCY = parse_objective("throughput"), parse_objective("ttft_p90")
SLO = Slo.model_validate({"ttft": {"p90": {"threshold_ms": 100}}})
HALF = math.log(0.5)


def measured(level: float, rate: float, ttft: float) -> Measurement:
    metrics = {"output_tokens_per_s": rate, "ttft_p90_ms": ttft}
    return Measurement(
        LoadLevel(LoadKind.CONCURRENCY, level), 20, 0, metrics, intervals={"output_tokens_per_s": (rate - 1, rate + 1)}
    )


def scored(*points: Measurement) -> Score:
    return score_rung(points, [], SLO, [THROUGHPUT, LATENCY])


def test_without_an_offset_it_stays_as_it_is() -> None:
    score = scored(measured(1, 10, 50))
    assert without_shift(score, (), [THROUGHPUT, LATENCY]) is score
    assert without_shift(score, (0.0, 0.0), [THROUGHPUT, LATENCY]) is score


def test_what_was_measured_at_half_the_speed_counts_twice() -> None:
    """Doubling a rate halves a latency: both were better by log 2."""
    slow, quick = scored(measured(1, 10, 50), measured(4, 20, 60)), scored(measured(1, 20, 25), measured(4, 40, 30))
    found = without_shift(slow, (HALF, HALF), [THROUGHPUT, LATENCY])
    assert (found.score, found.value, found.level) == (quick.score, quick.value, quick.level)
    assert found.objectives == quick.objectives
    for name in ("throughput", "ttft_p90"):
        assert found.merit(name).good == pytest.approx(quick.merit(name).good)
    assert [p.value for p in found.points] == [p.value for p in quick.points]
    assert found.points[0].interval == (18, 22)


def test_how_it_stands_to_the_slos_is_as_it_was_measured() -> None:
    slow = scored(measured(1, 10, 150))
    found = without_shift(slow, (HALF, HALF), [THROUGHPUT, LATENCY])
    assert (found.slo_met, found.violations) == (slow.slo_met, slow.violations) != (True, ())
    assert found.points[0].margins == slow.points[0].margins
    assert found.score == pytest.approx(2 * slow.score)


def test_what_is_infeasible_stays_so() -> None:
    failed = score_rung([replace(measured(1, 10, 50), stopped_early="hopeless")], [], SLO, [THROUGHPUT])
    found = without_shift(failed, (HALF,), [THROUGHPUT])
    assert (found.score, found.feasible, found.merits) == (failed.score, False, failed.merits)
