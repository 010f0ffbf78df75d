"""Which load a search asks for next, against servers that a formula describes."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotuner.benchmark import LoadPoint, PointOutcome
from autotuner.benchmark.load_search import LoadSearch, searchable_levels
from autotuner.metrics import LoadKind, LoadLevel
from autotuner.scoring import Holds
from autotuner.study.model import Workload

Truth = Callable[[LoadPoint, int], Holds | None]  # the point and the requests sent there so far; None: it failed


UP_TO_64 = {"find_max": "concurrency", "up_to": 64}
UP_TO_512 = {"find_max": "concurrency", "up_to": 512}


def workload(load: Mapping[str, object] = UP_TO_64) -> Workload:
    return Workload.model_validate({"scenario": "D(10,5)", "load": load, "requests": {"per_slot": 8, "min": 64}})


def slots(load: float) -> LoadLevel:
    return LoadLevel(LoadKind.CONCURRENCY, load)


def search(
    begin_at: float | None = None,
    *,
    near: bool = False,
    fewest: int = 1,
    recorded: Mapping[LoadLevel, int] | None = None,
    load: Mapping[str, object] = UP_TO_64,
) -> LoadSearch:
    asked = workload(load)
    begin = None if begin_at is None else LoadLevel(searchable_levels(asked)[0].kind, begin_at)
    return LoadSearch(asked, searchable_levels(asked), fewest, begin, near=near, recorded=recorded or {})


def asked_of(plan: LoadSearch, truth: Truth) -> list[PointOutcome]:
    ended: list[PointOutcome] = []
    while (point := plan.next(ended)) is not None:
        assert len(ended) < 1000
        sent = point.first_index + point.requests
        holds = truth(point, sent)
        ended.append(PointOutcome(point, failed=holds is None, hopeless=False, holds=holds))
    return ended


def up_to(capacity: float) -> Truth:
    return lambda point, _: Holds.YES if point.level.value <= capacity else Holds.NO


def loads(ended: list[PointOutcome]) -> list[float]:
    return [outcome.point.level.value for outcome in ended]


def largest(ended: list[PointOutcome]) -> float | None:
    return max((o.point.level.value for o in ended if o.holds is Holds.YES), default=None)


def test_it_doubles_until_a_load_does_not_hold_and_bisects_from_there() -> None:
    assert loads(asked_of(search(), up_to(11))) == [1, 2, 4, 8, 16, 12, 10, 11]


def test_it_begins_at_the_incumbents_load_and_halves_where_that_does_not_hold() -> None:
    assert loads(asked_of(search(32), up_to(33)))[:2] == [32, 64]
    assert loads(asked_of(search(32), up_to(7))) == [32, 16, 8, 4, 6, 7]


def test_it_begins_below_a_load_that_is_not_on_its_ladder() -> None:
    assert loads(asked_of(search(41), up_to(40)))[0] == 40
    assert loads(asked_of(search(3, load={**UP_TO_64, "from": 8}), up_to(9)))[0] == 8


def test_near_a_known_load_two_points_do() -> None:
    assert loads(asked_of(search(20, near=True), up_to(20))) == [20, 21]
    assert loads(asked_of(search(20, near=True), up_to(19))) == [20, 19]


def test_near_a_known_load_it_goes_further_and_further_away() -> None:
    assert loads(asked_of(search(20, near=True), up_to(26))) == [20, 21, 23, 27, 25, 26]
    assert loads(asked_of(search(20, near=True), up_to(14))) == [20, 19, 17, 13, 15, 14]


def test_it_ends_at_its_bounds() -> None:
    assert loads(asked_of(search(), up_to(1000))) == [1, 2, 4, 8, 16, 32, 64]
    assert loads(asked_of(search(8), up_to(0))) == [8, 4, 2, 1]


def test_what_fails_or_is_hopeless_does_not_hold() -> None:
    failing = asked_of(search(), lambda point, _: Holds.YES if point.level.value <= 5 else None)
    assert largest(failing) == 5
    point = LoadPoint(slots(1), 64, 0)
    assert search().next([PointOutcome(point, failed=False, hopeless=True, holds=Holds.YES)]) is None


def test_what_is_unsure_gets_as_many_requests_again_up_to_four_times() -> None:
    ended = asked_of(search(8, near=True), lambda point, sent: Holds.UNSURE if point.level.value == 8 else Holds.YES)
    at_8 = [o.point for o in ended if o.point.level.value == 8]
    assert [(p.requests, p.first_index) for p in at_8] == [(64, 0), (64, 64), (128, 128)]
    assert largest(ended) == 7  # unsure for good: no load to promise


def test_what_is_unsure_may_become_sure() -> None:
    ended = asked_of(search(), lambda point, sent: Holds.UNSURE if sent < 128 else up_to(3)(point, sent))
    assert largest(ended) == 3


def test_a_percentile_that_needs_more_requests_gets_them_at_once() -> None:
    ended = asked_of(search(fewest=368), lambda point, sent: Holds.UNSURE if sent < 368 else Holds.YES)
    assert [(o.point.first_index, o.point.requests) for o in ended[:2]] == [(0, 64), (64, 304)]


def test_no_more_than_was_recorded_is_asked_for_again() -> None:
    plan = search(recorded={slots(1): 80, slots(2): 64})
    assert [o.point.requests for o in asked_of(plan, lambda point, _: Holds.UNSURE)] == [64, 16]


def test_a_replayed_server_is_asked_for_what_was_recorded() -> None:
    recorded = [slots(4), slots(1), slots(200), LoadLevel(LoadKind.RATE, 2.0), slots(9)]
    assert searchable_levels(workload(), recorded) == (slots(1), slots(4), slots(9))
    assert LoadSearch(workload(), ()).next([]) is None


@given(capacity=st.floats(0, 600), begin=st.one_of(st.none(), st.integers(1, 512)), near=st.booleans())
def test_of_a_server_whose_loads_hold_up_to_one_it_finds_that_one(
    capacity: float, begin: int | None, near: bool
) -> None:
    plan = search(begin, near=near, load=UP_TO_512)
    ended = asked_of(plan, up_to(capacity))
    held = [level.value for level in plan.ladder if level.value <= capacity]
    assert largest(ended) == (held[-1] if held else None)
    assert len(set(loads(ended))) == len(ended) <= 18


@given(seed=st.integers(0, 2**32), begin=st.integers(1, 512))
def test_of_a_noisy_server_it_ends_between_a_load_that_held_and_the_next_that_did_not(seed: int, begin: int) -> None:
    rng = random.Random(seed)
    plan = search(begin, load=UP_TO_512)
    ended = asked_of(plan, lambda _, sent: rng.choice([Holds.YES, Holds.NO, Holds.UNSURE]))
    last = {o.point.level: o.holds for o in ended}
    steps = [level.value for level in plan.ladder]
    found = largest(ended)
    above = steps.index(found) + 1 if found is not None else 0
    assert above == len(steps) or last[plan.ladder[above]] is not Holds.YES


@pytest.mark.parametrize("capacity", [0.5, 3.3, 40.0])
def test_rates_are_found_to_five_percent(capacity: float) -> None:
    found = largest(asked_of(search(load={"find_max": "rate", "from": 0.1, "up_to": 64}), up_to(capacity)))
    assert found is not None
    assert found <= capacity < found * 1.05 * (1 + 1e-9)
