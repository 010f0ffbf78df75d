"""What the fresh runs of finalists say, in words."""

from __future__ import annotations

import pytest

from autotuner.report.facts.finalists import finalists_lines
from autotuner.report.facts.verdict import verdict
from tests.known_results import Known


def known(searched: dict[str, float], fresh: dict[str, list[float]]) -> Known:
    study = Known({"objective": "throughput"})
    for trial_id, value in searched.items():
        config = {f"flag-{n}": 1 for n in range(int(trial_id))}
        study.trial(trial_id, {level: {"output_tokens_per_s": value} for level in (1, 2)}, config=config)
    for trial_id, rounds in fresh.items():
        for number, value in enumerate(rounds, 1):
            study.trial(f"{trial_id}-c{number}", {level: {"output_tokens_per_s": value} for level in (1, 2)})
    return study


def lines(study: Known) -> list[str]:
    improvement = study.results().improvement
    assert improvement is not None
    return list(finalists_lines(improvement))


def test_a_finalist_alone_is_told_by_the_verdict_and_the_noise_of_a_run_here() -> None:
    study = known({"0000": 99, "0001": 202}, {"0001": [200], "0000": [100]})
    assert lines(study) == ["Runs of one Config differ by about 0.7071 % (standard deviation)."]
    assert lines(study)[0] in verdict(study.results()).details


def test_several_are_told_with_their_gains_and_who_is_out() -> None:
    fresh = {"0001": [200.0, 201.0], "0002": [150.0, 151.0], "0000": [100.0, 100.0]}
    told = lines(known({"0000": 99, "0001": 202, "0002": 153}, fresh))[0].replace("\u00a0", " ")
    assert told.startswith("Finalists, over the default: trial 0001 +100 % (95 % interval ")
    assert "; trial 0002 +50 % (95 % interval " in told
    assert told.endswith(", 2 rounds, then out.")


def test_one_that_was_chosen_among_finalists_is_not_said_to_have_scored_best() -> None:
    fresh = {"0002": [103.0], "0001": [104.0], "0000": [100.0]}
    found = verdict(known({"0000": 98, "0002": 108, "0001": 106}, fresh).results())
    assert found.headline.startswith(
        "Not recommended over the default, a tie: trial 0001 was chosen among the finalists, but was not proven better"
    )
    assert "1 confirmation round, with both launched afresh: a tie: the interval does not exclude no gain." in (
        found.details
    )


@pytest.mark.parametrize("rounds", [1, 2])
def test_the_best_of_the_search_is_said_to_have_scored_best(rounds: int) -> None:
    fresh = {"0001": [101.0, 100.0][:rounds], "0000": [100.0, 101.0][:rounds]}
    found = verdict(known({"0000": 98, "0001": 108}, fresh).results())
    assert "a tie: trial 0001 scored best in the search, but was not proven better" in found.headline
