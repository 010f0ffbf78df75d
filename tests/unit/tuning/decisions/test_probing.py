"""At which level trials begin, and which of them are behind the incumbent for sure."""

from __future__ import annotations

import dataclasses

import pytest

from autotuner.errors import Failure
from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.metrics.measurement import Measurement
from autotuner.results.records import Phase, PointFailure, RungRecord, TrialState, Usage
from autotuner.scoring import PointScore, Score, parse_objective
from autotuner.space.config import Config
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.followed_trial import Followed
from autotuner.tuning.decisions.probing import CLEAR_RATIO, Probing, begun_with, first_level, is_clearly_worse
from autotuner.tuning.decisions.rules import Rules
from tests.scores import LEVEL, made_score
from tests.tuning_parts import LATENCY, THROUGHPUT

COST = parse_objective("cost_per_mtok")
LEVELS = tuple(LoadLevel(LoadKind.CONCURRENCY, value) for value in (1, 8, 32, 128))


def shown(low: float | None, high: float = 0.0, *, objective: str = "throughput", slo_met: bool = True) -> Score:
    """One load level, whose value is between ``low`` and ``high``; without an interval where ``low`` is ``None``."""
    score = made_score(100.0 if low is None else (low + high) / 2, objective, slo_met=slo_met)
    interval = None if low is None else (low, high)
    return dataclasses.replace(score, points=(dataclasses.replace(score.points[0], interval=interval),))


def followed(trial_id: str, phase: Phase, score: Score, state: TrialState = TrialState.COMPLETED) -> Followed:
    return Followed(Assignment(trial_id, phase, Config({"of": trial_id}), 3), [score], state)


def rules(*, levels: tuple[LoadLevel, ...] = LEVELS, stops_early: bool = True) -> Rules:
    return Rules(9, 3, 1, (THROUGHPUT,), Config(), None, "slo_met", levels=levels, stops_early=stops_early)


# ── where a trial begins ──────────────────────────────────────────────────────────────────────


def test_before_there_is_an_incumbent_it_is_the_middle_and_for_a_mean_the_highest() -> None:
    assert first_level(LEVELS, THROUGHPUT) == LEVELS[2]
    assert first_level(LEVELS[:3], THROUGHPUT) == LEVELS[1]
    assert first_level(LEVELS[:1], THROUGHPUT) == LEVELS[0]
    assert first_level(LEVELS, LATENCY) == LEVELS[3]


def test_a_trial_begins_where_the_incumbent_is_best_and_knows_what_it_is_to_beat() -> None:
    trials: dict[str, Followed] = {}
    probing = Probing(trials, rules())
    asked = Assignment("0001", Phase.SEARCH, Config(), 3)
    assert probing.begin(asked) == dataclasses.replace(asked, probe=LEVELS[2])
    trials["0000"] = followed("0000", Phase.BASELINE, shown(90, 110))
    begun = probing.begin(asked)
    assert (begun.probe, begun.to_beat) == (LEVEL, trials["0000"].scores[-1].merit())
    trials["0002"] = followed("0002", Phase.SEARCH, shown(900, 1100), TrialState.STOPPED)
    assert probing.begin(asked) == begun, "what was stopped is no incumbent"


def test_a_trial_that_is_gone_on_with_keeps_its_level() -> None:
    probing = Probing({"0000": followed("0000", Phase.BASELINE, shown(90, 110))}, rules())
    assert probing.begin(Assignment("0001", Phase.SEARCH, Config(), 3, probe=LEVELS[0])).probe == LEVELS[0]


@pytest.mark.parametrize("phase", [Phase.BASELINE, Phase.CONFIRM, Phase.NODE_CHECK])
def test_what_is_measured_for_its_own_sake_has_nothing_to_beat(phase: Phase) -> None:
    probing = Probing({"0000": followed("0000", Phase.BASELINE, shown(90, 110))}, rules())
    begun = probing.begin(Assignment("0001", phase, Config(), 3))
    assert (begun.probe, begun.to_beat) == (LEVEL, None)


def test_where_rungs_are_cut_by_requests_nothing_is_told() -> None:
    asked = Assignment("0001", Phase.SEARCH, Config(), 3)
    assert Probing({"0000": followed("0000", Phase.BASELINE, shown(90, 110))}, rules(levels=())).begin(asked) == asked


