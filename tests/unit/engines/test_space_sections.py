"""What the sections of a study's space become: parameters, conditions and constraints, to the letter."""

from __future__ import annotations

from typing import Any

import pytest

from autotuner.engines import build_space, get_engine
from autotuner.engines.checks.left_out import left_out_problems, left_out_values
from autotuner.engines.study_space import searched_accelerators
from autotuner.errors import StudyError
from autotuner.space import Choice, SearchSpace, read_space
from autotuner.space.expression import Constraint
from tests.engine_studies import study

TYPES = ["H100-80GB", "L40S-48GB"]


def space(name: str | list[str] = "vllm", more: tuple[Constraint, ...] = (), **sections: Any) -> SearchSpace:
    return build_space(study(name, **sections), more)


def values(found: SearchSpace) -> dict[str, list[Any]]:
    return {p.name: list(p.options) for p in found.parameters if isinstance(p, Choice)}


def texts(found: SearchSpace) -> list[str]:
    return [rule.text for rule in found.constraints]


# ── engines and types ─────────────────────────────────────────────────────────────────────────


def test_engines_and_gpu_types_are_parameters_where_there_are_several() -> None:
    assert values(space(hardware={"accelerators": TYPES[:1]})) == {}
    both = space(["vllm", "sglang"], hardware={"accelerators": TYPES})
    assert values(both) == {"engine": ["vllm", "sglang"], "accelerator": TYPES}


@pytest.mark.parametrize(
    ("sections", "types"),
    [
        ({}, ()),
        ({"hardware": {"accelerators": TYPES}}, tuple(TYPES)),
        ({"hardware": {"accelerators": TYPES, "gpus_per_server": 0}}, ()),
        ({"hardware": {"accelerators": TYPES, "gpus_per_server": 1}}, tuple(TYPES)),
        ({"hardware": {"accelerators": TYPES}, "launcher": {"kind": "endpoint", "url": "http://h:1"}}, ()),
    ],
)
def test_types_are_chosen_where_servers_are_started_on_gpus(sections: dict[str, Any], types: tuple[str, ...]) -> None:
    assert searched_accelerators(study("llamacpp", **sections)) == types


def test_a_parameter_with_an_engine_in_front_is_that_engines_alone() -> None:
    parameters = {"vllm.max-num-seqs": [1, 2], "dtype": ["auto", "half"]}
    alone = space(space={"parameters": parameters})
    assert list(values(alone)) == ["max-num-seqs", "dtype"]
    assert alone["max-num-seqs"].condition is None
    conditions = {"vllm.max-num-seqs": "dtype == 'half'"}
    both = space(["vllm", "sglang"], space={"parameters": parameters, "conditions": conditions})
    condition = both["vllm.max-num-seqs"].condition
    assert condition is not None
    assert condition.text == "engine == 'vllm' and (dtype == 'half')"
    assert both["dtype"].condition is None


def test_an_engine_in_front_that_is_none_of_the_studys_is_refused() -> None:
    with pytest.raises(StudyError) as caught:
        space(space={"parameters": {"sglang.dtype": ["auto"]}})
    assert caught.value.message == ("space.parameters.sglang.dtype: sglang is not among the study's engines: vllm")


# ── constraints ───────────────────────────────────────────────────────────────────────────────


def test_gpus_are_spelled_out_for_each_engine() -> None:
    parallelism = {"tp": [1, 2], "pp": [1, 2]}
    more = (Constraint("gpus <= 2", "model.id", "why"),)
    alone = space(more=more, space={"parallelism": parallelism, "constraints": ["tp < 3"]})
    text = get_engine("vllm").gpus_text
    assert texts(alone)[:2] == ["tp < 3", f"(({text})) <= 2"]
    assert (alone.constraints[1].key, alone.constraints[1].reason) == ("model.id", "why")
    both = space(["vllm", "sglang"], more=more, space={"parallelism": parallelism})
    other = get_engine("sglang").gpus_text
    assert texts(both)[0] == f"((engine == 'vllm') * ({text}) + (engine == 'sglang') * ({other})) <= 2"


