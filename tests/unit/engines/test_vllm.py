"""vLLM: study and Config in, argv and environment out; logs in, Failures out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autotuner.engines import Address, SecretEnv, build_space, get_engine, load_catalogue, study_problems
from autotuner.engines.deployment import Deployment
from autotuner.engines.server_metrics import Counter, Gauge, Ratio, ServerMetric
from autotuner.errors import Failure, StudyError
from autotuner.space.config import Config
from autotuner.space.parallelism import Parallelism
from autotuner.study.model import Study

ENGINE = get_engine("vllm")
OWN, RANK0 = Address("10.0.0.7", 8111), Address("10.0.0.1", 9222)
LOGS = Path(__file__).parent / "engine_logs" / "vllm"


def make_study(**sections: Any) -> Study:
    return Study.model_validate(
        {
            "model": {"id": "org/model"},
            "workload": {"scenario": "D(8,8)"},
            **sections,
            "engine": {"name": "vllm", "version": "0.32.0", **sections.get("engine", {})},
        }
    )


def deploy(study: Study | None = None, /, **values: Any) -> Deployment:
    """Two underscores stand for a dot."""
    config = Config({name.replace("__", "."): value for name, value in values.items()})
    return ENGINE.deployment(study or make_study(), config)


def argv_of(deployment: Deployment, rank: int = 0) -> tuple[str, ...]:
    return deployment.groups[0].ranks[rank].bound_argv(OWN, RANK0, "/files")


def own_words(deployment: Deployment, rank: int = 0) -> list[str]:
    """What is written beside model, name and address."""
    words = list(argv_of(deployment, rank)[5:])
    return words[4:] if rank == 0 else words


# ── argv and environment ──────────────────────────────────────────────────────────────────────


def test_the_default_is_the_model_by_its_name_at_its_address() -> None:
    deployment = deploy()
    assert argv_of(deployment) == (
        *("vllm", "serve", "org/model", "--served-model-name", "model", "--host", "10.0.0.7", "--port", "8111"),
    )
    assert (deployment.gpus, deployment.cpus) == (1, 3)
    assert deployment.metrics is not None
    assert deployment.metrics.path == "/metrics"


def test_flags_are_written_as_the_parser_takes_them() -> None:
    study = make_study(engine={"args": {"max_model_len": 4096, "dtype": "bfloat16"}})
    speculation = {"method": "ngram", "num_speculative_tokens": 3}
    deployment = deploy(
        study,
        **{
            "max-num-seqs": 64,
            "enable-prefix-caching": False,
            "enforce-eager": True,
            "gpu-memory-utilization": 0.9,
            "speculative-config": speculation,
            "cudagraph-capture-sizes": [1, 2, 4],
            "block-size": None,
        },
    )
    assert own_words(deployment) == [
        *("--cudagraph-capture-sizes", "1", "2", "4", "--dtype", "bfloat16", "--no-enable-prefix-caching"),
        *("--enforce-eager", "--gpu-memory-utilization", "0.9", "--max-model-len", "4096", "--max-num-seqs", "64"),
        *("--speculative-config", '{"method":"ngram","num_speculative_tokens":3}'),
    ]


def test_the_prefix_cache_can_be_emptied_while_a_server_is_measured() -> None:
    deployment = deploy()
    (rank,) = deployment.groups[0].ranks
    assert rank.measuring_env == {"VLLM_SERVER_DEV_MODE": "1"}
    assert rank.env == {}  # the endpoints that this opens are not for a deployed server
    assert deployment.cache_reset is not None
    assert (deployment.cache_reset.method, deployment.cache_reset.path) == ("POST", "/reset_prefix_cache")
    forbidden = deploy(make_study(engine={"env": {"VLLM_SERVER_DEV_MODE": "0"}}))
    assert forbidden.groups[0].ranks[0].env == {"VLLM_SERVER_DEV_MODE": "0"}
    assert forbidden.cache_reset is None


def test_secrets_stay_names_of_variables() -> None:
    deployment = deploy(make_study(engine={"env": {"HF_TOKEN": {"from_env": "MY_TOKEN"}}}))
    assert deployment.groups[0].ranks[0].env["HF_TOKEN"] == SecretEnv("MY_TOKEN")
    (problem,) = ENGINE.problems(make_study(engine={"args": {"hf-token": "hf_x"}}), [])
    assert "secret" in problem.rule


def test_a_server_that_keeps_no_statistics_has_no_metrics() -> None:
    assert deploy(make_study(engine={"args": {"disable-log-stats": True}})).metrics is None


def test_cores_are_those_of_the_study_or_what_its_processes_keep_busy() -> None:
    assert deploy(tp=4).cpus == 6
    assert deploy(make_study(hardware={"server_cpus": 2}), tp=4).cpus == 2
    assert deploy(make_study(hardware={"gpus_per_server": 0})).cpus == 1


def test_the_metrics_of_the_server() -> None:
    assert ENGINE.server_metrics == {
        ServerMetric.KV_CACHE_USE: Gauge("vllm:kv_cache_usage_perc"),
        ServerMetric.RUNNING: Gauge("vllm:num_requests_running"),
        ServerMetric.WAITING: Gauge("vllm:num_requests_waiting"),
        ServerMetric.PREEMPTIONS: Counter("vllm:num_preemptions_total"),
        ServerMetric.FINISHED: Counter("vllm:request_success_total"),
        ServerMetric.PREFIX_HIT_RATE: Ratio("vllm:prefix_cache_hits_total", "vllm:prefix_cache_queries_total"),
    }


# ── adapters ──────────────────────────────────────────────────────────────────────────────────


def with_adapters(adapters: dict[str, str], **sections: Any) -> Study:
    return make_study(workload={"scenario": "D(8,8)", "lora": {"adapters": adapters}}, **sections)


def test_adapters_are_served_under_their_names() -> None:
    words = own_words(deploy(with_adapters({"poet": "/a/poet", "lawyer": "org/lawyer"})))
    assert words == ["--enable-lora", "--lora-modules", "poet=/a/poet", "lawyer=org/lawyer"]


def test_an_adapter_with_an_equals_sign_is_written_as_json() -> None:
    words = own_words(deploy(with_adapters({"poet": "/runs/lr=1e-4"})))
    assert json.loads(words[-1]) == {"name": "poet", "path": "/runs/lr=1e-4"}


def test_adapters_without_lora_are_refused() -> None:
    study = with_adapters({"poet": "/a/poet"}, engine={"args": {"enable-lora": False}})
    (problem,) = ENGINE.problems(study, [])
    assert (problem.key, problem.fatal) == ("engine.args.enable-lora", True)


# ── parallelism ───────────────────────────────────────────────────────────────────────────────


def test_degrees_become_flags_and_workers_stay_out_of_ray() -> None:
    assert own_words(deploy(tp=4, pp=2)) == [
        *("--distributed-executor-backend", "mp", "--pipeline-parallel-size", "2", "--tensor-parallel-size", "4"),
    ]
    assert "--distributed-executor-backend" not in argv_of(deploy(tp=1))
    with pytest.raises(StudyError, match="Ray's executor"):
        deploy(make_study(engine={"args": {"distributed-executor-backend": "ray"}}), tp=2)


def test_experts_are_spread_over_tp_times_dp() -> None:
    words = own_words(deploy(tp=2, dp=4, ep=8))
    assert "--enable-expert-parallel" in words
    assert words[words.index("--data-parallel-size") + 1] == "4"
    assert ENGINE.gpus(Parallelism(tp=2, dp=4, ep=8)) == 8
    with pytest.raises(StudyError, match=r"all of tp \* dp"):
        deploy(tp=2, dp=4, ep=4)


def test_decode_context_parallelism_takes_no_gpus_of_its_own() -> None:
    words = own_words(deploy(tp=8, dcp=4))
    assert words[words.index("--decode-context-parallel-size") + 1] == "4"
    assert deploy(tp=8, dcp=4).gpus == 8
    with pytest.raises(StudyError, match="must divide tp"):
        deploy(tp=8, dcp=3)


@pytest.mark.parametrize(("version", "possible"), [("0.24.0", set()), ("0.27.0", {1}), ("0.32.0", {1, 2})])
def test_prefill_context_parallelism_grew_with_the_versions(version: str, possible: set[int]) -> None:
    study = make_study(engine={"version": version})
    for dp in (1, 2):
        if dp in possible:
            assert deploy(study, cp=2, dp=dp).gpus == 2 * dp
        else:
            with pytest.raises(StudyError, match="context parallelism"):
                deploy(study, cp=2, dp=dp)


def test_prefill_context_parallelism_spans_nodes_since_0_32() -> None:
    ranks = deploy(tp=8, cp=2).groups[0].ranks
    assert [rank.gpus for rank in ranks] == [8, 8]
    with pytest.raises(StudyError, match="stays on one node"):
        deploy(make_study(engine={"version": "0.27.0"}), tp=8, cp=2)
    assert len(deploy(tp=4, cp=4, dp=2).groups[0].ranks) == 4  # a replica on two nodes
    with pytest.raises(StudyError, match="full nodes"):
        deploy(tp=4, cp=3, dp=2)  # a replica of 12 GPUs: one and a half nodes


def test_a_server_larger_than_a_node_has_one_http_server_and_headless_ranks() -> None:
    deployment = deploy(tp=8, pp=2)
    meeting = ["--nnodes", "2", "--master-addr", "10.0.0.1", "--master-port", "9222"]
    first, second = own_words(deployment, 0), own_words(deployment, 1)
    assert set(meeting) <= set(first) & set(second)
    assert first[first.index("--node-rank") + 1] == "0"
    assert second[second.index("--node-rank") + 1] == "1"
    assert "--headless" in second
    assert not {"--headless"} & set(first)
    assert not {"--host", "--port"} & set(second)
    assert [rank.gpus for rank in deployment.groups[0].ranks] == [8, 8]


def test_replicas_over_nodes_fill_whole_nodes() -> None:
    assert len(deploy(tp=4, dp=4).groups[0].ranks) == 2  # two replicas a node
    assert len(deploy(tp=8, pp=2, dp=2).groups[0].ranks) == 4  # a replica on two nodes
    with pytest.raises(StudyError, match="full nodes"):
        deploy(tp=4, dp=3)  # 12 GPUs: one and a half replicas a node


# ── formats ───────────────────────────────────────────────────────────────────────────────────


def test_weights_quantised_at_load() -> None:
    assert own_words(deploy(quant__gemm="fp8")) == ["--quantization", "fp8_per_tensor"]
    assert own_words(deploy(quant__gemm="bfloat16", quant__kv_cache="bfloat16")) == [
        *("--dtype", "bfloat16", "--kv-cache-dtype", "bfloat16"),
    ]


def test_experts_alone_are_quantised_by_a_map_that_needs_a_name() -> None:
    assert own_words(deploy(quant__moe="fp8")) == [
        *("--quantization", "online", "--quantization-config", '{"moe":"fp8_per_tensor"}'),
    ]
    assert own_words(deploy(quant__gemm="fp8_block", quant__moe="fp8")) == [
        *("--quantization", "fp8_per_block", "--quantization-config", '{"moe":"fp8_per_tensor"}'),
    ]


def test_experts_of_a_quantised_checkpoint_stay_as_they_are() -> None:
    study = make_study(model={"id": "org/model", "variants": {"awq": "org/model-awq"}})
    assert argv_of(deploy(study, quant__gemm="awq"))[2] == "org/model-awq"
    with pytest.raises(StudyError, match=r"quant.moe: 'fp8': the experts of a checkpoint of model.variants have"):
        deploy(study, quant__gemm="awq", quant__moe="fp8")


def test_a_nearest_format_is_told() -> None:
    study = make_study(space={"quantization": {"kv_cache": ["auto", "int8"]}})
    (problem,) = study_problems(study, build_space(study))
    assert (problem.value, problem.nearest, problem.fatal) == ("int8", "int8_per_token_head", False)


# ── rules and catalogues ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ({"max-num-batched-tokens": 32, "max-num-seqs": 64}, "as many as its requests"),
        ({"enable-chunked-prefill": False, "max-num-batched-tokens": 512, "max-model-len": 1024}, "chunked prefill"),
        ({"long-prefill-token-threshold": 2048, "max-model-len": 1024}, "max-model-len at most"),
        ({"max-loras": 4, "max-cpu-loras": 2}, "max-loras at least"),
        ({"enable-eplb": True}, "needs expert parallelism"),
    ],
)
def test_what_the_server_would_refuse_is_refused_before(flags: dict[str, Any], reason: str) -> None:
    with pytest.raises(StudyError, match=reason):
        deploy(**flags)


def test_flags_that_have_no_number_break_no_rule() -> None:
    assert own_words(deploy(**{"max-num-seqs": 64, "enable-chunked-prefill": False}))
    for fitted in (-1, "auto"):  # the longest that memory has room for
        assert own_words(deploy(**{"max-model-len": fitted, "long-prefill-token-threshold": 512}))


@pytest.mark.parametrize(
    ("name", "nearest", "told"),
    [
        ("mem-fraction-static", "gpu-memory-utilization", "sglang's, and"),
        ("max-num-partial-prefills", None, "vllm 0.24.0 has it"),
        ("max-num-seq", "max-num-seqs", "no flag of vllm 0.32.0"),
    ],
)
def test_an_unknown_flag_is_told_with_what_is_meant(name: str, nearest: str | None, told: str) -> None:
    (problem,) = ENGINE.problems(make_study(engine={"args": {name: 1}}), [])
    assert told in problem.rule
    assert nearest in (None, problem.nearest)


@pytest.mark.parametrize(
    ("flag", "value", "nearest"),
    [
        ("kv-cache-dtype", "fp8_e4m", "fp8_e4m3"),
        ("gpu-memory-utilization", 92, "0.92"),
        ("max-num-seqs", 0, "1"),
        ("attention-backend", "flashinfer", "FLASHINFER"),
    ],
)
def test_a_wrong_value_is_told_with_the_nearest(flag: str, value: object, nearest: str) -> None:
    (problem,) = ENGINE.problems(make_study(engine={"args": {flag: value}}), [])
    assert (problem.fatal, problem.nearest) == (True, nearest)


def test_deprecated_flags_are_told() -> None:
    study = make_study(engine={"args": {"disable-cascade-attn": True}})
    (problem,) = ENGINE.problems(study, [])
    assert not problem.fatal
    assert "v0.33.0" in problem.rule


def test_versions_differ_as_their_parsers_do() -> None:
    old, new = load_catalogue("vllm", "0.27.0"), load_catalogue("vllm", "0.32.0")
    assert "calculate-kv-scales" in old.flags
    assert "calculate-kv-scales" not in new.flags
    assert "max-num-active-seqs" in new.flags
    assert new.flags["gpu-memory-utilization"].default == 0.92
    assert "nvfp4_4over6" in new.flags["kv-cache-dtype"].choices
    assert "nvfp4_4over6" not in old.flags["kv-cache-dtype"].choices


# ── failures ──────────────────────────────────────────────────────────────────────────────────

NO_MEMORY, INVALID = Failure.OUT_OF_MEMORY_AT_START, Failure.INVALID_CONFIG
DIAGNOSES = {
    "attention_backend_not_valid": (INVALID, "ROCM_ATTN is not valid"),
    "experts_of_a_dense_model": (INVALID, "Number of experts"),
    "fewer_tokens_than_requests": (INVALID, "max_num_batched_tokens (32)"),
    "heads_not_divisible": (INVALID, "must be divisible by tensor parallel size"),
    "incomplete_speculation": (INVALID, "num_speculative_tokens must be provided"),
    "less_free_than_asked_for": (NO_MEMORY, "Free memory on device (7.34/139.72 GiB)"),
    "longer_than_positions": (INVALID, "max_model_len (65536) is greater"),
    "missing_adapter": (INVALID, "No adapter found for /srv/noadapter"),
    "missing_folder": (INVALID, "'/srv/nowhere'"),
    "missing_on_hub": (INVALID, "Cannot find an appropriate cached snapshot"),
    "model_not_on_hub": (INVALID, "not a valid model identifier"),
    "more_kv_ranks_than_heads": (INVALID, "total number of KV heads (2)"),
    "nccl_error": (Failure.INFRASTRUCTURE, "NCCL error: unhandled cuda error"),
    "nccl_timeout": (Failure.INFRASTRUCTURE, "Watchdog caught collective operation timeout"),
    "no_attention_backend": (INVALID, "No valid attention backend"),
    "no_memory_for_sampler": (NO_MEMORY, "warming up sampler with 256"),
    "no_memory_for_weights": (NO_MEMORY, "Tried to allocate 350.00 MiB"),
    "no_memory_then_nccl": (NO_MEMORY, "out of memory"),
    "no_memory_under_load": (NO_MEMORY, "Tried to allocate 50.00 MiB"),
    "no_room_for_cache_blocks": (NO_MEMORY, "No available memory for the cache blocks"),
    "no_room_for_longest_request": (NO_MEMORY, "max seq len (262144)"),
    "no_room_for_one_request": (NO_MEMORY, "max seq len (1024)"),
    "node_not_reached": (Failure.INFRASTRUCTURE, "client socket has timed out"),
    "nodes_do_not_meet": (Failure.INFRASTRUCTURE, "wait timeout after 1800000ms"),
    "offline_format_without_checkpoint": (INVALID, "Cannot find the config file for awq"),
    "port_taken": (Failure.INFRASTRUCTURE, "Address already in use"),
    "unknown_flag": (INVALID, "unrecognized arguments: --no-such-flag 3"),
    "unknown_value": (INVALID, "argument --kv-cache-dtype: invalid choice: 'fp3'"),
    "worker_hangs": (Failure.HANG, "RPC call to execute_model timed out"),
}


def test_every_log_has_its_diagnosis() -> None:
    assert {file.stem for file in LOGS.glob("*.log")} == {*DIAGNOSES, "stopped_while_healthy"}


@pytest.mark.parametrize("name", sorted(DIAGNOSES))
def test_a_log_tells_the_failure_and_the_line_that_says_so(name: str) -> None:
    failure, words = DIAGNOSES[name]
    report = ENGINE.diagnose(1, (LOGS / f"{name}.log").read_text(encoding="utf-8"))
    assert report.failure is failure
    assert words in report.message


def test_a_message_is_without_the_loggers_words() -> None:
    report = ENGINE.diagnose(1, (LOGS / "no_room_for_one_request.log").read_text(encoding="utf-8"))
    assert report.message.startswith("ValueError: To serve at least one request")
    report = ENGINE.diagnose(1, (LOGS / "heads_not_divisible.log").read_text(encoding="utf-8"))
    assert report.message.endswith("tensor parallel size (4).")


def test_the_words_of_a_healthy_server_are_no_failure() -> None:
    log = (LOGS / "stopped_while_healthy.log").read_text(encoding="utf-8")
    assert ENGINE.diagnose(None, log).failure is Failure.HANG
    assert ENGINE.diagnose(-9, log).failure is Failure.CRASH
