"""A study's space: normalised names, presets, several engines, and what engines and models can't do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autotuner.engines import build_space, one_engine, study_problems
from autotuner.engines.known_space import known_space
from autotuner.errors import SpaceError, StudyError
from autotuner.space import Config, search_space
from autotuner.study.known_models import find_known_models
from autotuner.study.loader import load_study
from autotuner.study.model import Study
from autotuner.tuning.decisions.baseline import baseline_config
from tests.engine_studies import model_folder, study


def configs(given: Study) -> list[dict[str, Any]]:
    return [dict(config.values) for config in build_space(given).grid()]


# ── normalised names ──────────────────────────────────────────────────────────────────────────


def test_degrees_and_formats_are_parameters() -> None:
    given = study(space={"parallelism": {"tp": [1, 2], "pp": 1}, "quantization": {"kv_cache": ["auto", "fp8"]}})
    assert configs(given) == [
        {"tp": 1, "pp": 1, "quant.kv_cache": "auto"},
        {"tp": 1, "pp": 1, "quant.kv_cache": "fp8"},
        {"tp": 2, "pp": 1, "quant.kv_cache": "auto"},
        {"tp": 2, "pp": 1, "quant.kv_cache": "fp8"},
    ]


def test_presets_keep_their_combinations_together() -> None:
    given = study(space={"quantization": {"preset": ["default", "kv-cache-fp8", "dynamic-fp8"]}})
    assert sorted(configs(given), key=str) == [
        {"quant.gemm": "auto", "quant.kv_cache": "auto"},
        {"quant.gemm": "auto", "quant.kv_cache": "fp8"},
        {"quant.gemm": "fp8", "quant.kv_cache": "fp8"},
    ]


def test_the_default_preset_alone_is_one_config() -> None:
    assert configs(study(space={"quantization": {"preset": "default"}})) == [{}]


def test_what_stands_beside_a_preset_takes_its_place() -> None:
    given = study(space={"parallelism": {"preset": ["single-gpu"], "tp": [2, 4]}})
    assert {config["tp"] for config in configs(given)} == {2, 4}


@pytest.mark.parametrize(
    ("section", "key", "nearest"),
    [
        ({"parallelism": {"preset": "single-gpus"}}, "space.parallelism.preset", "single-gpu"),
        ({"quantization": {"preset": ["default", "dynamic-fp4"]}}, "space.quantization.preset", "dynamic-fp8"),
    ],
)
def test_an_unknown_preset_is_told_with_the_nearest(section: dict[str, Any], key: str, nearest: str) -> None:
    with pytest.raises(StudyError) as caught:
        build_space(study(space=section))
    assert (caught.value.key, caught.value.nearest) == (key, nearest)


def test_constraints_may_name_the_gpus_of_a_server() -> None:
    given = study(space={"parallelism": {"tp": [1, 2, 4], "pp": [1, 2]}, "constraints": ["gpus <= 4"]})
    assert [(c["tp"], c["pp"]) for c in configs(given)] == [(1, 1), (1, 2), (2, 1), (2, 2), (4, 1)]


def test_gpus_are_those_of_the_engine_that_a_config_names() -> None:
    section = {"parallelism": {"tp": [2], "dp": [1, 2]}, "constraints": ["gpus <= 2"]}
    found = {(c["engine"], c["dp"]) for c in configs(study(["vllm", "sglang"], space=section))}
    assert found == {("vllm", 1), ("sglang", 1), ("sglang", 2)}  # SGLang's dp lies inside tp


# ── what an engine can't do ───────────────────────────────────────────────────────────────────


def test_a_degree_that_an_engine_can_not_have_is_refused_with_the_reason_and_the_version() -> None:
    given = study("trtllm", space={"parallelism": {"tp": [1, 2], "dp": [1, 2]}})
    fatal = [problem for problem in study_problems(given, build_space(given)) if problem.fatal]
    assert [(p.key, p.value, p.nearest) for p in fatal] == [("space.parallelism.dp", 2, "1")]
    assert "trtllm 1." in fatal[0].rule


def test_a_degree_that_the_studys_own_constraints_rule_out_as_well_is_told_and_not_refused() -> None:
    given = study("trtllm", space={"parallelism": {"tp": [1, 2], "dp": [1, 2]}, "constraints": ["dp == 1"]})
    told = [p for p in study_problems(given, build_space(given)) if p.key == "space.parallelism.dp"]
    assert [(problem.value, problem.fatal) for problem in told] == [(2, False)]


def test_combinations_that_an_engine_can_not_have_are_no_configs() -> None:
    found = configs(study("sglang", space={"parallelism": {"tp": [1, 2, 4], "dp": [1, 2, 4]}}))
    assert {(c["tp"], c["dp"]) for c in found} == {(1, 1), (2, 1), (2, 2), (4, 1), (4, 2), (4, 4)}


def test_a_space_that_an_engine_has_no_config_of_is_refused_with_the_reason() -> None:
    with pytest.raises(SpaceError, match=r"tp % dp == 0' rejects all of them: .*sglang 0\.5"):
        build_space(study("sglang", space={"parallelism": {"tp": 1, "dp": [2, 4]}}))


# ── several engines ───────────────────────────────────────────────────────────────────────────


def test_parameters_of_one_engine_exist_only_there() -> None:
    given = study(
        ["vllm", "sglang"],
        space={"parameters": {"vllm.max-num-seqs": [16, 32], "sglang.max-running-requests": [8, 9, 10]}},
    )
    assert configs(given) == [
        {"engine": "vllm", "vllm.max-num-seqs": 16},
        {"engine": "vllm", "vllm.max-num-seqs": 32},
        {"engine": "sglang", "sglang.max-running-requests": 8},
        {"engine": "sglang", "sglang.max-running-requests": 9},
        {"engine": "sglang", "sglang.max-running-requests": 10},
    ]


def test_configs_of_several_engines_are_counted_engine_by_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The raw points of all engines together are many more than there are Configs."""
    section = {
        "parallelism": {"tp": [1, 2, 4], "dp": [1, 2]},
        "parameters": {
            "vllm.max-num-seqs": [16, 32],
            "vllm.enforce-eager": [True, False],
            "sglang.schedule-policy": ["lpm", "fcfs", "lof"],
        },
        "conditions": {"vllm.max-num-seqs": "tp < 4"},
        "constraints": ["gpus <= 4"],
    }
    space = build_space(study(["vllm", "sglang"], space=section))
    assert space.raw_points == 2 * 6 * 2 * 2 * 3
    monkeypatch.setattr(search_space, "EXACT_LIMIT", 100)
    count = space.count()
    # vllm: tp · dp ≤ 4 with two flags of two values, one of them where tp < 4; sglang: tp % dp == 0 and three values
    assert (count.number, count.exact) == ((4 * 2 + 1) * 2 + 5 * 3, True)


