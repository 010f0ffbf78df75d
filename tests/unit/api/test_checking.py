"""What check finds in a study before anything starts: the model, formats said twice, baselines, random tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autotuner.api.checking import check
from autotuner.engines import build_space, one_engine, study_problems
from autotuner.engines.known_space import known_space
from autotuner.errors import SpaceError, StudyError
from autotuner.results import OutputFolder
from autotuner.study import study_id
from autotuner.study.known_models import find_known_models
from autotuner.study.model import Study
from tests.engine_studies import model_folder, study

# ── what the model rules out ──────────────────────────────────────────────────────────────────


def test_degrees_that_do_not_divide_the_heads_are_told_and_left_out(tmp_path: Path) -> None:
    given = study(model={"id": model_folder(tmp_path, "llama-3.1-8b")}, space={"parallelism": {"tp": [1, 2, 3, 4]}})
    report = check(given)
    assert report.count.number == 3
    assert any(w.startswith("space.parallelism.tp: 3: tp must divide the model's 32") for w in report.warnings)


@pytest.mark.parametrize(
    ("config", "sections", "why"),
    [
        ("llama-3.1-8b", {"space": {"parallelism": {"tp": [3, 5]}}}, "tp must divide the model's 32 attention heads"),
        ("llama-3.1-70b", {"hardware": {"accelerators": ["RTX4090-24GB"]}}, "weights of 131.4 GiB must fit"),
        ("llama-3.1-8b", {"engine": {"name": "vllm", "args": {"max-model-len": 262144}}}, "131072 tokens of context"),
        ("llama-3.1-8b", {"engine": {"name": "vllm", "args": {"max-model-len": 64}}}, "a request of the workload"),
        ("llama-3.1-8b", {"space": {"parallelism": {"ep": [2], "tp": [2]}}}, "no experts"),
    ],
)
def test_a_space_that_the_model_or_its_gpus_forbid_is_refused_with_what_forbids_most(
    tmp_path: Path, config: str, sections: dict[str, Any], why: str
) -> None:
    with pytest.raises(SpaceError, match=why):
        check(study(model={"id": model_folder(tmp_path, config)}, **sections))


@pytest.mark.parametrize(
    ("sections", "key", "value", "nearest"),
    [
        ({"space": {"parallelism": {"tp": [3, 5]}}}, "space.parallelism.tp", [3, 5], "4"),
        ({"space": {"parallelism": {"tp": 3}}}, "space.parallelism.tp", 3, "2"),
        (
            {"engine": {"name": "vllm", "args": {"max_model_len": 262144}}},
            "engine.args.max_model_len",
            262144,
            "131072",
        ),
        (
            {"space": {"parameters": {"max-model-len": [200000, 300000]}}},
            "space.parameters.max-model-len",
            [200000, 300000],
            "131072",
        ),
    ],
)
def test_what_the_model_forbids_is_told_under_the_key_that_was_written(
    tmp_path: Path, sections: dict[str, Any], key: str, value: object, nearest: str
) -> None:
    with pytest.raises(SpaceError) as caught:
        check(study(model={"id": model_folder(tmp_path, "llama-3.1-8b")}, **sections))
    assert (caught.value.key, caught.value.value, caught.value.nearest) == (key, value, nearest)
    assert "vllm 0." in caught.value.message


def test_a_value_that_the_model_rules_out_is_told_and_left_out(tmp_path: Path) -> None:
    given = study(
        model={"id": model_folder(tmp_path, "llama-3.1-8b")},
        space={"parameters": {"max-model-len": [8192, 262144]}},
    )
    report = check(given)
    assert report.count.number == 1
    assert [w for w in report.warnings if w.startswith("space.parameters.max-model-len: 262144: ")]


# ── what is said twice, and the study's own baseline ──────────────────────────────────────────


@pytest.mark.parametrize(
    ("sections", "key"),
    [
        (
            {
                "engine": {"name": "vllm", "args": {"kv-cache-dtype": "fp8"}},
                "space": {"quantization": {"kv_cache": ["auto", "bfloat16"]}},
            },
            "engine.args.kv-cache-dtype",
        ),
        (
            {
                "engine": {"name": "vllm", "args": {"quantization": "fp8"}},
                "space": {"quantization": {"gemm": "bfloat16"}},
            },
            "engine.args.quantization",
        ),
        (
            {"space": {"parameters": {"kv-cache-dtype": ["fp8", "auto"]}, "quantization": {"preset": "kv-cache-fp8"}}},
            "space.parameters.kv-cache-dtype",
        ),
        (
            {
                "engine": {"name": "llamacpp", "args": {"cache-type-k": "q8_0"}},
                "space": {"quantization": {"kv_cache": ["auto", "f16"]}},
            },
            "engine.args.cache-type-k",
        ),
    ],
)
def test_a_flag_beside_a_normalised_name_that_sets_it_is_refused(sections: dict[str, Any], key: str) -> None:
    given = study(**sections)
    assert [p.key for p in study_problems(given, build_space(given)) if p.fatal] == [key]


def test_a_flag_beside_a_format_that_is_left_to_the_engine_is_fine() -> None:
    given = study(
        engine={"name": "vllm", "args": {"kv-cache-dtype": "fp8"}}, space={"quantization": {"preset": "default"}}
    )
    assert study_problems(given, build_space(given)) == []


@pytest.mark.parametrize(
    ("baseline", "key", "why"),
    [
        ({"tp": 3}, "search.baseline", "32 attention heads"),
        ({"max-model-len": 999999}, "search.baseline", "131072 tokens of context"),
        ({"max-num-sq": 3}, "search.baseline.max-num-sq", "no flag of vllm"),
        ({"max-num-seqs": "many"}, "search.baseline", "a whole number"),
        ({"enable-prefix-caching": "on"}, "search.baseline.enable-prefix-caching", "true or false"),
        ({"max-num-seqs": 64}, "search.baseline", "max_num_seqs <= 32"),
        ({"quant.kv_cache": "fp3"}, "search.baseline.kv_cache", "vllm 0."),
    ],
)
def test_a_baseline_that_can_not_be_is_refused(tmp_path: Path, baseline: dict[str, Any], key: str, why: str) -> None:
    given = study(
        model={"id": model_folder(tmp_path, "llama-3.1-8b")},
        space={
            "parallelism": {"tp": [1, 2]},
            "parameters": {"max-num-seqs": [16, 32]},
            "constraints": ["max_num_seqs <= 32"],
        },
        search={"baseline": baseline},
    )
    with pytest.raises(StudyError, match=why) as caught:
        check(given)
    assert caught.value.key == key


@pytest.mark.parametrize("baseline", [{"tp": 2}, {"max-num-seqs": 24}, {"tp": 1, "quant.kv_cache": "fp8"}])
def test_a_baseline_beside_the_space_is_fine(baseline: dict[str, Any]) -> None:
    section = {"parallelism": {"tp": [1, 2]}, "parameters": {"max-num-seqs": [16, 32]}}
    report = check(study(space={**section, "constraints": ["max_num_seqs <= 32"]}, search={"baseline": baseline}))
    assert "--max-num-seqs" not in report.argv[0] or "24" in report.argv[0]


def test_a_quantised_checkpoint_is_not_quantised_again(tmp_path: Path) -> None:
    model = {"id": model_folder(tmp_path, "qwen2.5-7b-awq")}
    for sections in (
        {"space": {"quantization": {"gemm": ["auto", "fp8"]}}},
        {"space": {"quantization": {"preset": ["default", "dynamic-fp8"]}}},
        {"engine": {"name": "vllm", "args": {"quantization": "fp8"}}},
        {"space": {"parameters": {"quantization": [None, "fp8"]}}},
        {"engine": {"name": "sglang"}, "space": {"parameters": {"quantization": [None, "fp8"]}}},
    ):
        with pytest.raises(StudyError, match="awq"):
            check(study(model=model, **sections))


def test_other_checkpoints_are_formats(tmp_path: Path) -> None:
    model = {"id": model_folder(tmp_path, "llama-3.1-8b"), "variants": {"awq": "org/awq", "fp8": "org/fp8"}}
    given = study(model=model, space={"quantization": {"gemm": ["auto", "awq", "fp8"]}})
    assert check(given).count.number == 3
    served = []
    for config in known_space(given, find_known_models(given), None).grid():
        engine, own_study, own_config = one_engine(given, config)
        deployment = engine.deployment(own_study, own_config)
        assert "--quantization" not in deployment.groups[0].ranks[0].argv
        served.append(deployment.model)
    assert served == [str(tmp_path), "org/awq", "org/fp8"]


def variant_study(tmp_path: Path, name: str, config: str) -> Study:
    """With a checkpoint of that name in ``model.variants``, of which this config.json is here."""
    model_folder(tmp_path, config)
    return study(
        model={"id": "org/model", "variants": {name: str(tmp_path)}}, space={"quantization": {"gemm": ["auto", name]}}
    )


def test_a_checkpoint_that_is_not_there_is_refused(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nope")
    spaces: list[dict[str, Any]] = [{}, {"space": {"quantization": {"gemm": ["auto", "awq"]}}}]
    for sections in spaces:
        with pytest.raises(StudyError) as caught:
            check(study(model={"id": "org/model", "variants": {"awq": nowhere}}, **sections))
        assert (caught.value.key, caught.value.value) == ("model.variants.awq", nowhere)
        assert "no such file" in str(caught.value.rule)


def test_a_checkpoint_that_can_not_be_read_is_told_under_its_own_key(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(StudyError) as caught:
        check(study(model={"id": "org/model", "variants": {"awq": str(tmp_path)}}))
    assert caught.value.key == "model.variants.awq"
    assert "model.id" not in caught.value.message


@pytest.mark.parametrize(
    ("name", "config", "said"),
    [
        ("awq", "qwen2.5-7b-gptq-int4", "gptq (int4)"),
        ("gptq", "qwen2.5-7b-awq", "awq (int4)"),
        ("awq", "llama-3.1-8b", "no quantisation"),
        ("fp8", "qwen2.5-7b-awq", "awq (int4)"),
        ("bfloat16", "qwen3-32b-fp8", "fp8"),
        ("awq", "qwen2.5-7b-awq", None),
        ("fp8", "qwen3-32b-fp8", None),
        ("fp8", "qwen3-32b-fp8-modelopt", None),
        ("gptq-int4", "qwen2.5-7b-gptq-int4", None),
        ("bfloat16", "llama-3.1-8b", None),
        ("ours", "qwen2.5-7b-awq", None),
    ],
)
def test_a_checkpoint_of_another_format_than_its_name_is_told(
    tmp_path: Path, name: str, config: str, said: str | None
) -> None:
    warnings = check(variant_study(tmp_path, name, config)).warnings
    found = [warning for warning in warnings if warning.startswith(f"model.variants.{name}: ")]
    assert len(found) == (said is not None)
    assert said is None or f"say {said}, not {name}" in found[0]


def test_a_second_life_knows_what_the_first_one_knew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers of the first life fill the hub's cache; the space must not change by that."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    given = study(
        model={"id": "org/m", "variants": {"awq": "org/awq"}},
        hardware={"accelerators": ["H100-80GB"]},
        space={"parallelism": {"tp": [1, 2, 4]}, "quantization": {"gemm": ["auto", "awq"]}},
    )
    folder = OutputFolder(tmp_path / "out")
    folder.prepare(given, study_id(given))
    assert folder.known_models() is None
    folder.keep_models(find_known_models(given))
    folder.database.touch()
    for name, config in {"m": "llama-3.1-70b", "awq": "qwen2.5-7b-awq"}.items():
        snapshot = tmp_path / "hub" / f"models--org--{name}" / "snapshots" / "abc"
        snapshot.mkdir(parents=True)
        (snapshot.parent.parent / "refs").mkdir()
        (snapshot.parent.parent / "refs" / "main").write_text("abc")
        model_folder(snapshot, config)
    now, kept = find_known_models(given), folder.known_models()
    assert now.facts is not None
    assert kept is not None
    assert kept.facts is None
    assert kept.variants == {"awq": None}
    assert check(given, models=kept).count.number == 6
    assert check(given).count.number != 6
    folder.keep_models(now)
    assert folder.known_models() == now


def test_a_grid_needs_a_finite_space() -> None:
    parameters = {"gpu-memory-utilization": {"float": [0.8, 0.95]}}
    given = study(space={"parameters": parameters}, search={"algorithm": "grid"})
    with pytest.raises(SpaceError) as caught:
        check(given)
    assert caught.value.key == "space.parameters.gpu-memory-utilization"
    assert "step" in str(caught.value.rule)
    check(study(space={"parameters": parameters}))
    stepped = {"gpu-memory-utilization": {"float": [0.8, 0.95], "step": 0.05}}
    check(study(space={"parameters": stepped}, search={"algorithm": "grid"}))


# ── random tokens ─────────────────────────────────────────────────────────────────────────────

NGRAM = {"choices": {"none": None, "ngram3": {"method": "ngram", "num_speculative_tokens": 3}}}


@pytest.mark.parametrize(
    ("parameters", "workload", "told"),
    [
        ({"enable-prefix-caching": [True, False]}, {}, "declare workload.shared_prefix_tokens"),
        ({"enable-prefix-caching": [True, False]}, {"shared_prefix_tokens": 50}, None),
        ({"enable-prefix-caching": [True]}, {}, None),
        ({"speculative-config": NGRAM}, {"shared_prefix_tokens": 50}, "speculative decoding looks worse"),
        ({"max-num-seqs": [1, 2]}, {}, None),
    ],
)
def test_searches_that_random_tokens_falsify_are_told(
    parameters: dict[str, Any], workload: dict[str, Any], told: str | None
) -> None:
    report = check(study(space={"parameters": parameters}, workload={"scenario": "D(100,10)", **workload}))
    found = [warning for warning in report.warnings if warning.startswith("workload.scenario")]
    assert len(found) == (told is not None)
    assert told is None or told in found[0]


def test_a_dataset_falsifies_nothing(tmp_path: Path) -> None:
    dataset = tmp_path / "prompts.jsonl"
    dataset.write_text('{"prompt": "a b c", "output_tokens": 4}\n' * 3)
    report = check(
        study(space={"parameters": {"speculative-config": NGRAM}}, workload={"scenario": {"dataset": str(dataset)}})
    )
    assert [warning for warning in report.warnings if "random" in warning] == []
