"""Spaces: how they are read, what bad ones get, what is counted and drawn."""

from __future__ import annotations

import itertools
import pickle
import random
from typing import Any

import pytest

from autotuner.engines import build_space
from autotuner.errors import SpaceError
from autotuner.space import Choice, Config, FloatRange, IntRange, read_space, values_to_check
from autotuner.study.model import Engine, Model, Space, Study, Workload
from tests.engine_studies import study as engine_study

SPECULATIVE = {"choices": {"none": None, "ngram3": {"method": "ngram", "tokens": 3}}}


def study_with(space: Space, args: dict[str, Any] | None = None) -> Study:
    return Study(
        model=Model(id="m"),
        engine=Engine(name="llamacpp", args=args or {}),
        workload=Workload(scenario="D(1,1)"),
        space=space,
    )


def test_each_form_is_read() -> None:
    space = read_space(
        {
            "a": {"int": [16, 512], "log": True},
            "b": {"float": [0.8, 0.95]},
            "c": [True, False],
            "d": SPECULATIVE,
            "env.E": ["0", "1"],
        }
    )
    assert space["a"] == IntRange(name="a", low=16, high=512, log=True)
    assert space["b"] == FloatRange(name="b", low=0.8, high=0.95)
    assert space["c"] == Choice(name="c", options=(True, False), labels=("true", "false"))
    assert space["d"] == Choice(name="d", options=(None, {"method": "ngram", "tokens": 3}), labels=("none", "ngram3"))
    assert space["env.E"] == Choice(name="env.E", options=("0", "1"), labels=("0", "1"))


def test_a_step_ends_at_the_last_value_it_reaches() -> None:
    space = read_space({"a": {"int": [1, 10], "step": 4}, "b": {"float": [0.1, 0.35], "step": 0.1}})
    assert [config.values["a"] for config in space.grid()][::3] == [1, 5, 9]
    assert [config.values["b"] for config in space.grid()][:3] == [0.1, 0.2, 0.3]
    a, b = space["a"], space["b"]
    assert isinstance(a, IntRange)
    assert isinstance(b, FloatRange)
    assert (a.high, b.high) == (9, 0.3)
    assert (a.nearest(6.9), a.nearest(100), b.nearest(0.26)) == (5, 9, 0.3)


@pytest.mark.parametrize(
    ("given", "key", "rule", "nearest"),
    [
        ([], "space.parameters.x", "empty space", None),
        (4, "space.parameters.x", "engine.args", None),
        (None, "space.parameters.x", "a list of values", None),
        ([1, 2, 1], "space.parameters.x", "each value once", None),
        ([{"a": 1}], "space.parameters.x", "need labels", None),
        ({"itn": [1, 2]}, "space.parameters.x", "a list of values", "int"),
        ({"int": [1, 2], "float": [1, 2]}, "space.parameters.x", "a list of values", None),
        ({"int": [1, 2], "lgo": True}, "space.parameters.x.lgo", "unknown key", "log"),
        ({"int": [2, 1]}, "space.parameters.x.int", "empty range", None),
        ({"int": [1]}, "space.parameters.x.int", "two finite numbers", None),
        ({"int": [1, "2"]}, "space.parameters.x.int", "two finite numbers", None),
        ({"int": [1, 2.5]}, "space.parameters.x.int", "whole numbers", None),
        ({"int": [True, 2]}, "space.parameters.x.int", "two finite numbers", None),
        ({"int": [0, 8], "log": True}, "space.parameters.x.log", "starts above 0", None),
        ({"int": [1, 8], "log": 1}, "space.parameters.x.log", "true or false", None),
        ({"int": [1, 8], "log": True, "step": 2}, "space.parameters.x.step", "no step", None),
        ({"int": [1, 8], "step": 0}, "space.parameters.x.step", "from 1", None),
        ({"float": [1, 8], "step": -0.1}, "space.parameters.x.step", "above 0", None),
        ({"float": [1, float("inf")]}, "space.parameters.x.float", "finite", None),
        ({"choices": {}}, "space.parameters.x.choices", "at least one value", None),
        ({"choices": {"a": 1, "b": 1}}, "space.parameters.x.choices", "each value once", None),
        ({"choices": {1: 1}}, "space.parameters.x.choices", "labels are texts", None),
        ({"choices": 3}, "space.parameters.x.choices", "a map of label: value", None),
    ],
)
def test_an_ill_formed_parameter(given: Any, key: str, rule: str, nearest: str | None) -> None:
    with pytest.raises(SpaceError) as caught:
        read_space({"x": given})
    assert caught.value.key == key
    assert rule in str(caught.value.rule)
    assert caught.value.nearest == nearest


