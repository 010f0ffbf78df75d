"""SGLang: study and Config in, Deployment out."""

from __future__ import annotations

from typing import Any

import pytest

from autotuner.engines import (
    Address,
    Counter,
    Gauge,
    HttpCall,
    Probe,
    Ratio,
    SecretEnv,
    ServerMetric,
    VersionProbe,
    build_space,
    get_engine,
    load_catalogue,
    study_problems,
)
from autotuner.engines.deployment import Deployment
from autotuner.errors import StudyError
from autotuner.space.config import Config
from autotuner.study.model import Study

ENGINE = get_engine("sglang")
HERE = Address("10.0.0.7", 8080)
RANK0 = Address("10.0.0.1", 9222)
NEW, OLD = "0.5.23", "0.5.14"
OWN = (
    *("python3", "-m", "sglang.launch_server", "--model-path", "org/model", "--served-model-name", "model"),
    *("--host", "10.0.0.7", "--port", "8080"),
)


def make_study(**sections: Any) -> Study:
    return Study.model_validate(
        {
            "model": {"id": "org/model"},
            "workload": {"scenario": "D(8,8)"},
            **sections,
            "engine": {"name": "sglang", "version": NEW, **sections.get("engine", {})},
        }
    )


def old_study(**sections: Any) -> Study:
    return make_study(**sections, engine={"version": OLD})


def deploy(study: Study | None = None, /, **values: Any) -> Deployment:
    """One underscore stands for a dash, two for a dot."""
    names = {name: name.replace("__", ".") if "__" in name else name.replace("_", "-") for name in values}
    return ENGINE.deployment(study or make_study(), Config({names[name]: value for name, value in values.items()}))


def argvs(deployment: Deployment) -> list[tuple[str, ...]]:
    return [rank.bound_argv(HERE, RANK0, "/files") for rank in deployment.groups[0].ranks]


def added(study: Study | None = None, /, **values: Any) -> tuple[str, ...]:
    """What a Config adds to the words that every server has, but for its metrics."""
    (argv,) = argvs(deploy(study, **values))
    assert argv[: len(OWN)] == OWN
    return tuple(word for word in argv[len(OWN) :] if word != "--enable-metrics")


# ── argv ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("version", [OLD, NEW])
def test_the_default_is_the_servers_own_with_metrics(version: str) -> None:
    assert argvs(deploy(make_study(engine={"version": version}))) == [(*OWN, "--enable-metrics")]


def test_flags_are_written_as_the_parser_reads_them() -> None:
    study = make_study(engine={"args": {"context_length": 8192, "disable-radix-cache": True, "schedule-policy": None}})
    words = added(
        study,
        mem_fraction_static=0.85,
        enable_mixed_chunk=False,
        cuda_graph_bs_decode=[1, 2, 4],
        cuda_graph_config={"decode": {"backend": "full"}},
        enable_tf32_matmul=False,
    )
    assert words == (
        *("--context-length", "8192", "--cuda-graph-bs-decode", "1", "2", "4"),
        *("--cuda-graph-config", '{"decode":{"backend":"full"}}', "--disable-radix-cache"),
        *("--no-enable-tf32-matmul", "--mem-fraction-static", "0.85"),
    )


def test_metrics_can_be_left_out() -> None:
    deployment = deploy(make_study(engine={"args": {"enable-metrics": False}}))
    assert argvs(deployment) == [OWN]
    assert deployment.metrics is None


def test_environment_and_gpus_reach_the_rank() -> None:
    env = {"NCCL_DEBUG": "WARN", "HF_TOKEN": {"from_env": "MY_TOKEN"}}
    (rank,) = deploy(make_study(engine={"env": env}), tp=2, env__SGLANG_X="1").groups[0].ranks
    assert rank.bound_env(HERE, RANK0, "/f") == {
        "NCCL_DEBUG": "WARN",
        "HF_TOKEN": SecretEnv("MY_TOKEN"),
        "SGLANG_X": "1",
    }
    assert (rank.gpus, rank.cpus) == (2, 2)


def test_adapters_are_loaded_at_the_start_and_asked_for_beside_the_models_name() -> None:
    study = make_study(workload={"scenario": "D(8,8)", "lora": {"adapters": {"poet": "/a/poet", "b{x}": "org/b"}}})
    assert added(study) == ("--lora-paths", "poet=/a/poet", "b{x}=org/b")
    model = ENGINE.features(study, Config()).adapter_model.format(model="model", adapter="poet")
    assert model == "model:poet"


