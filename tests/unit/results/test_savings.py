"""What each lever saved, estimated from trials whose times are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from autotuner.errors import Failure
from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.metrics.measurement import Measurement
from autotuner.results.records import LITTLE_LEFT, Phase, PointFailure, RungRecord, TrialRecord, TrialState, Usage
from autotuner.results.savings import Measured, Saving, find_savings
from autotuner.scoring.score import Score
from autotuner.study.model import Study

ONE, FOUR, NINE = (LoadLevel(LoadKind.CONCURRENCY, c) for c in (1, 4, 9))
Ran = tuple[TrialRecord, tuple[RungRecord, ...]]
SCORE = Score(1.0, feasible=True, slo_met=True, level=None, value=None, objectives={})
SECTIONS = {"name": "known", "model": {"id": "m"}, "engine": {"name": "llamacpp"}}
SLO = {"ttft": {"p90": {"threshold_ms": 300}}}
STUDY = Study.model_validate({**SECTIONS, "workload": {"scenario": "D(10,11)", "load": {"concurrency": [1, 4, 9]}}})


def trial(trial_id: str, state: TrialState = TrialState.COMPLETED, **changes: Any) -> TrialRecord:
    given = {"phase": Phase.SEARCH, "gpus": 2, "cpus": 3, "ended_at": 50.0, **changes}
    return TrialRecord(trial_id, config={}, started_at=0.0, state=state, **given)


def at(level: LoadLevel, seconds: float) -> Measurement:
    """A load point of 60 requests that took so long."""
    return Measurement(level, 60, 0, {"requests_per_s": 60 / seconds})


def rungs(
    measuring_s: Sequence[float], measured: Sequence[Measurement] = (), failed: Sequence[LoadLevel] = ()
) -> tuple[RungRecord, ...]:
    """``measuring_s`` up to each rung; each has the load points ``measured``."""
    failures = tuple(PointFailure(str(level), Failure.HANG, "") for level in failed)
    return tuple(
        RungRecord("", n, "", SCORE, tuple(measured), 0.0, Usage(99, 0, seconds), failures=failures)
        for n, seconds in enumerate(measuring_s)
    )


def find(trials: Sequence[Ran], *, cut: bool = False) -> dict[str, Saving]:
    records = {t.trial_id: r for t, r in trials}
    return {s.lever: s for s in find_savings(Measured(STUDY, [t for t, _ in trials], records, cut))}


def test_a_stopped_trial_would_have_gone_on_as_others_did() -> None:
    done = [(trial(str(n)), rungs([10, whole])) for n, whole in enumerate((20, 40, 90))]  # once, 3 and 8 times as long
    saved = find([*done, (trial("9", TrialState.STOPPED), rungs([7]))])["trials_stopped_early"]
    assert (saved.count, saved.gpu_seconds, saved.cpu_seconds) == (1, 2 * 21, 3 * 21)
    assert "3 trials" in saved.estimated_from


def test_what_came_to_no_end_by_itself_saved_nothing() -> None:
    done = (trial("0"), rungs([10, 20]))
    for state, changes in (
        (TrialState.FAILED, {}),
        (TrialState.STOPPED, {"message": "the study's wall clock was spent before this rung ended"}),
        (TrialState.STOPPED, {"phase": Phase.NODE_CHECK}),
    ):
        assert find([done, (trial("9", state, **changes), rungs([7]))]) == {}
    assert find([done, (trial("9", TrialState.STOPPED), ())]) == {}, "no rung says how long one takes"
    assert find([(trial("9", TrialState.STOPPED), rungs([7]))]) == {}, "no trial says how long the rest takes"


def test_trials_that_may_have_been_stopped_by_a_budget_are_left_out() -> None:
    def stopped(ended_at: float) -> Ran:
        return trial("9", TrialState.STOPPED, ended_at=ended_at), rungs([7])

    done = [(trial("0"), rungs([10, 20]))]
    assert find([*done, stopped(1.0)]).keys() == find([*done, stopped(-1.0)], cut=True).keys() != set()
    assert find([*done, stopped(1.0)], cut=True) == {}, "no trial began after it had ended"


def test_a_skipped_level_would_have_taken_what_it_took_others() -> None:
    done = [(trial(str(n)), rungs([10], [at(ONE, 5), at(FOUR, s), at(NINE, 9)])) for n, s in enumerate((10, 20, 60))]
    broken = (trial("8", gpus=1), rungs([10], [at(ONE, 5)], failed=[FOUR]))
    saved = find([*done, broken])["levels_skipped"]
    assert saved.count == 1
    assert (saved.gpu_seconds, saved.cpu_seconds) == pytest.approx((9, 27))
    hopeless = (trial("8", gpus=1), rungs([10], [at(ONE, 5)]))
    assert find([*done, hopeless])["levels_skipped"].gpu_seconds == pytest.approx(20 + 9)
    assert find(done) == {}


def test_a_search_for_the_largest_load_leaves_no_level_out() -> None:
    searched = {"find_max": "concurrency", "from": 1, "up_to": 16}
    study = Study.model_validate({**SECTIONS, "workload": {"scenario": "D(10,11)", "load": searched}, "slo": SLO})
    trials = [(trial("0"), rungs([10], [at(ONE, 5), at(FOUR, 9)])), (trial("1"), rungs([10], [at(ONE, 5)]))]
    records = {t.trial_id: ended for t, ended in trials}
    assert find_savings(Measured(study, [t for t, _ in trials], records)) == ()


def fresh(*reserved_s: float, state: TrialState = TrialState.COMPLETED) -> list[TrialRecord]:
    return [
        trial(f"000{n % 2}-c{n}", state, phase=Phase.CONFIRM, usage=Usage(seconds))
        for n, seconds in enumerate(reserved_s)
    ]


def test_rounds_that_were_not_needed_would_have_cost_what_the_others_did() -> None:
    def found(trials: list[TrialRecord], *, cut: bool = False, ended: bool = True) -> Sequence[Saving]:
        return find_savings(Measured(study, trials, {}, cut, ended))

    study = STUDY.model_copy(update={"search": STUDY.search.model_copy(update={"confirm": 3})})
    (saved,) = found(fresh(10, 30, 20))
    assert (saved.lever, saved.count) == ("rounds_not_needed", 3)
    assert (saved.gpu_seconds, saved.cpu_seconds) == (2 * 3 * 20, 3 * 3 * 20)
    assert found(fresh(10, 30), cut=True) == found(fresh(10, 30), ended=False) == (), "it would have gone on"
    assert found(fresh(*[10] * 6)) == found(fresh(*[10] * 8)) == (), "nothing was left out"
    assert found([]) == (), "nothing was confirmed"
    assert found([*fresh(10, 30), *fresh(10, state=TrialState.FAILED)]) == (), "that may be why"
    every_round = study.search.model_copy(update={"finalists": None})
    study = study.model_copy(update={"search": every_round})
    assert found(fresh(10, 30, 20)) == (), "the study asks for every round"


def test_trials_that_the_search_did_without_would_have_cost_what_the_median_one_did() -> None:
    search = {**STUDY.search.model_dump(), "trials": 10}
    space = {"parameters": {"parallel": [1, 2, 4, 8], "threads": [1, 2]}}

    def found(reason: str, *trials: TrialRecord, **sections: Any) -> Sequence[Saving]:
        study = Study.model_validate({**STUDY.model_dump(by_alias=True), "search": search, **sections})
        return find_savings(Measured(study, trials, {}, has_ended=True, stop_reason=reason))

    enough = f"{LITTLE_LEFT}: after the last trial …"
    default = trial("0", phase=Phase.BASELINE, usage=Usage(999))
    tried = [trial(str(n), usage=Usage(seconds)) for n, seconds in enumerate((10, 40, 20), 1)]
    slow_client = trial("9", TrialState.FAILED, failure=Failure.CLIENT_SATURATED, usage=Usage(20))
    (saved,) = found(enough, default, *tried, space={"parameters": {"parallel": {"int": [1, 100]}}})
    assert (saved.lever, saved.count) == ("trials_not_begun", 6)
    assert (saved.gpu_seconds, saved.cpu_seconds) == (2 * 6 * 20, 3 * 6 * 20)
    (saved,) = found(enough, default, *tried, slow_client, space={"parameters": {"parallel": {"int": [1, 100]}}})
    assert saved.count == 6, "the client was too slow for one, which counts as none"
    (saved,) = found(enough, default, *tried, space=space)
    assert saved.count == 4, "the space has no more"
    assert found("all trials done", default, *tried, space=space) == ()
    assert found(enough, default, space=space) == (), "no searched trial says what one costs"
    assert found(enough, default, *[*tried, *tried, *tried], space={"parameters": {"parallel": {"int": [1, 9]}}}) == ()
