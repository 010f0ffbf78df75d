"""The best with settings put back to the default, among the finalists."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from autotuner.results import Phase, TrialState
from autotuner.results.finals import Finals, next_run
from tests.finals_parts import DEFAULT, finals
from tests.known_results import Known

# Runs of one Config differ by some 3 %.
FRESH = {"0001": [200.0], DEFAULT: [103.0]}
SEARCHED = {"0001": 206.0, "0002": 205.0, "0003": 204.0, DEFAULT: 100.0}


def known(plainer: dict[str, float], fresh: dict[str, list[float]] | None = None, most: int = 3) -> Finals:
    """Three that were searched for, ``plainer`` ones that are no candidates by their rank, and what ran afresh."""
    made = finals({**FRESH, **(fresh or {})}, {**SEARCHED, **plainer}, changes={"0001": 5, "0002": 5, "0003": 5})
    changes = {**made.changes, **{name: number for number, name in enumerate(plainer, 1)}}
    return replace(made, candidates=("0001", "0002", "0003")[:most], plainer=tuple(plainer), changes=changes)


def test_the_plainest_that_is_not_seen_to_lose_comes_before_other_rivals() -> None:
    found = known({"0004": 203.0, "0005": 204.0})
    assert found.rivals == ("0004", "0002")
    assert known({"0004": 150.0, "0005": 203.0}).rivals == ("0005", "0002"), "the first one is worse"
    assert known({"0004": 150.0}).rivals == ("0002", "0003")


@pytest.mark.parametrize(("most", "rivals"), [(1, ()), (2, ("0004",)), (3, ("0004", "0002"))])
def test_finalists_are_no_more_than_were_asked_for(most: int, rivals: tuple[str, ...]) -> None:
    assert known({"0004": 203.0}, most=most).rivals == rivals


def test_it_runs_in_the_round_of_the_rivals_and_is_counted_among_those_that_ran() -> None:
    begun = [("0001", 1), (DEFAULT, 1)]
    following = next_run(known({"0004": 203.0}), begun, ())
    assert following == ("0004", 1)
    assert known({"0004": 203.0}, {"0004": [198.0]}).measured == ("0001", "0004")


def test_it_is_chosen_where_the_rounds_do_not_tell_it_from_the_best() -> None:
    assert known({"0004": 203.0}, {"0004": [198.0]}).chosen == "0004"
    assert known({"0004": 203.0}, {"0004": [150.0]}).chosen == "0001"


def exact(loss: float, *, plainer: bool = True) -> Finals:
    """Nothing differs from run to run; a Config of fewer changes is a little behind."""
    behind = 200.0 * (1 - loss)
    values = {"0001": 200.0, "0004": behind, DEFAULT: 100.0}
    made = finals({name: [value] for name, value in values.items()}, values, changes={"0001": 5, "0004": 1})
    return replace(made, plainer=("0004",) if plainer else ())


def test_a_loss_that_nobody_would_feel_is_none_for_what_was_put_back_alone() -> None:
    assert exact(0.004).chosen == "0004"
    assert exact(0.004).rivals == ("0004",)
    assert exact(0.006).chosen == "0001"
    assert exact(0.004, plainer=False).chosen == "0001"


def recorded(values: dict[str, tuple[float, dict[str, Any]]], **search: Any) -> Known:
    study = Known({"objective": "throughput", "search": search})
    for trial_id, (value, config) in values.items():
        study.trial(trial_id, {level: {"output_tokens_per_s": value} for level in (1.0, 2.0)}, config=config)
    return study


BEST = {"ubatch-size": 128, "batch-size": 1024, "threads": 2}
VALUES: dict[str, tuple[float, dict[str, Any]]] = {
    "0000": (100.0, {"batch-size": 2048}),
    "0001": (200.0, BEST),
    "0002": (150.0, {"ubatch-size": 512, "batch-size": 2048, "threads": 2}),
    "0003": (160.0, {"ubatch-size": 128, "threads": 2}),
    "0004": (170.0, {"ubatch-size": 256, "batch-size": 2048, "threads": 2}),
    "0005": (180.0, {**BEST, "cont-batching": True}),
}


def test_plainer_are_those_whose_changes_in_effect_are_some_of_the_bests_the_fewest_first() -> None:
    """512 and 2048 are what llama.cpp takes anyway: 0002 changes threads alone, 0003 two of three. 0004 changes
    ubatch-size to something else, 0005 nothing less."""
    found = recorded(VALUES).results().finals
    assert found is not None
    assert found.plainer == ("0002", "0003")
    assert {name: found.changes[name] for name in ("0001", "0002", "0003")} == {"0001": 3, "0002": 1, "0003": 2}


def test_of_a_study_that_began_before_none_is_and_configs_differ_where_they_say_so() -> None:
    found = recorded(VALUES, put_back=False).results().finals
    assert found is not None
    assert found.plainer == ()
    assert found.changes["0005"] == 4


def test_what_was_put_back_is_told_with_the_trial_that_it_is_of() -> None:
    study = recorded({name: VALUES[name] for name in ("0000", "0001", "0004")})
    levels = (1.0, 2.0)
    plain = {level: {"output_tokens_per_s": 199.9} for level in levels}
    study.trial("0005", plain, config={"ubatch-size": 128, "threads": 2}, phase=Phase.PUT_BACK)
    study.trial("0006", config={"threads": 2}, phase=Phase.PUT_BACK, state=TrialState.FAILED)
    for trial_id, value in (("0001-c1", 200.0), ("0000-c1", 100.0), ("0005-c1", 199.8)):
        study.trial(trial_id, {level: {"output_tokens_per_s": value} for level in levels})
    results = study.results()
    first, second = results.summary["put_back"]
    assert first == {
        "trial_id": "0005",
        "of": "0001",
        "settings": ("batch-size",),
        "state": TrialState.COMPLETED,
        "chosen": True,
    }
    assert (second["trial_id"], second["of"], second["chosen"]) == ("0006", "0005", False)
    assert second["settings"] == ("ubatch-size",)
    assert results.best is not None
    assert results.best.trial_id == "0005"
    (batch,) = [flag for flag in results.flag_worths if flag.parameter == "threads"]
    assert batch.ratio is None