# ── parallelism ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("degrees", "words", "gpus"),
    [
        ({"tp": 4}, ("--tp-size", "4"), 4),
        ({"tp": 2, "pp": 2}, ("--pp-size", "2", "--tp-size", "2"), 4),
        ({"tp": 8, "ep": 8}, ("--ep-size", "8", "--tp-size", "8"), 8),
        ({"tp": 8, "dp": 4}, ("--attn-dp-size", "4", "--tp-size", "8"), 8),
        ({"tp": 8, "dcp": 2}, ("--dcp-size", "2", "--tp-size", "8"), 8),
    ],
)
def test_degrees_become_flags(degrees: dict[str, int], words: tuple[str, ...], gpus: int) -> None:
    assert added(None, **degrees) == words
    assert deploy(None, **degrees).gpus == gpus


def test_an_older_version_has_other_flags_for_attention_dp() -> None:
    assert added(old_study(), tp=4, dp=2) == ("--dp-size", "2", "--enable-dp-attention", "--tp-size", "4")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"tp": 4, "dp": 3}, "divides tp"),
        ({"dp": 2}, "divides tp"),
        ({"tp": 4, "ep": 3}, "divides tp"),
        ({"tp": 2, "moe_ep": 2}, "by ep alone"),
        ({"tp": 2, "moe_tp": 2}, "by ep alone"),
        ({"tp": 2, "cp": 2}, "attn-cp-size"),
        ({"tp": 4, "dp": 2, "dcp": 4}, "divides tp / dp"),
        ({"tp": 4, "dp": 2, "attn_cp_size": 4}, "divides tp / dp"),
        ({"tp": 4, "attn_cp_size": 4, "enable_prefill_cp": True}, "needs a cp-strategy"),
        ({"tp": 8, "moe_a2a_backend": "deepep"}, "as large as tp"),
        ({"tp": 8, "ep": 8, "dp": 4, "moe_a2a_backend": "flashinfer"}, "dp as large as tp"),
        ({"tp": 2, "pp": 2, "speculative_algorithm": "NGRAM"}, "SGLANG_ENABLE_PP_SPEC"),
        ({"enable_mixed_chunk": True, "speculative_algorithm": "NGRAM"}, "turns enable-mixed-chunk off"),
        ({"speculative_algorithm": "EAGLE", "speculative_eagle_topk": 4}, "need speculative-num-steps"),
        ({"enable_two_batch_overlap": True}, "needs a moe-a2a-backend"),
        ({"chunked_prefill_size": 2000, "page_size": 64}, "whole pages"),
        ({"tp": 4, "dp": 4, "chunked_prefill_size": 64, "page_size": 64}, "whole pages"),
        ({"enable_hierarchical_cache": True, "disable_radix_cache": True}, "prefix cache"),
        ({"disable_cuda_graph_padding": True, "enable_torch_compile": True}, "refused"),
        ({"enable_priority_scheduling": True, "schedule_policy": "lpm"}, "fcfs and lof"),
    ],
)
def test_what_the_server_would_refuse_is_refused_with_the_reason(values: dict[str, Any], said: str) -> None:
    degrees = {"tp", "dp", "ep", "moe_ep", "moe_tp", "cp", "dcp", "pp"}
    named = {name if name in degrees else name.replace("_", "-"): value for name, value in values.items()}
    with pytest.raises(StudyError, match=said):
        ENGINE.deployment(make_study(), Config(named))


@pytest.mark.parametrize(
    "values",
    [
        {"tp": 8, "ep": 8, "moe_a2a_backend": "deepep", "enable_two_batch_overlap": True},
        {"tp": 8, "ep": 8, "dp": 8, "moe_a2a_backend": "flashinfer"},
        {"tp": 8, "ep": 4, "moe_a2a_backend": "none"},
        {"tp": 8, "attn_cp_size": 8, "enable_prefill_cp": True, "cp_strategy": "zigzag"},
        {"tp": 8, "ep": 4, "moe_a2a_backend": None},
        {"chunked_prefill_size": -1, "page_size": 64},
        {"chunked_prefill_size": 4096},
        {"chunked_prefill_size": None, "page_size": 16},
        {"enable_mixed_chunk": True, "speculative_algorithm": "EAGLE"},
        {"pp": 2, "speculative_algorithm": None},
        {"speculative_algorithm": "EAGLE"},
        {"speculative_algorithm": "EAGLE", "speculative_eagle_topk": 4, "speculative_num_steps": 3},
        {"speculative_algorithm": "NGRAM", "speculative_num_draft_tokens": 8},
        {"enable_priority_scheduling": True},
        {"tp": 2, "dp": 2, "enable_two_batch_overlap": True},
    ],
)
def test_what_the_server_takes_is_started(values: dict[str, Any]) -> None:
    assert deploy(None, **values).gpus >= 1