@pytest.mark.parametrize(
    ("text", "at", "words", "nearest"),
    [
        ("ubach_size <= 4", 0, "unknown name", "ubatch_size"),
        ("4 >= ubatch-size", 5, "names are written with _", "ubatch_size"),
        ("ubatch_size <= ", 14, "can be read", None),
        ("ubatch_size = 4", 12, "= is not known", "=="),
        ("a && b", 2, "&& is not known", "and"),
        ("a + (b <= 4", 4, "without its )", None),
        ("a <= 4)", 6, "without its (", None),
        ("a.__class__ == 1", 0, "unknown name", None),
        ("open('x')", 0, "is no function", None),
        ("a if b else 1", 0, "only arithmetic", None),
        ("[a for a in b]", 0, "only arithmetic", None),
        ("a in b", 5, "a list such as", None),
        ("t < 3", 0, "no number among its values", None),
        ("a > 1 and t", 10, "compare it, as in t == 'x'", None),
        ("a == 1 # note", 7, "comment", None),
        ("log2(a, b) > 1", 0, "takes one value", None),
        ("'é' == t or nothing", 12, "unknown name", None),
        ("a > 1" + " + 1" * 300, None, "at most 1000 characters", None),
        ("-" * 500 + "a > 1", None, "deeper", None),
        ("a == 1e999", 5, "too large", None),
        ("", None, "an expression", None),
    ],
)
def test_an_expression_that_is_wrong_is_pointed_at(text: str, at: int | None, words: str, nearest: str | None) -> None:
    parameters = {"a": [1, 2], "b": [1, 2], "t": ["x", "y"], "ubatch-size": [4, 8]}
    with pytest.raises(SpaceError) as caught:
        read_space(parameters, {}, [text])
    error = caught.value
    assert (error.key, error.value, error.nearest) == ("space.constraints.0", text, nearest)
    assert words in str(error.rule)
    if at is not None:
        _, shown, caret = error.message.split("\n")
        assert shown.removeprefix("    ") == text
        assert caret.removeprefix("    ") == " " * at + "^"


def test_names_are_written_with_underscores() -> None:
    space = read_space({"ubatch-size": [1, 2], "env.A-B": ["x"]}, {}, ["ubatch_size == 2", "env.A_B == 'x'"])
    assert [config.values["ubatch-size"] for config in space.grid()] == [2]
    with pytest.raises(SpaceError, match="just as 'a-b'"):
        read_space({"a-b": [1], "a_b": [1]})


def test_labelled_maps_are_compared_by_label_and_scalars_by_value() -> None:
    space = read_space({"s": SPECULATIVE, "n": {"choices": {"few": 1, "many": 9}}}, {}, ["s == 'ngram3' and n > 1"])
    assert list(space.grid()) == [Config({"s": {"method": "ngram", "tokens": 3}, "n": 9})]


def test_fixed_arguments_can_be_named() -> None:
    section = Space(parameters={"ubatch-size": [64, 512]}, constraints=["ubatch_size <= batch_size"])
    assert build_space(study_with(section, {"batch-size": 128})).count().number == 1
    with pytest.raises(SpaceError, match="unknown name 'btch_size'; did you mean 'batch_size'"):
        build_space(study_with(section.model_copy(update={"constraints": ["ubatch_size <= btch_size"]})))


def test_what_is_not_set_has_the_servers_default_in_expressions() -> None:
    section = Space(parameters={"ubatch-size": [512, 4096]}, constraints=["ubatch_size <= batch_size"])
    assert build_space(study_with(section)).count().number == 1  # llama-server's batch-size is 2048


def test_parameters_come_after_those_their_conditions_name() -> None:
    space = read_space({"c": [1, 2], "b": [1, 2], "a": [1, 2]}, {"c": "b == 2", "b": "a == 2"})
    assert [parameter.name for parameter in space.parameters] == ["a", "b", "c"]
    assert [dict(config.values) for config in space.grid()] == [
        {"a": 1},
        {"a": 2, "b": 1},
        {"a": 2, "b": 2, "c": 1},
        {"a": 2, "b": 2, "c": 2},
    ]
    assert [parameter.name for parameter in space.active({"a": 2, "b": 1})] == ["a", "b"]
    assert space.count().number == 4