def test_what_an_engine_can_not_do_is_a_constraint_where_it_depends_on_what_is_searched() -> None:
    assert texts(space()) == []
    parameters = {"max-num-seqs": [1, 64], "max-num-batched-tokens": [32, 64]}
    found = space(space={"parameters": parameters})
    rule = next(one for one in found.constraints if "max_num_batched_tokens" in one.text)
    assert rule.key == "space.parameters"
    assert "(vllm " in rule.reason
    both = space(
        ["vllm", "sglang"], space={"parameters": {f"vllm.{name}": given for name, given in parameters.items()}}
    )
    assert any(text.startswith("engine != 'vllm' or (") for text in texts(both))
    degrees = space(space={"parallelism": {"tp": [1, 2], "dcp": [1, 2]}})
    assert {one.key for one in degrees.constraints} == {"space.parallelism"}


# ── presets ───────────────────────────────────────────────────────────────────────────────────


def test_formats_of_presets_stay_together() -> None:
    found = space(space={"quantization": {"preset": ["default", "kv-cache-fp8"]}})
    assert values(found) == {"quant.kv_cache": ["auto", "fp8"]}
    assert texts(found)[0] == "(quant.kv_cache == 'auto') or (quant.kv_cache == 'fp8')"
    assert found.constraints[0].reason == "only the combinations of the presets"
    three = space(space={"quantization": {"preset": ["default", "kv-cache-fp8", "dynamic-fp8"]}})
    assert values(three) == {"quant.gemm": ["auto", "fp8"], "quant.kv_cache": ["auto", "fp8"]}
    assert texts(three)[0] == (
        "(quant.gemm == 'auto' and quant.kv_cache == 'auto') or (quant.gemm == 'auto' and quant.kv_cache == 'fp8') or "
        "(quant.gemm == 'fp8' and quant.kv_cache == 'fp8')"
    )


def test_what_the_study_gives_itself_takes_the_place_of_the_presets() -> None:
    section = {"preset": ["default", "dynamic-fp8"], "kv_cache": ["auto", "fp8_e5m2"]}
    found = space(space={"quantization": section})
    assert values(found) == {"quant.gemm": ["auto", "fp8"], "quant.kv_cache": ["auto", "fp8_e5m2"]}
    assert texts(found)[0] == "(quant.gemm == 'auto') or (quant.gemm == 'fp8')"


def test_one_combination_alone_binds_nothing() -> None:
    assert texts(space(space={"quantization": {"preset": "kv-cache-fp8"}})) == []
    assert values(space(space={"quantization": {"preset": "kv-cache-fp8"}})) == {"quant.kv_cache": ["fp8"]}
    assert values(space(space={"parallelism": {"preset": "single-gpu"}})).get("tp", [1]) == [1]


def test_presets_of_several_engines_hold_for_each_its_own() -> None:
    found = space(["vllm", "sglang"], space={"parallelism": {"preset": ["single-gpu", "large-model-tp"]}})
    [text] = [text for text in texts(found) if " or (engine ==" in text]
    assert text.startswith("(engine == 'vllm' and ")


@pytest.mark.parametrize(
    ("section", "key", "nearest"),
    [
        ({"parallelism": {"preset": "single-gpus"}}, "space.parallelism.preset", "single-gpu"),
        ({"quantization": {"preset": "defalt"}}, "space.quantization.preset", "default"),
    ],
)
def test_an_unknown_preset_is_refused_with_the_nearest(section: dict[str, Any], key: str, nearest: str) -> None:
    with pytest.raises(StudyError) as caught:
        space(space=section)
    assert (caught.value.key, caught.value.nearest) == (key, nearest)
    assert f"; did you mean {nearest!r}?" in caught.value.message


# ── what no Config has ────────────────────────────────────────────────────────────────────────


def left_out(parameters: dict[str, Any], *rules: str | Constraint, **conditions: str) -> list[tuple[Any, ...]]:
    found = left_out_values(read_space(parameters, conditions, rules))
    return [(one.parameter, one.value, one.reason, one.where) for one in found]