@pytest.mark.parametrize(
    "values",
    [
        {"tp": 2, "dcp": 2},
        {"pp": 2, "speculative-algorithm": "EAGLE"},
        {"enable-mixed-chunk": True, "speculative-algorithm": "EAGLE"},
        {"attn-dp-size": 2},
        {"tp": 2, "dp": 2, "enable-two-batch-overlap": True},
    ],
)
def test_an_older_version_refuses_more(values: dict[str, Any]) -> None:
    with pytest.raises(StudyError):
        ENGINE.deployment(old_study(), Config(values))


@pytest.mark.parametrize(
    ("flag", "value", "degree"),
    [
        ("tp-size", 4, "tp"),
        ("tensor_parallel_size", 4, "tp"),
        ("pp-size", 2, "pp"),
        ("enable-dp-attention", True, "dp"),
        ("attn-dp-size", 2, "dp"),
        ("expert-parallel-size", 2, "ep"),
        ("dcp-size", 2, "dcp"),
    ],
)
def test_degrees_are_said_in_one_place(flag: str, value: object, degree: str) -> None:
    fixed = make_study(engine={"args": {flag: value}})
    told = [p for p in ENGINE.problems(fixed, []) if p.fatal]
    assert [p.key for p in told] == [f"engine.args.{flag}"]
    assert f"space.parallelism.{degree}" in told[0].rule
    searched = [p for p in ENGINE.problems(make_study(), [(flag, value)]) if p.fatal]
    assert [p.key for p in searched] == [f"space.parameters.{flag}"]
    with pytest.raises(StudyError):
        deploy(fixed)


def test_what_dp_means_here_is_told() -> None:
    study = make_study(space={"parallelism": {"tp": [4], "dp": [1, 2, 4]}})
    found = study_problems(study, build_space(study))
    assert [(p.key, p.value, p.fatal) for p in found] == [("space.parallelism.dp", 4, False)]


def test_a_name_with_a_colon_would_be_read_as_an_adapters() -> None:
    study = make_study(model={"id": "org/model", "served_name": "a:b"})
    assert [(p.key, p.fatal) for p in ENGINE.problems(study, [])] == [("model.served_name", True)]


# ── nodes ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("degrees", "per_node", "gpus"),
    [
        ({"tp": 8}, 8, [8]),
        ({"tp": 16}, 8, [8, 8]),
        ({"tp": 8, "pp": 2}, 8, [8, 8]),
        ({"tp": 4, "pp": 4}, 8, [8, 8]),
        ({"tp": 4, "pp": 3}, 8, [4, 4, 4]),  # not 6 and 6: a node has whole stages
        ({"tp": 8, "pp": 2}, 4, [4, 4, 4, 4]),
    ],
)
def test_a_large_server_has_a_rank_a_node(degrees: dict[str, int], per_node: int, gpus: list[int]) -> None:
    deployment = deploy(make_study(hardware={"gpus_per_node": per_node}), **degrees)
    assert [rank.gpus for rank in deployment.groups[0].ranks] == gpus
    for number, argv in enumerate(argvs(deployment)):
        words = ("--nnodes", str(len(gpus)), "--node-rank", str(number), "--dist-init-addr", "10.0.0.1:9222")
        assert argv[len(OWN) : len(OWN) + 6] == words if len(gpus) > 1 else "--nnodes" not in argv


# ── quantisation ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("formats", "words"),
    [
        ({"quant__gemm": "fp8"}, ("--quantization", "fp8")),
        ({"quant__gemm": "bfloat16"}, ("--dtype", "bfloat16")),
        ({"quant__kv_cache": "fp8"}, ("--kv-cache-dtype", "fp8_e4m3")),
        ({"quant__kv_cache": "fp8_e5m2"}, ("--kv-cache-dtype", "fp8_e5m2")),
        ({"quant__gemm": "fp8", "quant__moe": "fp8"}, ("--quantization", "fp8")),
    ],
)
@pytest.mark.parametrize("version", [OLD, NEW])
def test_formats_become_flags(version: str, formats: dict[str, str], words: tuple[str, ...]) -> None:
    assert added(make_study(engine={"version": version}), **formats) == words