def test_conditions_in_a_circle_are_refused() -> None:
    with pytest.raises(SpaceError, match="a → b → a"):
        read_space({"a": [1, 2], "b": [1, 2]}, {"a": "b == 1", "b": "a == 1"})
    with pytest.raises(SpaceError, match="a → a"):
        read_space({"a": [1, 2]}, {"a": "a == 1"})
    with pytest.raises(SpaceError, match="did you mean 'batch'"):
        read_space({"batch": [1, 2]}, {"bach": "batch == 1"})


def test_a_constraint_on_an_absent_or_null_parameter_is_not_judged() -> None:
    space = read_space({"on": [True, False], "n": [None, 1, 9]}, {"n": "on"}, ["n > 5"])
    assert [dict(config.values) for config in space.grid()] == [
        {"on": True, "n": None},
        {"on": True, "n": 9},
        {"on": False},
    ]


def test_the_constraint_to_blame_is_named() -> None:
    parameters = {"a": {"int": [1, 100]}, "b": {"int": [1, 100]}}
    study = study_with(Space(parameters=parameters, constraints=["a > 1", "a + b > 199", "a < 50"]))
    with pytest.raises(SpaceError) as caught:
        build_space(study)
    assert caught.value.key == "space.constraints.1"
    assert "not one of 10,000 does" in caught.value.message
    both = "'a + b > 199' (space.constraints.1) and 'a < 50' (space.constraints.2) reject all of them together"
    assert both in caught.value.message


@pytest.mark.parametrize(
    ("parameters", "constraints", "named"),
    [
        ({"a": [1, 2]}, ["a <= 1", "a >= 2"], (0, 1)),
        ({"a": [1, 2], "b": [1, 2]}, ["a >= 1", "a < b", "b != 9", "b < a"], (1, 3)),
        ({"a": {"int": [1, 9]}, "b": {"int": [1, 9]}, "c": {"int": [1, 9]}}, ["a < b", "b < c", "c < a"], (0, 1, 2)),
        ({"a": {"float": [0, 1]}}, ["a < 0.3", "a > 0.6", "a < 0.9"], (0, 1)),
        ({"a": {"int": [1, 99999]}, "b": {"int": [1, 9999]}}, ["a < 50000", "b > 1", "a > 60000"], (0, 2)),
    ],
)
def test_constraints_that_conflict_are_all_named_and_no_other(
    parameters: dict[str, Any], constraints: list[str], named: tuple[int, ...]
) -> None:
    with pytest.raises(SpaceError, match="reject all of them together") as caught:
        build_space(study_with(Space(parameters=parameters, constraints=constraints)))
    told = [index for index in range(len(constraints)) if f"(space.constraints.{index})" in caught.value.message]
    assert tuple(told) == named
    assert caught.value.key in {f"space.constraints.{index}" for index in named}


def test_a_constraint_is_told_with_the_engine_s_own_that_it_conflicts_with() -> None:
    parameters = {"max-num-seqs": [16, 32], "max-num-batched-tokens": [16, 64]}
    space = {"parameters": parameters, "constraints": ["max_num_batched_tokens < max_num_seqs"]}
    with pytest.raises(SpaceError, match=r"must be as many as its requests .*vllm") as caught:
        build_space(engine_study("vllm", space=space))
    assert caught.value.key == "space.constraints.0"
    assert "'max_num_batched_tokens >= max_num_seqs' (space.parameters)" in caught.value.message


def test_one_constraint_that_rejects_all() -> None:
    with pytest.raises(SpaceError, match="'a > 9' rejects all of them"):
        build_space(study_with(Space(parameters={"a": [1, 2]}, constraints=["a > 9"])))
    with pytest.raises(SpaceError, match="'a > 9' rejects all of them"):
        build_space(study_with(Space(parameters={"a": [1]}, constraints=["a > 9"])))
    endless = Space(parameters={"a": {"float": [0, 1]}}, constraints=["a > 9"])
    with pytest.raises(SpaceError, match="none of 10,000 drawn at random does"):
        build_space(study_with(endless))


def test_a_rare_config_is_found() -> None:
    parameters = {name: {"int": [1, 100]} for name in "abc"}
    space = build_space(study_with(Space(parameters=parameters, constraints=["a + b + c >= 300", "a == 100"])))
    assert space.sample(random.Random(3)) == Config({"a": 100, "b": 100, "c": 100})


