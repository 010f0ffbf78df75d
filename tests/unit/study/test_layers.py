"""Layers under a study file: which apply, what they may not do, and how they are told."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from autotuner.errors import StudyError
from autotuner.strict.paths import shipped_spaces
from autotuner.study import LoadedStudy, dump_study, load_study, parse_study
from autotuner.study.layers.files import profile_names
from autotuner.study.layers.space_files import shipped_space_names

MODELS = Path(__file__).parents[1] / "models" / "model_configs"
Write = Callable[..., Path]
Load = Callable[..., LoadedStudy]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads a small study with these keys over it."""

    def _load(*overrides: str, **keys: Any) -> LoadedStudy:
        study = {
            "model": {"id": "m.gguf"},
            "engine": {"name": "llamacpp"},
            "workload": {"scenario": "D(8,8)"},
            **keys,
        }
        (tmp_path / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
        return load_study(tmp_path / "study.yaml", overrides)

    return _load


@pytest.fixture
def layer(tmp_path: Path) -> Write:
    """Writes a layer file; its name as a study's profile."""

    def _write(name: str = "team", **content: Any) -> str:
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        return f"{name}.yaml"

    return _write  # type: ignore[return-value]


def model(folder: Path, name: str) -> str:
    """A model's folder with nothing but its config.json."""
    (folder / name).mkdir(exist_ok=True)
    shutil.copy(MODELS / f"{name}.json", folder / name / "config.json")
    return str(folder / name)


def told(loaded: LoadedStudy, key: str) -> tuple[Any, str, list[str]]:
    (one,) = loaded.origins.explain(loaded.study, key)
    return one.value, str(one.origin), [str(setting.origin) for setting in one.overridden]


# ── the order ─────────────────────────────────────────────────────────────────────────────────


def test_each_layer_is_over_the_one_before_it(load: Load, layer: Any, tmp_path: Path) -> None:
    low = layer("low", study={"timeouts": {"start_s": 50, "request_s": 51}})
    high = layer("high", study={"timeouts": {"request_s": 61, "rung_s": 62}})
    loaded = load(
        "timeouts.rung_s=73",
        engine={"name": "vllm"},
        model={"id": model(tmp_path, "llama-3.1-70b")},
        profiles=[low, high],
        timeouts={"rung_s": 70},
    )
    assert told(loaded, "timeouts.start_s") == (
        50,
        "profile layer low.yaml",
        ["model layer model/start", "engine layer engine/vllm"],
    )
    assert told(loaded, "timeouts.request_s")[:2] == (61, "profile layer high.yaml")
    rung = (73, "--set timeouts.rung_s=73", [str(tmp_path / "study.yaml"), "profile layer high.yaml"])
    assert told(loaded, "timeouts.rung_s") == rung
    assert told(loaded, "search.trials") == (40, "the default", [])
    assert loaded.study.profiles == []


def test_lists_are_replaced_and_maps_are_merged(load: Load, layer: Any) -> None:
    name = layer(study={"workload": {"load": {"concurrency": [1, 2]}}, "slo": {"ttft": {"p90": {"threshold_ms": 9}}}})
    study = load(profiles=[name], slo={"ttft": {"p90": {"threshold_ms": 5, "weight": 2}}, "tpot": {}}).study
    assert [(m, s, t.threshold_ms, t.weight) for m, s, t in study.slo.terms()] == [("ttft", "p90", 5, 2)]
    study = load(profiles=[name], workload={"scenario": "D(8,8)", "load": {"concurrency": [7]}}).study
    assert study.workload.load.concurrency == [7]  # type: ignore[union-attr]


def test_a_replacing_layer_empties_the_sections_it_has(load: Load, layer: Any) -> None:
    low = layer("low", study={"slo": {"error_rate": 0.5, "steepness": 0.7}, "search": {"trials": 9}})
    high = layer("high", mode="replace", study={"slo": {"error_rate": 0.2}})
    loaded = load(profiles=[low, high])
    assert (loaded.study.slo.error_rate, loaded.study.slo.steepness, loaded.study.search.trials) == (0.2, 0.1, 9)
    over = ["profile layer high.yaml", "profile layer low.yaml"]
    assert told(loaded, "slo.steepness") == (0.1, "the default", over)


def test_null_takes_a_limit_of_a_layer_away(load: Load) -> None:
    loaded = load(profiles=["slo/balanced"], slo={"ttft": {"p99": None}, "tpot": {"p99": None}})
    assert [(m, s) for m, s, _ in loaded.study.slo.terms()] == [("ttft", "p90"), ("tpot", "mean")]


# ── context ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ({"engine": "vllm"}, True),
        ({"engine": ["sglang", "vllm"]}, True),
        ({"engine": "llamacpp"}, False),
        ({"accelerator": "H100-80GB"}, True),
        ({"accelerator": "H200-141GB"}, False),
        ({"model.family": ["llama", "qwen3_moe"]}, True),
        ({"model.family": "llama"}, False),
        ({"model.is_moe": True, "model.is_mla": False}, True),
        ({"model.is_moe": True, "model.is_mla": True}, False),
        ({"model.parameters": {"min": 200e9, "max": 300e9}}, True),
        ({"model.parameters": {"max": 200e9}}, False),
        ({"model.quantization": None}, True),
    ],
)
def test_a_layer_holds_where_all_its_conditions_do(
    load: Load, layer: Any, tmp_path: Path, when: dict[str, Any], holds: bool
) -> None:
    loaded = load(
        engine={"name": "vllm"},
        model={"id": model(tmp_path, "qwen3-235b-a22b")},
        hardware={"accelerators": ["h100"]},
        profiles=[layer(when=when, study={"search": {"trials": 3}})],
    )
    assert loaded.study.search.trials == (3 if holds else 40)