def record(rung: int, *measured: LoadLevel, failed: str = "") -> RungRecord:
    failures = (PointFailure(failed, Failure.BAD_RESPONSES, "it broke"),) if failed else ()
    measurements = tuple(Measurement(level, 8, 0, {}) for level in measured)
    return RungRecord("0001", rung, "l1", made_score(1.0), measurements, 0.0, Usage(), failures=failures)


def test_the_level_that_a_trial_began_with_is_known_of_its_first_rung() -> None:
    assert begun_with([]) is None
    assert begun_with([record(1, *LEVELS)]) is None
    assert begun_with([record(0)]) is None
    assert begun_with([record(1, LEVELS[0], LEVELS[1]), record(0, LEVELS[1])]) == LEVELS[1]
    assert begun_with([record(0, failed="concurrency 32")]) == LEVELS[2]


# ── what is behind for sure ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("mine", "best", "worse"),
    [
        ((80, 89.9), (100, 120), True),
        ((80, 90.1), (100, 120), False),  # within what two launches of one Config differ by
        ((50, 130), (100, 120), False),  # unsure
        ((150, 160), (100, 120), False),
    ],
)
def test_the_nearer_ends_of_both_intervals_must_be_clearly_apart(
    mine: tuple[float, float], best: tuple[float, float], worse: bool
) -> None:
    assert CLEAR_RATIO == 0.9
    assert is_clearly_worse(shown(*mine), shown(*best), LEVEL, THROUGHPUT) is worse


def test_where_less_is_better_it_is_the_other_way_round() -> None:
    best = shown(9, 10, objective="cost_per_mtok")
    assert is_clearly_worse(shown(11.2, 12, objective="cost_per_mtok"), best, LEVEL, COST)
    assert not is_clearly_worse(shown(11.0, 12, objective="cost_per_mtok"), best, LEVEL, COST)
    assert not is_clearly_worse(shown(1, 2, objective="cost_per_mtok"), best, LEVEL, COST)


def test_nothing_is_clear_without_an_interval_a_level_or_an_incumbent_that_meets_its_slos() -> None:
    worse, best = shown(1, 2), shown(100, 120)
    assert is_clearly_worse(worse, best, LEVEL, THROUGHPUT)
    assert not is_clearly_worse(shown(None), best, LEVEL, THROUGHPUT)
    assert not is_clearly_worse(worse, shown(None), LEVEL, THROUGHPUT)
    assert not is_clearly_worse(worse, best, LEVELS[0], THROUGHPUT)
    assert not is_clearly_worse(worse, best, None, THROUGHPUT)
    assert not is_clearly_worse(worse, shown(100, 120, slo_met=False), LEVEL, THROUGHPUT)


def test_of_an_objective_that_averages_its_levels_one_says_too_little() -> None:
    worse, best = shown(90, 91, objective="ttft_p90"), shown(1, 2, objective="ttft_p90")
    assert not is_clearly_worse(worse, best, LEVEL, LATENCY)


def test_only_searched_trials_are_ended_and_only_where_anything_is() -> None:
    trials = {"0000": followed("0000", Phase.BASELINE, shown(100, 120))}
    running = followed("0001", Phase.SEARCH, shown(1, 2), TrialState.RUNNING)
    assert Probing(trials, rules()).is_clearly_worse(running)
    assert not Probing(trials, rules(stops_early=False)).is_clearly_worse(running)
    assert not Probing(trials, rules(levels=())).is_clearly_worse(running)
    assert not Probing({}, rules()).is_clearly_worse(running)
    unscored = dataclasses.replace(running, scores=[])
    assert not Probing(trials, rules()).is_clearly_worse(unscored)
    for phase in (Phase.BASELINE, Phase.CONFIRM):
        spared = followed("0000-c1", phase, shown(1, 2), TrialState.RUNNING)
        assert not Probing(trials, rules()).is_clearly_worse(spared)


def test_a_point_that_failed_at_the_level_is_left_to_the_trial_scheduler() -> None:
    nothing = dataclasses.replace(shown(1, 2), points=())
    assert not is_clearly_worse(nothing, shown(100, 120), LEVEL, THROUGHPUT)
    other = PointScore(LEVEL, "goodput", 1.0, 1.0, True, True, interval=(1.0, 2.0))
    assert not is_clearly_worse(dataclasses.replace(nothing, points=(other,)), shown(100, 120), LEVEL, THROUGHPUT)
