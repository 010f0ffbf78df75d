"""The finals of a study as its records have them, and the improvement that they tell."""

from __future__ import annotations

from typing import Any

import pytest

from autotuner.errors import Failure
from autotuner.results import TrialState
from autotuner.results.improvement import Improvement, Outcome
from tests.known_results import Known


def at_levels(value: float, metric: str = "output_tokens_per_s") -> dict[float, dict[str, float]]:
    return {level: {metric: value} for level in (1, 2)}


def known(searched: dict[str, float], objective: str = "throughput", **keys: Any) -> Known:
    """Trials of the search by id; each differs from the default in as many values as its id says."""
    study = Known({"objective": objective, **keys})
    metric = {"throughput": "output_tokens_per_s", "ttft_p90": "ttft_p90_ms", "goodput": "goodput_per_s"}[objective]
    for trial_id, value in searched.items():
        config = {f"flag-{n}": 1 for n in range(int(trial_id))}
        study.trial(trial_id, at_levels(value, metric), config=config)
    return study


def afresh(study: Known, metric: str = "output_tokens_per_s", **values: list[float]) -> None:
    for name, rounds in values.items():
        for number, value in enumerate(rounds, 1):
            study.trial(f"{name.removeprefix('t')}-c{number}", at_levels(value, metric))


def improvement(study: Known) -> Improvement:
    found = study.results().improvement
    assert found is not None
    return found


def test_a_large_win_is_recommended_after_one_round_with_an_interval() -> None:
    study = known({"0000": 99, "0001": 202})
    afresh(study, t0001=[200], t0000=[100])
    found = improvement(study)
    assert (found.recommended, found.rounds, found.outcome) == (True, 1, Outcome.BETTER)
    assert found.ratio == pytest.approx(2)
    assert found.ci95 is not None
    assert 1.5 < found.ci95[0] < 2 < found.ci95[1]
    assert found.noise == pytest.approx(0.00707, rel=0.01)
    assert found.reason == "the interval excludes no gain"


def test_of_what_is_better_when_it_is_less_the_ratio_is_below_one() -> None:
    study = known({"0000": 202, "0001": 99}, "ttft_p90")
    afresh(study, "ttft_p90_ms", t0001=[100], t0000=[200])
    found = improvement(study)
    assert found.recommended
    assert found.ratio == pytest.approx(0.5)
    assert found.ci95 is not None
    assert found.ci95[0] < 0.5 < found.ci95[1] < 1


def test_what_is_not_told_apart_from_the_default_is_a_tie() -> None:
    study = known({"0000": 100, "0001": 106})
    afresh(study, t0001=[101], t0000=[100])
    found = improvement(study)
    assert (found.recommended, found.outcome) == (False, Outcome.TIE)
    assert found.reason == "a tie: the interval does not exclude no gain"


def test_what_is_clearly_behind_the_default_is_no_tie() -> None:
    study = known({"0000": 100, "0001": 101})
    afresh(study, t0001=[70, 70, 70], t0000=[100, 100, 100])
    assert improvement(study).outcome is Outcome.TIE, "the search's run is so far off that little is known"
    study = known({"0000": 100, "0001": 101})
    afresh(study, t0001=[95, 95, 95], t0000=[100, 100, 100])
    found = improvement(study)
    assert (found.outcome, found.reason) in (
        (Outcome.WORSE, "the interval excludes a gain"),
        (Outcome.TIE, "a tie: the interval does not exclude no gain"),
    )


def test_the_best_is_the_finalist_that_the_fresh_runs_choose() -> None:
    study = known({"0000": 99, "0001": 205, "0002": 202, "0003": 150})
    afresh(study, t0001=[190], t0002=[201], t0000=[100])
    results = study.results()
    assert results.best is not None
    assert results.best.trial_id == "0002"
    assert [point.trial_id for point in results.ranked()][:2] == ["0002", "0001"]
    found = improvement(study)
    assert found.ratio == pytest.approx(2.01)
    assert [(f.trial_id, f.rounds, f.is_out) for f in found.finalists] == [("0002", 1, False), ("0001", 1, False)]


def test_of_alike_finalists_the_plainest_is_the_best() -> None:
    study = known({"0000": 99, "0002": 205, "0001": 202})
    afresh(study, t0002=[201], t0001=[200], t0000=[100])
    results = study.results()
    assert results.best is not None
    assert results.best.trial_id == "0001", "it has one flag, the other two"


def test_a_finalist_that_failed_afresh_is_not_the_best() -> None:
    study = known({"0000": 99, "0001": 205, "0002": 202})
    study.trial("0001-c1", state=TrialState.FAILED, failure=Failure.CRASH)
    afresh(study, t0002=[201], t0000=[100])
    found = improvement(study)
    results = study.results()
    assert results.best is not None
    assert results.best.trial_id == "0002"
    assert [(f.trial_id, f.is_out) for f in found.finalists] == [("0002", False), ("0001", True)]


def test_where_every_finalist_failed_afresh_nothing_is_recommended_and_it_says_why() -> None:
    study = known({"0000": 99, "0001": 205})
    study.trial("0001-c1", state=TrialState.FAILED, failure=Failure.CRASH)
    afresh(study, t0000=[100])
    found = improvement(study)
    assert (found.recommended, found.outcome, found.rounds) == (False, Outcome.UNCONFIRMED, 0)
    assert "(0001-c1: CRASH: it broke)" in found.reason


def test_a_node_that_spoiled_a_fresh_run_says_nothing_of_its_config() -> None:
    study = known({"0000": 99, "0001": 205})
    study.trial("0001-c1", state=TrialState.FAILED, failure=Failure.INFRASTRUCTURE)
    afresh(study, t0000=[100])
    assert [f.is_out for f in improvement(study).finalists] == []
    study.trial("0001-c2", at_levels(200))
    study.trial("0000-c2", at_levels(100))
    assert improvement(study).recommended


SLO = {"slo": {"ttft": {"p90": {"threshold_ms": 100}}}}


def test_one_round_is_enough_where_all_runs_of_the_best_meet_the_slos_and_none_of_the_default() -> None:
    study = known({"0000": 150, "0001": 90}, "ttft_p90", **SLO)
    afresh(study, "ttft_p90_ms", t0001=[60], t0000=[110])
    found = improvement(study)
    assert found.ci95 is not None
    assert found.ci95[1] > 1, "nothing is known of how much faster it is"
    assert (found.recommended, found.reason) == (True, "it meets the SLOs, the default does not")


def test_a_round_without_a_value_has_no_ratio() -> None:
    study = known({"0000": 4, "0001": 5}, "goodput")
    afresh(study, "goodput_per_s", t0001=[5, 5], t0000=[0, 4])
    found = improvement(study)
    assert (found.ratio, found.recommended) == (None, False)
    assert found.reason == "no ratio: a value is missing or 0"


def test_under_the_earlier_rule_the_searchs_best_stays_the_best() -> None:
    study = known({"0000": 99, "0001": 205, "0002": 202}, search={"finalists": None})
    afresh(study, t0001=[190, 191], t0002=[201, 202], t0000=[100, 100])
    results = study.results()
    assert results.finals is None
    assert results.best is not None
    assert results.best.trial_id == "0001"
    assert (improvement(study).finalists, improvement(study).noise) == ((), None)


def test_where_the_default_is_the_best_there_are_no_finals() -> None:
    assert known({"0000": 99, "0001": 90}).results().finals is None