def test_nothing_is_taken_for_granted_of_an_unknown_model(load: Load, layer: Any) -> None:
    for when in ({"model.is_moe": False}, {"model.is_moe": True}, {"model.parameters": {"min": 0}}):
        name = layer(when=when, study={"search": {"trials": 3}})
        assert load(model={"id": "org/not-here"}, profiles=[name]).study.search.trials == 40


def test_overrides_are_part_of_the_context(load: Load) -> None:
    assert load("engine.name=trtllm").study.timeouts.start_s == 1800
    assert load("profiles=[slo/balanced]").study.slo.terms()


@pytest.mark.parametrize(
    ("name", "start_s"),
    [("llama-3.1-8b", 1200), ("llama-3.1-70b", 1800), ("qwen3-30b-a3b", 1800), ("deepseek-v3", 3600)],
)
def test_large_models_may_take_longer_to_start(load: Load, tmp_path: Path, name: str, start_s: float) -> None:
    loaded = load(engine={"name": "vllm"}, model={"id": model(tmp_path, name)})
    assert loaded.study.timeouts.start_s == start_s


# ── hardware ──────────────────────────────────────────────────────────────────────────────────


def test_a_gpu_type_brings_its_price_and_the_study_may_say_its_own(load: Load) -> None:
    known = load(engine={"name": "vllm"}, hardware={"accelerators": ["h100"]}).study.hardware
    assert known.accelerators == ["H100-80GB"]
    assert isinstance(known.cost_per_gpu_hour, dict)
    assert known.cost_per_gpu_hour.keys() == {"H100-80GB"}
    own = load(hardware={"accelerators": ["H100"], "cost_per_gpu_hour": 9.5}).study.hardware
    assert own.gpu_price("H100-80GB") == 9.5
    both = {"accelerators": ["h100", "L40S"], "cost_per_gpu_hour": {"h100": 7}}
    several = load(hardware=both).study.hardware
    assert several.gpu_price("H100-80GB") == 7
    assert several.gpu_price(several.accelerators[1]) not in (None, 7)
    assert several.gpus_per_node is None


def test_an_unknown_gpu_type_is_refused_with_the_nearest(load: Load) -> None:
    with pytest.raises(StudyError) as caught:
        load(hardware={"accelerators": ["H100-80GB", "H20-141GB"]})
    assert (caught.value.key, caught.value.nearest) == ("hardware.accelerators.1", "H200-141GB")


# ── layers make no valid study invalid ────────────────────────────────────────────────────────


def test_what_the_study_searches_is_not_fixed_by_a_layer(load: Load, layer: Any) -> None:
    args = {"batch_size": 512, "ctx-size": 1024}
    name = layer(study={"engine": {"args": args, "env": {"A": "1", "B": "2"}}})
    space = {"parameters": {"batch-size": [32, 64], "env.A": ["0"]}}
    loaded = load(profiles=[name], space=space)
    assert loaded.study.engine.args == {"ctx-size": 1024}
    assert loaded.study.engine.env == {"B": "2"}
    value, origin, over = told(loaded, "engine.args.batch_size")
    assert (value, origin) == (None, "the default")
    assert over[-1] == "profile layer team.yaml"
    included = load(profiles=[name], space={"include": ["llamacpp/minimal"]})
    assert included.study.engine.args == {"ctx-size": 1024}


