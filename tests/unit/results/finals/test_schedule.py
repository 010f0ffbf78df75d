"""Who runs next."""

from __future__ import annotations

from dataclasses import replace

from autotuner.results.finals import Finals, most_runs, next_run
from autotuner.results.finals.finals import in_turn
from tests.finals_parts import DEFAULT, finals, run

VALUES = {"0001": 104.0, "0002": 103.5, "0003": 60.0, DEFAULT: 100.0}
NOISY = {"0001": [1.0, 1.05, 1.02], "0002": [1.03, 1.04, 1.03], DEFAULT: [1.03, 1.0, 1.01]}


def order(known: Finals, values: dict[str, list[float]], spoiled: tuple[tuple[str, int], ...] = ()) -> list[str]:
    """Plays all out; ``values``: over that of the search, by round."""
    begun: list[tuple[str, int]] = []
    while (following := next_run(known, begun, [s for s in spoiled if s in begun])) is not None:
        begun.append(following)
        name, number = following
        if following not in spoiled:
            measured = run(VALUES[name] * values[name][(number - 1) % len(values[name])])
            known = replace(known, fresh={**known.fresh, name: {**known.fresh.get(name, {}), number: measured}})
    return [f"{name}-c{number}" for name, number in begun]


def test_the_best_and_the_default_come_first_then_the_rivals_and_then_each_goes_first_in_turn() -> None:
    found = order(finals({}, VALUES), NOISY)
    assert found[:3] == ["0001-c1", "0000-c1", "0002-c1"]
    assert found[3:6] == ["0000-c2", "0002-c2", "0001-c2"]
    assert not any(name.startswith("0003") for name in found)


def test_a_large_win_ends_after_its_round() -> None:
    assert order(finals({}, VALUES | {DEFAULT: 10.0}), {**NOISY, "0001": [1.02], DEFAULT: [0.102]}) == [
        "0001-c1",
        "0000-c1",
        "0002-c1",
    ]


def test_no_more_rounds_than_were_asked_for() -> None:
    undecided = {"0001": [1.04, 1.05, 1.04], DEFAULT: [1.0, 1.01, 1.0], "0002": [0.99]}
    found = order(finals({}, VALUES, rounds=2), undecided)
    assert {name[-1] for name in found} == {"1", "2"}
    assert order(finals({}, VALUES, rounds=0), undecided) == []


def test_without_a_candidate_there_is_nothing_to_run() -> None:
    assert next_run(replace(finals({}, VALUES), candidates=()), (), ()) is None


def test_a_round_that_was_spoiled_has_one_of_its_own_at_most_as_many_as_were_asked_for() -> None:
    undecided = {"0001": [1.04, 1.05, 1.04], DEFAULT: [1.0, 1.01, 1.0], "0002": [0.99]}
    known = finals({}, VALUES, rounds=1)
    assert [n for n in order(known, undecided, (("0001", 1),)) if n.startswith("0001")] == ["0001-c1", "0001-c2"]
    always = tuple(("0001", number) for number in range(1, 9))
    assert [n for n in order(known, undecided, always) if n.startswith("0001")] == ["0001-c1", "0001-c2"]


def test_what_has_begun_is_not_begun_again_whatever_died_meanwhile() -> None:
    known = finals({"0001": [101.0]}, VALUES)
    assert next_run(known, [("0001", 1)], ()) == (DEFAULT, 1)
    assert next_run(finals({}, VALUES), [(DEFAULT, 1)], ()) == ("0001", 1)


def test_each_goes_first_in_turn() -> None:
    assert [in_turn(["a", "b", "c"], number) for number in (1, 2, 3, 4)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]


def test_the_most_runs_are_all_rounds_of_all_finalists_and_the_default() -> None:
    assert most_runs(3, 3, 40) == 12
    assert most_runs(3, None, 40) == most_runs(3, 1, 40) == 6
    assert most_runs(3, 3, 3) == 9, "the default is one of the trials"
    assert most_runs(0, 3, 40) == 0