def test_engines_see_studies_and_configs_in_their_own_names() -> None:
    engine = {
        "name": ["vllm", "sglang"],
        "args": {"trust-remote-code": True},
        "per_engine": {"vllm": {"version": "0.27.0", "args": {"max-model-len": 4096}, "env": {"A": "1"}}},
    }
    given = study(engine=engine)
    config = Config({"engine": "vllm", "tp": 2, "vllm.max-num-seqs": 16})
    own_engine, own_study, own_config = one_engine(given, config)
    assert own_engine.name == "vllm"
    assert own_study.engine.args == {"trust-remote-code": True, "max-model-len": 4096}
    assert (own_study.engine.version, own_study.engine.env) == ("0.27.0", {"A": "1"})
    assert own_config == Config({"tp": 2, "max-num-seqs": 16})
    other_engine, other_study, _ = one_engine(given, Config({"engine": "sglang"}))
    assert (other_engine.name, other_study.engine.args) == ("sglang", {"trust-remote-code": True})


def test_a_flag_without_an_engine_must_be_known_to_all() -> None:
    given = study(["vllm", "sglang"], space={"parameters": {"max-num-seqs": [16, 32]}})
    problems = [p for p in study_problems(given, build_space(given)) if p.fatal]
    assert {(p.key, p.nearest) for p in problems} == {("space.parameters.max-num-seqs", "max-running-requests")}
    assert all("sglang" in problem.rule for problem in problems)


def test_an_engine_that_the_study_does_not_have_is_no_prefix() -> None:
    with pytest.raises(StudyError, match="vllm is not among the study's engines: sglang, trtllm"):
        build_space(study(["sglang", "trtllm"], space={"parameters": {"vllm.max-num-seqs": [1]}}))
    given = study(engine={"name": "vllm", "per_engine": {"sglang": {}}})
    assert [p.key for p in study_problems(given, build_space(given))] == ["engine.per_engine.sglang"]


def test_a_study_of_one_engine_may_name_it_in_a_prefix() -> None:
    given = study(space={"parameters": {"vllm.max-num-seqs": [16]}, "conditions": {"vllm.max-num-seqs": "tp == 1"}})
    assert configs(given) == [{"max-num-seqs": 16}]


