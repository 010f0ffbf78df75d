"""Variables of a server's environment: which a study may set, and where."""

from __future__ import annotations

from typing import Any

import pytest

from autotuner.errors import StudyError
from autotuner.study import Study, dump_study, parse_study


def study(**sections: Any) -> Study:
    """A study file's own rules hold when it is parsed."""
    data = {"model": {"id": "org/model"}, "engine": {"name": "vllm"}, "workload": {"scenario": "D(8,8)"}, **sections}
    return parse_study(dump_study(Study.model_validate(data)))


def refused(**sections: Any) -> StudyError:
    with pytest.raises(StudyError) as caught:
        study(**sections)
    return caught.value


BOTH = ["vllm", "sglang"]


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("CUDA_VISIBLE_DEVICES", "GPUs that its trial has reserved"),
        ("RAY_ADDRESS", "Ray cluster"),
        ("AUTOTUNER_STUDY", "processes of a study"),
        ("A B", "letters, digits and _"),
        ("1A", "no digit"),
        ("A=B", "letters, digits and _"),
        ("", "letters, digits and _"),
    ],
)
def test_a_variable_that_no_study_can_set_is_refused_wherever_it_stands(name: str, rule: str) -> None:
    own = {"name": BOTH, "per_engine": {"sglang": {"env": {name: "1"}}}}
    places: list[tuple[str, dict[str, Any]]] = [
        (f"space.parameters.env.{name}", {"space": {"parameters": {f"env.{name}": ["0", "1"]}}}),
        (
            f"space.parameters.vllm.env.{name}",
            {"engine": {"name": BOTH}, "space": {"parameters": {f"vllm.env.{name}": ["0", "1"]}}},
        ),
        (f"engine.env.{name}", {"engine": {"name": "vllm", "env": {name: "1"}}}),
        (f"engine.per_engine.sglang.env.{name}", {"engine": own}),
        (f"search.baseline.env.{name}", {"search": {"baseline": {f"env.{name}": "1"}}}),
    ]
    for key, sections in places:
        error = refused(**sections)
        assert error.key == key
        assert rule in str(error.rule)


@pytest.mark.parametrize("name", ["VLLM_USE_V1", "NCCL_DEBUG", "CUDA_DEVICE_ORDER", "_x", "RAYON_NUM_THREADS"])
def test_other_variables_may_be_set_and_searched(name: str) -> None:
    assert study(engine={"name": "vllm", "env": {name: "1"}}).engine.env == {name: "1"}
    assert f"env.{name}" in study(space={"parameters": {f"env.{name}": ["0", "1"]}}).space.parameters


@pytest.mark.parametrize(
    ("engine", "parameters", "wrong"),
    [
        ({"name": "vllm", "env": {"A": "1"}}, ["env.A"], "env.A"),
        ({"name": "vllm", "env": {"A": "1"}}, ["vllm.env.A"], "vllm.env.A"),
        ({"name": BOTH, "env": {"A": "1"}}, ["sglang.env.A"], "sglang.env.A"),
        ({"name": BOTH, "per_engine": {"sglang": {"env": {"A": "1"}}}}, ["env.A"], "env.A"),
        ({"name": BOTH}, ["env.A", "sglang.env.A"], "sglang.env.A"),
    ],
)
def test_a_variable_from_two_places_is_refused(engine: dict[str, Any], parameters: list[str], wrong: str) -> None:
    error = refused(engine=engine, space={"parameters": {name: ["0", "1"] for name in parameters}})
    assert error.key == f"space.parameters.{wrong}"
    assert "leave one of them out" in str(error.rule)


def test_engines_may_have_the_same_variable_each_for_itself() -> None:
    engine = {"name": BOTH, "env": {"B": "1"}, "per_engine": {"vllm": {"env": {"A": "1"}}}}
    given = study(engine=engine, space={"parameters": {"sglang.env.A": ["0", "1"]}})
    assert given.engine.per_engine["vllm"].env == {"A": "1"}
    assert list(given.space.parameters) == ["sglang.env.A"]
