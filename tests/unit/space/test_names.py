"""Names in a space's expressions: which are known, how they are written, and in what order parameters come."""

from __future__ import annotations

from typing import Any

import pytest

from autotuner.errors import SpaceError
from autotuner.space import SearchSpace, read_space
from autotuner.space.expression import Constraint


def read(*constraints: str | Constraint, fixed: dict[str, Any] | None = None, **conditions: str) -> SearchSpace:
    parameters = {"batch-size": [1, 2], "b": [1, 2], "t": ["x", "y"], "mixed": ["x", 1], "on": [True, False]}
    return read_space(parameters, conditions, constraints, fixed)


def refused(*constraints: str, **more: Any) -> SpaceError:
    with pytest.raises(SpaceError) as caught:
        read(*constraints, **more)
    return caught.value


@pytest.mark.parametrize(
    ("text", "rule", "nearest"),
    [
        ("bach_size > 1", "unknown name 'bach_size'", "batch_size"),
        ("batch-size > 1", "names are written with _ for -", "batch_size"),
        ("batch > 1", "unknown name 'batch'", "batch_size"),
        ("qqqq > 1", "unknown name 'qqqq': no parameter of the space, no engine argument", None),
        ("fixed-flag > 1", "names are written with _ for -", "fixed_flag"),
        ("fixd_flag > 1", "unknown name 'fixd_flag'", "fixed_flag"),
    ],
)
def test_an_unknown_name_is_told_with_the_one_that_is_meant(text: str, rule: str, nearest: str | None) -> None:
    error = refused(text, fixed={"fixed-flag": 1})
    assert (error.rule, error.nearest) == (rule, nearest)
    assert error.message.startswith(f"space.constraints.0: {rule}")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("t > 1", "t has no number among its values"),
        ("t + 1 == 2", "t has no number among its values"),
        ("t", "t has texts among its values: compare it, as in t == 'x'"),
        ("not mixed", "mixed has texts among its values: compare it, as in mixed == 'x'"),
    ],
)
def test_what_could_never_be_judged_is_refused(text: str, rule: str) -> None:
    assert refused(text).rule == rule


@pytest.mark.parametrize("text", ["mixed > 0", "on", "t == 'x'", "b", "on and b > 1"])
def test_what_can_be_judged_for_some_value_is_not(text: str) -> None:
    assert read(text).has_configs()


def test_what_is_fixed_is_known_unless_it_is_searched_or_no_scalar() -> None:
    space = read("n == 1 and none == null", fixed={"n": 1, "none": None, "b": 9, "list": [1]})
    assert space.has_configs()
    assert read("b < 3", fixed={"b": 9}).count().number == read().count().number
    assert refused("list == 1", fixed={"list": [1]}).rule == (
        "unknown name 'list': no parameter of the space, no engine argument"
    )


def test_two_parameters_that_are_written_alike_are_refused() -> None:
    with pytest.raises(SpaceError) as caught:
        read_space({"a-b": [1], "a_b": [1]})
    assert caught.value.message == ("space.parameters.a_b: is written as 'a_b' in expressions, just as 'a-b'")


def test_a_condition_of_no_parameter_is_refused_with_the_nearest() -> None:
    error = refused(bb="t == 'x'")
    assert error.message == "space.conditions.bb: names no parameter of space.parameters; did you mean 'b'?"
    assert refused(qqqq="t == 'x'").message == "space.conditions.qqqq: names no parameter of space.parameters"


def test_parameters_keep_the_studys_order_but_for_what_a_condition_needs() -> None:
    space = read(b="on", t="mixed == 1 and on")
    assert [p.name for p in space.parameters] == ["batch-size", "on", "b", "mixed", "t"]


def test_conditions_in_a_circle_are_refused_with_the_circle_alone() -> None:
    with pytest.raises(SpaceError) as caught:
        read_space({"a": [1, 2], "b": [1, 2], "c": [1, 2]}, {"a": "b == 1", "b": "c == 1", "c": "b == 2"})
    assert caught.value.message == "space.conditions.b: conditions must not go in a circle: b → c → b"
    assert (caught.value.key, caught.value.value) == ("space.conditions.b", "c == 1")


def test_a_constraint_knows_where_it_comes_from_and_why() -> None:
    space = read("b > 1", Constraint("b < 2", "model.id", "too large"))
    assert [(rule.key, rule.reason, rule.text) for rule in space.constraints] == [
        ("space.constraints.0", "", "b > 1"),
        ("model.id", "too large", "b < 2"),
    ]


def test_a_rule_that_names_what_is_absent_or_has_no_value_is_not_judged() -> None:
    [rule] = read("b > 1 and n > 0", fixed={"n": 1}).constraints
    assert [rule.holds(values) for values in ({"b": 2}, {"b": 1}, {}, {"batch-size": 1})] == [True, False, None, None]
    [undefined] = read("b / n > 1", fixed={"n": 0}).constraints
    assert undefined.holds({"b": 1}) is None