def test_the_other_spelling_of_a_flag_is_the_same_flag(load: Load, layer: Any) -> None:
    name = layer(study={"engine": {"args": {"ctx-size": 1024}}})
    assert load(profiles=[name], engine={"name": "llamacpp", "args": {"ctx_size": 7}}).study.engine.args == {
        "ctx_size": 7
    }


def test_forms_of_a_value_are_not_mixed(load: Load, layer: Any) -> None:
    low = layer(
        "low",
        study={
            "workload": {"load": {"rate": [2.5], "arrival": "constant"}, "scenarios": [{"scenario": "D(1,1)"}]},
            "space": {"parameters": {"parallel": {"int": [1, 8], "log": True}}},
        },
    )
    workload = {"scenario": "D(8,8)", "load": {"concurrency": [3]}}
    study = load(profiles=[low], workload=workload, space={"parameters": {"parallel": {"float": [1, 2]}}}).study
    assert study.workload.load.model_dump() == {"concurrency": [3]}
    assert study.workload.scenarios == []
    assert study.space.parameters == {"parallel": {"float": [1, 2]}}


def test_a_running_server_is_told_nothing(load: Load, layer: Any) -> None:
    name = layer(
        study={
            "engine": {"args": {"max-num-seqs": 4}, "command": ["vllm"]},
            "space": {"parameters": {"max-num-seqs": [1]}},
            "search": {"baseline": {"max-num-seqs": 1}, "trials": 3},
        }
    )
    endpoint = {"kind": "endpoint", "url": "http://h:1"}
    study = load(profiles=[name], engine={"name": "vllm"}, launcher=endpoint).study
    assert (study.engine.args, study.engine.env, study.space.parameters) == ({}, {}, {})
    assert study.search.trials == 3


def test_gpu_hours_of_a_layer_are_not_for_servers_without_gpus(load: Load, layer: Any) -> None:
    name = layer(study={"budget": {"gpu_hours": 5, "wall_clock_h": 2}})
    study = load(profiles=[name], hardware={"gpus_per_server": 0}).study
    assert (study.budget.gpu_hours, study.budget.wall_clock_h) == (None, 2)


def test_each_engine_of_several_has_its_own_layer(load: Load) -> None:
    engine = {"name": ["vllm", "sglang", "trtllm"]}
    loaded = load(engine=engine)
    assert loaded.study.engine.env == {}
    assert loaded.study.engine.per_engine["vllm"].env == {"VLLM_NO_USAGE_STATS": "1"}
    assert "sglang" not in loaded.study.engine.per_engine
    assert told(loaded, "timeouts.start_s") == (1800, "engine layer engine/trtllm", ["engine layer engine/vllm"])
    reverse = load(engine={"name": ["trtllm", "vllm"]})
    assert told(reverse, "timeouts.start_s") == (1800, "engine layer engine/trtllm", [])
    shared = load(engine={**engine, "env": {"VLLM_NO_USAGE_STATS": "0"}})
    assert shared.study.engine.env == {"VLLM_NO_USAGE_STATS": "0"}
    assert all(one.env == {} for one in shared.study.engine.per_engine.values())


@pytest.mark.parametrize("profile", profile_names())
@pytest.mark.parametrize("engine", ["llamacpp", "vllm", "sglang", "trtllm"])
def test_every_shipped_profile_goes_with_every_engine(load: Load, engine: str, profile: str) -> None:
    loaded = load(engine={"name": engine}, profiles=[profile], hardware={"accelerators": ["H100"]})
    assert bool(loaded.study.slo.terms()) == (profile != "slo/offline-batch")
    assert parse_study(dump_study(loaded.study)) == loaded.study


def test_a_resolved_study_gets_no_layer_twice(load: Load, tmp_path: Path) -> None:
    keys: dict[str, Any] = {
        "engine": {"name": "vllm"},
        "hardware": {"accelerators": ["h100"]},
        "profiles": ["slo/strict-latency"],
        "slo": {"ttft": {"p99": None}},
    }
    study = load(**keys).study
    (tmp_path / "resolved.yaml").write_text(dump_study(study), encoding="utf-8")
    assert load_study(tmp_path / "resolved.yaml").study == study


# ── profiles ──────────────────────────────────────────────────────────────────────────────────


