"""Structured values: JSON that parses, keys and choices that the server has."""

from __future__ import annotations

from typing import Any

import pytest

from autotuner.engines import build_space, get_engine, load_catalogue, study_problems
from autotuner.engines.flags.catalogue import catalogue_versions, catalogued_engines
from autotuner.errors import StudyError
from autotuner.space.config import Config
from autotuner.study.model import Study


def make_study(engine: str | list[str], **space: Any) -> Study:
    return Study.model_validate(
        {
            "model": {"id": "org/model"},
            "engine": {"name": engine},
            "workload": {"scenario": "D(8,8)"},
            "space": space,
        }
    )


@pytest.mark.parametrize(
    ("engine", "name", "value"),
    [
        ("vllm", "speculative-config", "not json"),
        ("vllm", "compilation-config", '{"mode": }'),
        ("vllm", "mm-processor-kwargs", "{'a': 1}"),
        ("sglang", "json-model-override-args", "nope"),
        ("trtllm", "cuda_graph_config", "off"),
        ("trtllm", "cp_config", "HELIX"),
    ],
)
def test_a_text_that_is_no_json_is_told_with_its_place(engine: str, name: str, value: str) -> None:
    problem = load_catalogue(engine).problem(f"engine.args.{name}", name, value)
    assert problem is not None
    assert (problem.key, problem.value, problem.fatal) == (f"engine.args.{name}", value, True)
    assert "line 1 column " in problem.rule


def test_the_place_is_where_it_breaks() -> None:
    problem = load_catalogue("vllm").problem("x", "hf-overrides", {"a": 1})
    assert problem is None
    problem = load_catalogue("vllm").problem("x", "speculative-config", '{"method": "ngram",\n "model" 3}')
    assert problem is not None
    assert "line 2 column 10" in problem.rule


@pytest.mark.parametrize(
    ("engine", "name", "value", "inner", "nearest"),
    [
        ("vllm", "speculative-config", {"methodd": "ngram"}, "methodd", "method"),
        ("vllm", "speculative-config", '{"method": "ngrm"}', "method", "ngram"),
        ("vllm", "sc", {"num_speculativ_tokens": 3}, "num_speculativ_tokens", "num_speculative_tokens"),
        ("vllm", "compilation-config", {"cudagraphs_mode": "FULL"}, "cudagraphs_mode", "cudagraph_mode"),
        ("trtllm", "cuda_graph_config", {"max_batch_sise": 5}, "max_batch_sise", "max_batch_size"),
        ("trtllm", "cuda_graph_config", '{"max_batch_size": -1}', "max_batch_size", "0"),
        ("trtllm", "kv_cache_config", {"dtype": "fp9"}, "dtype", "fp8"),
        ("trtllm", "scheduler_config", {"dynamic_batch_config": "x"}, "dynamic_batch_config", None),
        ("trtllm", "speculative_config", {"decoding_type": "NGramm"}, "decoding_type", "NGram"),
    ],
)
def test_a_key_or_its_value_that_the_server_does_not_have_is_refused(
    engine: str, name: str, value: Any, inner: str, nearest: str | None
) -> None:
    problem = load_catalogue(engine).problem(f"engine.args.{name}", name, value)
    assert problem is not None
    assert (problem.key, problem.nearest, problem.fatal) == (f"engine.args.{name}.{inner}", nearest, True)
    assert load_catalogue(engine).version in problem.rule


@pytest.mark.parametrize(
    ("engine", "name", "value"),
    [
        ("vllm", "speculative-config", {"method": "ngram", "num_speculative_tokens": 3, "prompt_lookup_max": None}),
        ("vllm", "speculative-config", {"num-speculative-tokens": 3}),  # vLLM reads dashes there as well
        ("vllm", "compilation-config", '{"cudagraph_mode": "FULL_DECODE_ONLY", "pass_config": {"fuse": true}}'),
        ("vllm", "additional-config", {"anything": 1}),
        ("vllm", "hf-overrides", "module.function"),
        ("vllm", "allowed-origins", '["*"]'),
        ("sglang", "deepep-config", "/etc/deepep.json"),
        ("sglang", "json-model-override-args", '{"num_hidden_layers": 2}'),
        ("trtllm", "cuda_graph_config", "null"),
        ("trtllm", "cuda_graph_config", {"batch_sizes": [1, 2], "max_batch_size": None}),
        ("trtllm", "moe_config", {"load_balancer": "/etc/eplb.yaml", "backend": "TRTLLM"}),
        ("trtllm", "speculative_config", {"decoding_type": "Eagle", "speculative_model_dir": "/m", "max_draft_len": 3}),
    ],
)
def test_what_the_server_takes_is_taken(engine: str, name: str, value: Any) -> None:
    assert load_catalogue(engine).problem("x", name, value) is None


@pytest.mark.parametrize(("version", "has_it"), [("0.24.0", False), ("0.27.0", True), ("0.32.0", True)])
def test_each_version_has_its_own_methods(version: str, has_it: bool) -> None:
    catalogue = load_catalogue("vllm", version)
    assert catalogue.problem("x", "speculative-config", {"method": "eagle3", "model": "/m"}) is None
    problem = catalogue.problem("x", "speculative-config", {"method": "dspark"})
    assert (problem is None) is has_it  # vllm/config/speculative.py: DSparkModelTypes


def test_a_map_is_no_list() -> None:
    problem = load_catalogue("vllm").problem("x", "speculative-config", ["ngram"])
    assert problem is not None
    assert "a map" in problem.rule


def test_an_unknown_key_where_others_may_exist_is_only_told() -> None:
    problem = load_catalogue("trtllm").problem("x", "speculative_config", {"max_draft_lenn": 3})
    assert problem is not None
    assert (problem.key, problem.nearest, problem.fatal) == ("x.max_draft_lenn", "max_draft_len", False)
    assert problem.rule.startswith("none of the known keys of speculative_config")
    # … and what is wrong for certain goes first.
    problem = load_catalogue("trtllm").problem("x", "speculative_config", {"a": 3, "decoding_type": "b"})
    assert problem is not None
    assert problem.key == "x.decoding_type"


@pytest.mark.parametrize("engine", catalogued_engines())
def test_every_default_of_a_map_keeps_its_own_rule(engine: str) -> None:
    for version in catalogue_versions(engine):
        catalogue = load_catalogue(engine, version)
        free = [flag for flag in catalogue.flags.values() if flag.reserved is None and flag.deprecated is None]
        assert [flag.name for flag in free if catalogue.problem("x", flag.name, flag.default) is not None] == []


def test_a_study_is_told_under_its_own_keys() -> None:
    parameter = {"choices": {"none": None, "ngram": {"methodd": "ngram"}}}
    study = make_study("vllm", parameters={"vllm.speculative-config": parameter})
    (problem,) = study_problems(study, build_space(study))
    assert problem.key.endswith("speculative-config.methodd")
    several = make_study(["vllm", "sglang"], parameters={"vllm.speculative-config": parameter})
    (problem,) = study_problems(several, build_space(several))
    assert problem.key == "space.parameters.vllm.speculative-config.methodd"


def test_a_config_is_refused_by_the_key_inside() -> None:
    with pytest.raises(StudyError) as caught:
        get_engine("trtllm").deployment(make_study("trtllm"), Config({"cuda_graph_config": {"enable_paddin": True}}))
    assert caught.value.key == "cuda_graph_config.enable_paddin"
    assert caught.value.nearest == "enable_padding"
