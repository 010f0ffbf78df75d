"""Which load points others had a part in, over the last rungs of all trials."""

from __future__ import annotations

from dataclasses import replace

from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.metrics.measurement import Measurement
from autotuner.results.disturbed import DisturbedPoint, find_disturbed
from autotuner.results.records import Phase, RungRecord, TrialRecord, Usage
from autotuner.scoring.score import Score

ONE, FOUR = LoadLevel(LoadKind.CONCURRENCY, 1), LoadLevel(LoadKind.CONCURRENCY, 4)
SCORE = Score(1.0, feasible=True, slo_met=True, level=FOUR, value=1.0, objectives={})


def rung(trial_id: str, number: int, one: str = "", four: str = "", score: Score = SCORE) -> RungRecord:
    measured = (Measurement(ONE, 9, 0, {}, disturbed=one), Measurement(FOUR, 9, 0, {}, disturbed=four))
    return RungRecord(trial_id, number, "", score, measured, 0.0, Usage())


def test_the_last_rung_of_each_trial_counts() -> None:
    trials = [TrialRecord(trial_id, Phase.SEARCH, {}, 0.0) for trial_id in ("0000", "0001", "0002", "0003")]
    rungs = {
        "0000": (rung("0000", 0, four="they spun"), rung("0000", 1, one="they asked")),
        "0001": (rung("0001", 0, four="they spun"),),
        "0002": (rung("0002", 0),),
    }
    found = find_disturbed(trials, rungs)
    assert found.points == (
        DisturbedPoint("0000", "concurrency", 1, "they asked"),
        DisturbedPoint("0001", "concurrency", 4, "they spun"),
    )
    assert (found.measured, found.trials) == (6, ("0001",))
    assert found.as_dict()["load_points"] == 2


def test_a_score_of_all_levels_rests_on_each() -> None:
    assert rung("", 0, one="they asked").disturbed == ""
    assert rung("", 0, one="they asked", score=replace(SCORE, level=None)).disturbed == "they asked"
    assert rung("", 0, "they asked", "they asked", replace(SCORE, level=None)).disturbed == "they asked"
