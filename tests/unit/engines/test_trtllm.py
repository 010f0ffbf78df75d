"""TensorRT-LLM: study and Config in, argv and configuration file out."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from autotuner.engines import Address, SecretEnv, build_space, get_engine, load_catalogue, study_problems
from autotuner.engines.deployment import Deployment
from autotuner.engines.key_file import key_file
from autotuner.engines.server_metrics import ServerMetric
from autotuner.errors import SpaceError, StudyError
from autotuner.space.config import Config
from autotuner.study.model import Study

ENGINE = get_engine("trtllm")
HERE = Address("127.0.0.1", 8080)
NEW, OLD = "1.2.1", "1.0.0"


def make_study(**sections: Any) -> Study:
    return Study.model_validate(
        {
            "model": {"id": "org/model"},
            "workload": {"scenario": "D(8,8)"},
            **sections,
            "engine": {"name": "trtllm", "version": NEW, **sections.get("engine", {})},
        }
    )


def deploy(study: Study | None = None, /, **values: Any) -> Deployment:
    """Two underscores stand for a dot."""
    config = Config({name.replace("__", "."): value for name, value in values.items()})
    return ENGINE.deployment(study or make_study(), config)


def argv_of(deployment: Deployment) -> tuple[str, ...]:
    return deployment.groups[0].ranks[0].bound_argv(HERE, HERE, "/files")


def file_of(deployment: Deployment) -> Any:
    return yaml.safe_load(deployment.groups[0].ranks[0].files["config.yaml"])


# ── argv and file ─────────────────────────────────────────────────────────────────────────────


def test_the_default_is_the_model_alone_without_a_file() -> None:
    deployment = deploy()
    assert argv_of(deployment) == (
        *("trtllm-serve", "org/model", "--host", "127.0.0.1", "--port", "8080", "--backend", "pytorch"),
    )
    assert deployment.groups[0].ranks[0].files == {}  # the server breaks on an empty one


@pytest.mark.parametrize(("version", "option"), [(NEW, "--config"), (OLD, "--extra_llm_api_options")])
def test_sizes_are_options_and_all_else_is_in_the_file(version: str, option: str) -> None:
    study = make_study(engine={"version": version, "args": {"max_batch_size": 64, "enable_chunked_prefill": True}})
    deployment = deploy(
        study,
        max_num_tokens=4096,
        kv_cache_config__free_gpu_memory_fraction=0.85,
        kv_cache_config__enable_block_reuse=False,
        cuda_graph_config__batch_sizes=[1, 2, 4],
        stream_interval=4,
        num_postprocess_workers=None,
    )
    argv = argv_of(deployment)
    assert argv[8:] == ("--max_batch_size", "64", "--max_num_tokens", "4096", option, "/files/config.yaml")
    assert file_of(deployment) == {
        "enable_chunked_prefill": True,
        "kv_cache_config": {"free_gpu_memory_fraction": 0.85, "enable_block_reuse": False},
        "cuda_graph_config": {"batch_sizes": [1, 2, 4]},
        "stream_interval": 4,
    }


def test_other_names_of_a_key_are_the_key() -> None:
    study = make_study(engine={"args": {"kv_cache_free_gpu_memory_fraction": 0.7}})
    assert file_of(deploy(study)) == {"kv_cache_config": {"free_gpu_memory_fraction": 0.7}}
    assert file_of(deploy(study, kv_cache_config__free_gpu_memory_fraction=0.9)) == {
        "kv_cache_config": {"free_gpu_memory_fraction": 0.9}
    }


def test_null_as_text_is_a_null_of_the_file_and_none_leaves_a_key_out() -> None:
    deployment = deploy(cuda_graph_config="null", speculative_config=None, stream_interval=2)
    assert file_of(deployment) == {"cuda_graph_config": None, "stream_interval": 2}


def test_maps_are_given_whole_or_as_json() -> None:
    ngram = {"decoding_type": "NGram", "max_draft_len": 4}
    assert file_of(deploy(speculative_config=ngram)) == {"speculative_config": ngram}
    assert file_of(deploy(speculative_config='{"decoding_type": "MTP"}')) == {
        "speculative_config": {"decoding_type": "MTP"}
    }


def test_braces_are_left_as_they_are() -> None:
    study = make_study(
        model={"id": "/m/{port}"},
        engine={
            "command": ["/opt/{x}/trtllm-serve"],
            "args": {"checkpoint_format": "{files}", "chat_template": "{{ m }}"},
        },
    )
    deployment = deploy(study)
    argv = argv_of(deployment)
    assert argv[:2] == ("/opt/{x}/trtllm-serve", "/m/{port}")
    assert argv[argv.index("--chat_template") + 1] == "{{ m }}"
    assert file_of(deployment) == {"checkpoint_format": "{files}"}


def test_a_group_may_be_given_whole_with_more_keys_beside_it_but_none_twice() -> None:
    whole = {"max_batch_size": 8}
    deployment = deploy(cuda_graph_config=whole, cuda_graph_config__enable_padding=True)
    assert file_of(deployment) == {"cuda_graph_config": {"max_batch_size": 8, "enable_padding": True}}
    assert whole == {"max_batch_size": 8}
    for group in (whole, "null"):
        with pytest.raises(StudyError, match="cuda_graph_config is given whole") as caught:
            deploy(cuda_graph_config=group, cuda_graph_config__max_batch_size=16)
        assert caught.value.nearest == "cuda_graph_config"


def test_the_deployment_names_probes_gpus_and_environment() -> None:
    study = make_study(
        model={"id": "org/model", "served_name": "m"},
        hardware={"server_cpus": 12},
        engine={"env": {"PLAIN": "{a}", "TOKEN": {"from_env": "HF"}}},
    )
    deployment = deploy(study, tp=2, **{"env.TLLM_X": "1"})
    (rank,) = deployment.groups[0].ranks
    assert (deployment.model, deployment.served_name, deployment.engine_version) == ("org/model", "m", NEW)
    assert (deployment.gpus, rank.cpus) == (2, 12)
    assert (deployment.health.path, deployment.ready.path) == ("/health", "/health")
    assert deployment.version is not None
    assert (deployment.version.path, deployment.version.key) == ("/version", "version")
    assert deployment.cache_reset is None
    env = rank.bound_env(HERE, HERE, "/files")
    assert env == {"PLAIN": "{a}", "TOKEN": SecretEnv("HF"), "TLLM_X": "1"}
    assert deploy(tp=4).groups[0].ranks[0].cpus == 4


def test_metrics_are_read_where_the_server_has_them() -> None:
    assert deploy().metrics is None
    with_metrics = deploy(return_perf_metrics=True).metrics
    assert with_metrics is not None
    assert with_metrics.path == "/prometheus/metrics"
    assert set(ENGINE.server_metrics) == {
        *(ServerMetric.KV_CACHE_USE, ServerMetric.PREFIX_HIT_RATE),
        *(ServerMetric.RUNNING, ServerMetric.WAITING, ServerMetric.FINISHED),
    }


def test_requests_may_be_of_token_ids_and_of_a_forced_length() -> None:
    features = ENGINE.features(make_study(), Config())
    assert (features.token_ids, features.ignore_eos, features.min_tokens) == (True, True, True)


@pytest.mark.parametrize(
    ("said", "version"),
    [("[TensorRT-LLM] TensorRT-LLM version: 1.0.0rc4\nUsage: trtllm-serve", "1.0.0rc4"), ("Usage: trtllm-serve", None)],
)
def test_the_version_is_what_the_package_prints_when_it_is_imported(said: str, version: str | None) -> None:
    found = re.search(ENGINE.version_question.pattern, said)
    assert (found[1] if found else None) == version


# ── the file's text ───────────────────────────────────────────────────────────────────────────


def test_texts_that_yaml_would_read_otherwise_stay_texts() -> None:
    values = {"a": "on", "b": "1.0", "c": "x: y", "d": "null and void", "e": "[not json", "f": "{x}"}
    assert yaml.safe_load(key_file(values)) == values


def test_a_text_that_is_json_is_what_it_says() -> None:
    assert yaml.safe_load(key_file({"a": "[1, 2]", "b": '{"c": null}', "d": "null"})) == {
        "a": [1, 2],
        "b": {"c": None},
        "d": None,
    }


@pytest.mark.parametrize("keys", [{}, {"a": None, "b.c": None}])
def test_without_keys_there_is_no_text(keys: dict[str, Any]) -> None:
    assert key_file(keys) == ""


@pytest.mark.parametrize("keys", [{"a": {"b": 1}, "a.b": 2}, {"a": 3, "a.b": 2}, {"a.b": 1, "a.b.c": 2}])
def test_a_key_that_is_given_twice_is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(StudyError, match="given whole"):
        key_file(keys)


# ── parallelism ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("degrees", "gpus", "keys"),
    [
        ({"tp": 1, "pp": 1}, 1, None),
        ({"tp": 4}, 4, {"tensor_parallel_size": 4}),
        ({"tp": 2, "pp": 2}, 4, {"tensor_parallel_size": 2, "pipeline_parallel_size": 2}),
        ({"tp": 4, "moe_ep": 4}, 4, {"tensor_parallel_size": 4, "moe_expert_parallel_size": 4}),
        ({"tp": 4, "ep": 2}, 4, {"tensor_parallel_size": 4, "moe_expert_parallel_size": 2}),
        (
            {"tp": 8, "moe_tp": 2, "moe_ep": 4},
            8,
            {"tensor_parallel_size": 8, "moe_tensor_parallel_size": 2, "moe_expert_parallel_size": 4},
        ),
        (
            {"tp": 2, "cp": 2},
            4,
            {
                "tensor_parallel_size": 2,
                "context_parallel_size": 2,
                "cp_config": {"cp_type": "HELIX", "tokens_per_block": 32},
            },
        ),
    ],
)
def test_degrees_become_keys_of_the_file(degrees: dict[str, int], gpus: int, keys: dict[str, Any] | None) -> None:
    deployment = deploy(**degrees)
    assert deployment.gpus == gpus
    assert (file_of(deployment) if keys else None) == keys


def test_a_study_may_say_how_context_parallelism_works() -> None:
    assert file_of(deploy(cp=2, cp_config__cp_type="ULYSSES"))["cp_config"] == {"cp_type": "ULYSSES"}


@pytest.mark.parametrize(
    ("version", "values", "reason"),
    [
        (NEW, {"dp": 2}, "several servers"),
        (NEW, {"tp": 4, "dcp": 2}, "by cp"),
        (NEW, {"tp": 4, "moe_ep": 3}, "spread over the tp ranks"),
        (NEW, {"tp": 8, "moe_tp": 2, "moe_ep": 2}, "must be tp"),
        (NEW, {"tp": 8, "ep": 4, "moe_ep": 8}, "same degree"),
        (NEW, {"tp": 8, "ep": 4, "moe_tp": 4}, "must be tp"),
        (NEW, {"tp": 2, "cp": 2, "moe_ep": 2}, "context parallelism"),
        (NEW, {"enable_lm_head_tp_in_adp": True}, "enable_attention_dp"),
        (OLD, {"cp": 2}, "no option for context parallelism"),
        (OLD, {"quant.kv_cache": "nvfp4"}, "auto or fp8"),
    ],
)
def test_what_the_engine_can_not_do_is_refused_with_the_reason(
    version: str, values: dict[str, Any], reason: str
) -> None:
    with pytest.raises(StudyError, match=reason):
        ENGINE.deployment(make_study(engine={"version": version}), Config(values))


def test_a_server_of_several_nodes_is_one_mpi_job_of_a_process_for_each_gpu() -> None:
    [group] = deploy(tp=8, pp=2).groups
    first, second = group.ranks
    own, meeting = Address("127.0.0.1", 8000), Address("10.0.0.1", 6000)
    argv = first.bound_argv(own, meeting, "/work")
    lead = ("python3", "/work/mpi_ranks.py", "lead", "10.0.0.1", "6000", "2", "8")
    assert argv[:9] == (*lead, "trtllm-llmapi-launch", "trtllm-serve")
    alone = deploy().groups[0].ranks[0].bound_argv(own, meeting, "/work")
    assert argv[9:] == (*alone[1:], "--config", "/work/config.yaml")
    assert second.bound_argv(own, meeting, "/work") == (*lead[:2], "join", "10.0.0.1", "6000", "1")
    assert [(rank.gpus, rank.cpus) for rank in group.ranks] == [(8, 8), (8, 8)]
    assert set(first.files) == {"config.yaml", "mpi_ranks.py"}
    assert set(second.files) == {"mpi_ranks.py"}


def test_attention_by_requests_is_a_flag_and_not_a_degree() -> None:
    assert file_of(deploy(tp=4, enable_attention_dp=True)) == {"tensor_parallel_size": 4, "enable_attention_dp": True}


@pytest.mark.parametrize(
    ("preset", "configs"),
    [
        ("single-gpu", 1),
        ("high-throughput", 2),
        ("large-model-tp", 3),
        ("large-model-tp-pp", 2),
        ("moe-optimized", 3),  # tp 4 with ep 4; tp 8 with ep 8, or with ep 4 and moe_tp 2
        ("long-context", 3),
    ],
)
def test_presets(preset: str, configs: int) -> None:
    study = make_study(space={"parallelism": {"preset": preset}})
    assert len(list(build_space(study).grid())) == configs


def test_a_preset_that_a_version_has_no_option_for_is_refused_with_the_reason() -> None:
    study = make_study(engine={"version": OLD}, space={"parallelism": {"preset": "long-context"}})
    with pytest.raises(SpaceError, match="no option for context parallelism"):
        build_space(study)


# ── formats ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("values", "keys"),
    [
        ({"quant.kv_cache": "auto"}, None),
        ({"quant.kv_cache": "bfloat16"}, None),
        ({"quant.kv_cache": "fp8"}, {"kv_cache_config": {"dtype": "fp8"}}),
        ({"quant.kv_cache": "fp8_e4m3"}, {"kv_cache_config": {"dtype": "fp8"}}),
        ({"quant.kv_cache": "nvfp4"}, {"kv_cache_config": {"dtype": "nvfp4"}}),
        ({"quant.gemm": "bfloat16"}, None),
    ],
)
def test_formats_become_keys_of_the_file(values: dict[str, str], keys: dict[str, Any] | None) -> None:
    deployment = ENGINE.deployment(make_study(), Config(values))
    assert (file_of(deployment) if keys else None) == keys


def test_weights_of_another_format_are_another_checkpoint() -> None:
    study = make_study(model={"id": "org/model", "variants": {"fp8": "nvidia/model-FP8"}})
    assert ENGINE.deployment(study, Config({"quant.gemm": "fp8"})).model == "nvidia/model-FP8"
    for value in ("nvfp4", "awq"):
        with pytest.raises(StudyError, match=r"quant\.gemm"):
            ENGINE.deployment(study, Config({"quant.gemm": value}))


@pytest.mark.parametrize("values", [{"quant.kv_cache": "fp8_e5m2"}, {"quant.gemm": "int3"}, {"quant.attention": "fp8"}])
def test_formats_that_there_are_not(values: dict[str, str]) -> None:
    with pytest.raises(StudyError, match=next(iter(values))):
        ENGINE.deployment(make_study(), Config(values))


# ── problems ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("args", "searched", "keys"),
    [
        ({"max_batch_size": 64}, [("kv_cache_config.dtype", "fp8"), ("env.X", "1")], []),
        ({"max_batchsize": 64}, [], ["engine.args.max_batchsize"]),
        ({"free_gpu_memory_fraction": 1.5}, [], ["engine.args.free_gpu_memory_fraction"]),
        ({"tensor_parallel_size": 2}, [], ["engine.args.tensor_parallel_size"]),
        ({}, [("moe_expert_parallel_size", 2)], ["space.parameters.moe_expert_parallel_size"]),
        ({"backend": "tensorrt"}, [], ["engine.args.backend"]),
        ({"config": "my.yaml"}, [], ["engine.args.config"]),
        ({}, [("scheduler_config.capacity_scheduler_policy", "NONE")],
         ["space.parameters.scheduler_config.capacity_scheduler_policy"]),
    ],
)  # fmt: skip
def test_problems_name_the_key(args: dict[str, Any], searched: list[tuple[str, object]], keys: list[str]) -> None:
    problems = ENGINE.problems(make_study(engine={"args": args}), searched)
    assert [problem.key for problem in problems] == keys


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("gpu-memory-utilization", "kv_cache_config.free_gpu_memory_fraction"),
        ("mem-fraction-static", "kv_cache_config.free_gpu_memory_fraction"),
        ("max-num-seqs", "max_batch_size"),
        ("max-num-batched-tokens", "max_num_tokens"),
        ("enable-prefix-caching", "kv_cache_config.enable_block_reuse"),
    ],
)
def test_flags_of_other_engines_are_told_with_their_name_here(theirs: str, ours: str) -> None:
    (problem,) = ENGINE.problems(make_study(engine={"args": {theirs: 1}}), [])
    assert problem.nearest == ours


def test_an_option_that_an_older_version_lacks_is_refused_for_it() -> None:
    args = {"kv_cache_config.tokens_per_block": 64}
    assert ENGINE.problems(make_study(engine={"args": args}), []) == []
    (problem,) = ENGINE.problems(make_study(engine={"version": OLD, "args": args}), [])
    assert OLD in problem.rule


def test_adapters_are_refused() -> None:
    study = make_study(workload={"scenario": "D(8,8)", "lora": {"adapters": {"poet": "/adapters/poet"}}})
    (problem,) = ENGINE.problems(study, [])
    assert (problem.key, problem.value, problem.fatal) == ("workload.lora", ["poet"], True)


def test_context_parallelism_is_told_to_be_a_prototype() -> None:
    study = make_study(space={"parallelism": {"tp": [1, 2], "cp": [1, 2]}})
    problems = study_problems(study, build_space(study))
    assert [(p.key, p.value, p.fatal) for p in problems] == [("space.parallelism.cp", 2, False)]


@pytest.mark.parametrize("version", [NEW, OLD])
def test_every_option_is_named_once_and_the_file_has_no_size(version: str) -> None:
    flags = load_catalogue("trtllm", version).flags
    sizes = {"max_batch_size", "max_num_tokens", "max_seq_len", "max_beam_width"}
    assert {name for name in sizes if flags[name].where.value == "cli"} == sizes