def test_a_space_without_parameters_has_one_config() -> None:
    space = build_space(study_with(Space()))
    assert list(space.grid()) == [Config({})]
    assert space.count().number == 1
    assert space.sample(random.Random(0)) == Config({})


def test_a_large_space_is_counted_by_a_seeded_sample() -> None:
    parameters: dict[str, Any] = {name: {"int": [1, 1000]} for name in "abc"} | {"d": [True, False]}
    space = read_space(parameters, {"c": "d"}, ["a < b"])
    count = space.count()
    assert not count.exact
    assert count.raw == 2 * 10**9
    truth = (1000 * 999 // 2) * (1000 + 1)
    assert count.number is not None
    assert abs(count.number / truth - 1) < 0.05
    assert space.count() == count


def test_an_endless_space_has_no_number_and_no_grid() -> None:
    space = read_space({"a": {"float": [0, 1]}, "b": [1, 2]}, {}, ["a <= 0.25"])
    count = space.count()
    assert (count.number, count.raw, count.exact) == (None, None, False)
    assert abs(count.kept_fraction - 0.25) < 0.02
    with pytest.raises(SpaceError, match="needs a step") as caught:
        space.grid()
    assert caught.value.key == "space.parameters.a"


def test_blocks_of_a_million_points_add_up() -> None:
    names = [f"p{i}" for i in range(23)]
    space = read_space({name: [0, 1] for name in names}, {}, [" + ".join(names[:12]) + " == 3"])
    assert space.count().number == 220 * 2**11  # 12 over 3, and 11 more bits


def test_more_fixed_parameters_than_numpy_has_axes() -> None:
    space = read_space({f"p{i}": [i] for i in range(80)} | {"x": [1, 2]}, {"x": "p1 == 1"}, ["x + p79 > 80"])
    assert space.count().number == 1
    assert space.sample(random.Random(0)).values["x"] == 2


def test_the_grid_is_lazy() -> None:
    space = read_space({name: {"int": [1, 10**6]} for name in "abcdef"})
    assert [config.values["f"] for config in itertools.islice(space.grid(), 3)] == [1, 2, 3]


def test_equal_seeds_draw_equal_configs() -> None:
    space = read_space({"a": {"float": [1, 9], "log": True}, "b": {"int": [1, 9]}}, {}, ["b <= a"])
    first, second = random.Random(7), random.Random(7)
    assert [space.sample(first) for _ in range(20)] == [space.sample(second) for _ in range(20)]


def test_log_draws_are_even_over_magnitudes() -> None:
    parameter = read_space({"a": {"int": [1, 1000], "log": True}})["a"]
    draws = [parameter.draw((i + 0.5) / 1000) for i in range(1000)]
    assert (parameter.draw(0.0), parameter.draw(1 - 1e-9)) == (1, 1000)
    assert 350 < sum(draw <= 31 for draw in draws) < 600


def test_a_space_can_be_sent_to_another_process() -> None:
    space = read_space({"a": {"int": [1, 4]}, "d": SPECULATIVE}, {"a": "d == 'ngram3'"}, ["a > 1"])
    again = pickle.loads(pickle.dumps(space))
    assert list(again.grid()) == list(space.grid())


def test_values_for_the_flag_catalogue() -> None:
    space = read_space({"a": {"int": [1, 4]}, "c": ["x", None], "d": SPECULATIVE})
    assert list(values_to_check(space)) == [
        ("a", 1),
        ("a", 4),
        ("c", "x"),
        ("c", None),
        ("d", None),
        ("d", {"method": "ngram", "tokens": 3}),
    ]


@pytest.mark.parametrize("text", ["max(a) > 1", "min(a) > 1", "1 < max(a)"])
def test_the_greatest_of_one_is_itself(text: str) -> None:
    space = read_space({"a": [1, 2]}, {}, [text])
    assert [config.values["a"] for config in space.grid()] == [2]
    assert space.count().number == 1


@pytest.mark.parametrize("text", ["a > '64'", "'64' <= a", "a + '1' == 2", "max(a, 'x') > 0"])
def test_a_text_where_a_number_must_be_is_refused(text: str) -> None:
    with pytest.raises(SpaceError, match="a number, not the text"):
        read_space({"a": [1, 2]}, {}, [text])