def test_space_files_of_several_engines_get_their_names_in_front(tmp_path: Path) -> None:
    for engine, text in {
        "vllm": "parameters: {max-num-seqs: [16, 32], max-num-batched-tokens: [16, 32]}\n"
        "conditions: {max-num-batched-tokens: 'max_num_seqs > 16'}\n"
        "constraints: [\"max_num_batched_tokens >= max_num_seqs or 'max_num_seqs' == 'x'\"]\n",
        "sglang": "parameters: {max-running-requests: [1]}\n",
    }.items():
        (tmp_path / engine).mkdir()
        (tmp_path / engine / "own.yaml").write_text(text)
    (tmp_path / "study.yaml").write_text(
        "model: {id: org/m}\nengine: {name: [vllm, sglang]}\nworkload: {scenario: 'D(8,8)'}\n"
        "space: {include: [./vllm/own.yaml, ./sglang/own.yaml]}\n"
    )
    space = load_study(tmp_path / "study.yaml").study.space
    assert set(space.parameters) == {
        "vllm.max-num-seqs",
        "vllm.max-num-batched-tokens",
        "sglang.max-running-requests",
    }
    assert space.conditions == {"vllm.max-num-batched-tokens": "vllm.max_num_seqs > 16"}
    assert space.constraints == ["vllm.max_num_batched_tokens >= vllm.max_num_seqs or 'max_num_seqs' == 'x'"]


# ── the baseline ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"space": {"parallelism": {"tp": [4, 2], "pp": [2, 1]}}}, {"tp": 2, "pp": 1}),
        ({"space": {"parallelism": {"tp": [1, 2, 4]}, "constraints": ["tp > 1"]}}, {"tp": 2}),
        ({"space": {"quantization": {"kv_cache": ["fp8", "auto"]}}}, {"quant.kv_cache": "auto"}),
        ({"space": {"quantization": {"kv_cache": ["fp8", "bfloat16"]}}}, {"quant.kv_cache": "fp8"}),
        ({"space": {"parameters": {"max-num-seqs": [1, 2]}}}, {}),
        (
            {"space": {"parallelism": {"tp": [2, 4]}}, "search": {"baseline": {"max-num-seqs": 8}}},
            {"tp": 2, "max-num-seqs": 8},
        ),
        ({"engine": {"name": ["sglang", "vllm"]}, "space": {"parallelism": {"tp": 1}}}, {"engine": "sglang", "tp": 1}),
    ],
)
def test_the_default_is_on_the_fewest_gpus_that_the_constraints_allow(
    sections: dict[str, Any], expected: dict[str, Any]
) -> None:
    given = study(**sections)
    assert dict(baseline_config(given, build_space(given)).values) == expected


def test_the_default_is_on_the_fewest_gpus_that_hold_the_model(tmp_path: Path) -> None:
    given = study(
        model={"id": model_folder(tmp_path, "llama-3.1-70b")},
        engine={"name": "vllm", "args": {"max-model-len": 8192}},
        hardware={"accelerators": ["H100-80GB"]},
        space={"parallelism": {"tp": [1, 2, 4, 8]}},
    )
    assert baseline_config(given, known_space(given, find_known_models(given), None)).values["tp"] == 2


# ── what is said twice ────────────────────────────────────────────────────────────────────────


def said_twice(**keys: Any) -> list[tuple[str, Any, str]]:
    given = study(**keys)
    found = study_problems(given, build_space(given))
    return [(p.key, p.value, p.rule.split(" says")[0]) for p in found if "leave one of them out" in p.rule]


def test_a_format_and_the_flag_of_the_same_are_said_twice() -> None:
    space = {"quantization": {"kv_cache": ["auto", "fp8"]}}
    told = said_twice(space=space, engine={"name": "vllm", "args": {"kv-cache-dtype": "fp8"}})
    assert told == [("engine.args.kv-cache-dtype", "fp8", "space.quantization.kv_cache")]
    assert said_twice(space={"quantization": {"kv_cache": "auto"}}) == []


def test_a_format_that_no_flag_has_is_said_once() -> None:
    space = {"quantization": {"moe": ["auto", "fp8"]}}
    assert said_twice(space=space, engine={"name": "vllm", "args": {"dtype": "auto"}}) == []


def test_a_degree_and_its_flag_are_said_twice() -> None:
    space = {"parallelism": {"tp": [1, 2]}, "parameters": {"tensor-parallel-size": [1, 2]}}
    assert said_twice(space=space) == [
        ("space.parameters.tensor-parallel-size", None, "space.parallelism.tp"),
    ]