def test_a_value_that_one_rule_forbids_whatever_else_is_chosen() -> None:
    rule = Constraint("a < 3 or b > 9", "model.id", "too large")
    assert left_out({"a": [1, 3], "b": [1, 2]}, rule) == [("a", 3, "too large", ())]
    assert left_out({"a": [1, 3], "b": [1, 10]}, rule) == []
    assert left_out({"a": [1, 3]}, "a < 3") == [("a", 3, "space.constraints.0 is 'a < 3'", ())]


def test_a_value_that_several_rules_forbid_together() -> None:
    [(name, value, reason, where)] = left_out({"a": [1, 2], "b": [1, 2]}, "a == 1 or b == 1", "a == 1 or b == 2")
    assert (name, value, where) == ("a", 2, ())
    assert "reject all of them together" in reason


def test_of_wide_ranges_the_ends_are_looked_at_and_the_studys_own_rules_do_not_count() -> None:
    wide = {"a": {"int": [1, 100]}}
    rule = Constraint("a <= 50", "model.id", "too large")
    assert left_out(wide, rule) == [("a", 100, "too large", ())]
    assert left_out(wide, "a <= 50") == []


def test_where_it_is_of_some_engines_or_types_alone_they_are_told() -> None:
    rule = Constraint("engine != 'x' or a < 3", "k", "x has no more")
    assert left_out({"engine": ["x", "y"], "a": [1, 3]}, rule) == [("a", 3, "x has no more", ("x",))]
    both = Constraint("accelerator == 'p' or a < 3", "k", "not there")
    found = left_out({"engine": ["x", "y"], "accelerator": ["p", "q"], "a": [1, 3]}, both)
    assert found == [("a", 3, "not there", ("x q", "y q"))]


def test_a_parameter_that_is_not_there_forbids_nothing() -> None:
    rule = Constraint("a < 3", "k", "no")
    assert left_out({"engine": ["x", "y"], "a": [1, 3]}, rule, a="engine == 'y'") == [("a", 3, "no", ())]


@pytest.mark.parametrize(("count", "told"), [(20_000, True), (20_001, False)])
def test_of_more_cases_than_are_tried_nothing_is_told(count: int, told: bool) -> None:
    """One rule, over a choice of so many values."""
    rule = Constraint("a < 3 or b < 0", "k", "no")
    found = [one for one in left_out({"a": [1, 3], "b": list(range(count))}, rule) if one[2] == "no"]
    assert bool(found) is told


def problems(**sections: Any) -> list[tuple[str, Any, str | None, bool]]:
    given = study("vllm", **sections)
    return [(p.key, p.value, p.nearest, p.fatal) for p in left_out_problems(given, build_space(given))]


def test_values_are_told_under_the_keys_that_list_them() -> None:
    section = {"parallelism": {"tp": [1, 2]}, "parameters": {"max-num-seqs": [1, 64]}, "constraints": ["tp < 2"]}
    assert problems(space=section) == [("space.parallelism.tp", 2, "1", False)]
    ranges = {"parameters": {"max-num-seqs": [1, 64]}, "constraints": ["max_num_seqs > 1"]}
    assert problems(space=ranges) == [("space.parameters.max-num-seqs", 1, "64", False)]
    formats = {"quantization": {"kv_cache": ["auto", "fp8"]}, "constraints": ["quant.kv_cache == 'auto'"]}
    assert problems(space=formats) == [("space.quantization.kv_cache", "fp8", "auto", False)]
    preset = {"quantization": {"preset": ["default", "kv-cache-fp8"]}, "constraints": ["quant.kv_cache == 'auto'"]}
    assert problems(space=preset) == [("space.quantization.preset", "kv_cache fp8", "auto", False)]
    types = {"space": {"constraints": [f"accelerator == '{TYPES[0]}'"]}, "hardware": {"accelerators": TYPES}}
    assert problems(**types) == [("hardware.accelerators", TYPES[1], TYPES[0], False)]