@pytest.mark.parametrize(
    "formats",
    [
        {"quant__gemm": "awq"},  # another checkpoint, which is not named
        {"quant__gemm": "bfloat16", "quant__moe": "fp8"},  # one format for all weights
        {"quant__attention": "fp8"},
        {"quant__kv_cache": "int8"},
    ],
)
def test_formats_that_it_does_not_have_are_refused(formats: dict[str, str]) -> None:
    with pytest.raises(StudyError, match="quant"):
        deploy(None, **formats)


def test_a_mapped_format_is_told() -> None:
    study = make_study(space={"quantization": {"preset": ["default", "kv-cache-fp8"]}})
    (problem,) = study_problems(study, build_space(study))
    assert (problem.key, problem.nearest, problem.fatal) == ("space.quantization.preset", "fp8_e4m3", False)


# ── what it answers ───────────────────────────────────────────────────────────────────────────


def test_probes_and_cache_reset() -> None:
    deployment = deploy()
    assert deployment.ready == Probe("/health_generate")
    assert deployment.metrics == Probe("/metrics")
    assert deployment.version == VersionProbe("/server_info", "version")
    assert deployment.cache_reset == HttpCall("/flush_cache?timeout=5", "POST")
    assert deploy(disable_radix_cache=True).cache_reset is None


def test_its_metrics() -> None:
    assert ENGINE.server_metrics == {
        ServerMetric.KV_CACHE_USE: Gauge("sglang:token_usage"),
        ServerMetric.RUNNING: Gauge("sglang:num_running_reqs", where=(("priority", ""),)),
        ServerMetric.WAITING: Gauge("sglang:num_queue_reqs", where=(("priority", ""),)),
        ServerMetric.PREEMPTIONS: Counter("sglang:num_retracted_requests_total", from_first=True),
        ServerMetric.FINISHED: Counter("sglang:num_requests_total", from_first=True),
        ServerMetric.PREFIX_HIT_RATE: Ratio("sglang:cached_tokens_total", "sglang:prompt_tokens_total"),
    }


def test_the_package_is_asked_for_the_version_by_the_servers_own_python() -> None:
    asked = ENGINE.version_question.asked_of(("/venv/bin/python", "-m", "sglang.launch_server"))
    assert asked is not None
    assert asked[:2] == ("/venv/bin/python", "-c")
    assert ENGINE.version_question.asked_of(("/opt/start-sglang",)) is None


# ── catalogues ────────────────────────────────────────────────────────────────────────────────


def test_flags_that_came_and_went() -> None:
    old, new = load_catalogue("sglang", OLD), load_catalogue("sglang", NEW)
    assert (len(old.flags), len(new.flags)) == (420, 531)
    problem = new.problem("engine.args.x", "cuda-graph-max-bs", 64)
    assert problem is not None
    assert "sglang 0.5.14 has it" in problem.rule
    deprecated = old.problem("engine.args.x", "cuda-graph-max-bs", 64)
    assert deprecated is not None
    assert not deprecated.fatal
    assert "cuda-graph-max-bs-decode" in deprecated.rule


@pytest.mark.parametrize(
    ("version", "name", "value", "nearest"),
    [
        (NEW, "kv-cache-dtype", "fp4_e2m1", None),
        (OLD, "kv-cache-dtype", "nvfp4", None),
        (NEW, "kv-cache-dtype", "fp8_e4m4", "fp8_e4m3"),
        (NEW, "schedule-policy", "fcsf", "fcfs"),
        (NEW, "mem-fraction-static", 1.2, "1"),
        (NEW, "gpu-memory-utilization", 0.9, "mem-fraction-static"),
        (NEW, "max-num-seqs", 64, "max-running-requests"),
        (NEW, "host", "0.0.0.0", None),
    ],
)
def test_what_is_wrong_is_said_with_the_nearest(version: str, name: str, value: object, nearest: str | None) -> None:
    problem = load_catalogue("sglang", version).problem("engine.args.x", name, value)
    assert problem is not None
    assert problem.fatal
    assert nearest is None or problem.nearest == nearest