def test_the_profiles_that_are_promised_are_there() -> None:
    assert profile_names() == ["slo/balanced", "slo/high-throughput", "slo/offline-batch", "slo/strict-latency"]
    assert not any(name.startswith(("slo/", "engine/", "model/", "hardware/")) for name in shipped_space_names())


def test_strict_is_stricter_than_balanced_is_stricter_than_throughput(load: Load) -> None:
    def limits(name: str) -> dict[str, float]:
        return {f"{m}.{s}": t.threshold_ms for m, s, t in load(profiles=[f"slo/{name}"]).study.slo.terms()}

    strict, balanced, throughput = limits("strict-latency"), limits("balanced"), limits("high-throughput")
    assert strict.keys() == balanced.keys()
    assert throughput.keys() <= balanced.keys()
    assert all(strict[key] < balanced[key] for key in strict)
    assert all(balanced[key] <= throughput[key] for key in throughput)


def test_paths_in_a_layer_are_relative_to_it(load: Load, tmp_path: Path) -> None:
    (tmp_path / "team").mkdir()
    (tmp_path / "team" / "space.yaml").write_text("parameters: {parallel: [1, 2]}")
    content = {"study": {"space": {"include": ["./space.yaml"]}, "workload": {"scenario": {"dataset": "d.jsonl"}}}}
    (tmp_path / "team" / "layer.yaml").write_text(yaml.safe_dump(content))
    study = load(profiles=["team/layer.yaml"], workload={}).study
    assert study.space.parameters == {"parallel": [1, 2]}
    assert study.workload.scenario.dataset == str(tmp_path / "team" / "d.jsonl")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("content", "key", "nearest"),
    [
        ({"study": {"slos": {}}}, "profile layer team.yaml: study.slos", "slo"),
        ({"study": {"profiles": ["slo/balanced"]}}, "profile layer team.yaml: study.profiles", None),
        (
            {"when": {"model.famly": "a"}, "study": {"slo": {}}},
            "profile layer team.yaml: when.model.famly",
            "model.family",
        ),
        ({"mode": "patsh", "study": {"slo": {}}}, "profile layer team.yaml.mode", "patch"),
        ({"about": "nothing"}, "profile layer team.yaml", None),
        ({"study": {"slo": {}}, "layers": [{"study": {"slo": {}}}]}, "profile layer team.yaml", None),
        ({"study": {"slo": {"ttft": {"p91": {"threshold_ms": 3}}}}}, "slo.ttft.p91", "p99"),
    ],
)
def test_a_bad_layer_is_named(load: Load, layer: Any, content: dict[str, Any], key: str, nearest: str | None) -> None:
    with pytest.raises(StudyError) as caught:
        load(profiles=[layer(**content)])
    assert (caught.value.key, caught.value.nearest) == (key, nearest)
    assert "profile layer team.yaml" in caught.value.message


def test_a_profile_that_is_not_there_is_refused(load: Load) -> None:
    for name, nearest in (("slo/balancd", "slo/balanced"), ("./no.yaml", None)):
        with pytest.raises(StudyError) as caught:
            load(profiles=[name])
        assert (caught.value.key, caught.value.value, caught.value.nearest) == ("profiles.0", name, nearest)


def test_a_mistake_of_the_study_itself_names_no_layer(load: Load) -> None:
    with pytest.raises(StudyError) as caught:
        load(profiles=["slo/balanced"], slo={"ttft": {"p90": {"threshold_ms": -1}}})
    assert "layer" not in caught.value.message


def test_the_layer_in_the_docs_is_one(load: Load, tmp_path: Path) -> None:
    page = (shipped_spaces().parent / "docs" / "study-layers.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```text\n(about: .*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "team.yaml").write_text(text, encoding="utf-8")
    engine = {"name": "vllm"}
    loaded = load(engine=engine, model={"id": model(tmp_path, "deepseek-v3")}, profiles=["team.yaml"])
    assert told(loaded, "slo.ttft.p90.threshold_ms")[1] == "profile layer team.yaml"
    small = load(engine=engine, model={"id": model(tmp_path, "qwen3-30b-a3b")}, profiles=["team.yaml"])
    assert small.study.slo.terms() == []


def test_every_shipped_layer_says_what_it_is_for() -> None:
    for kind in ("engine", "model", "slo"):
        for file in sorted((shipped_spaces() / kind).glob("*.yaml")):
            assert yaml.safe_load(file.read_text())["about"], file
