"""llama.cpp: study and Config in, Deployment out; logs in, Failures out."""

from __future__ import annotations

from typing import Any

import pytest

from autotuner.engines import Address, SecretEnv, engine_names, get_engine
from autotuner.errors import Failure, StudyError
from autotuner.space.config import Config
from autotuner.study.model import Study

ENGINE = get_engine("llamacpp")
HERE = Address("127.0.0.1", 8080)


def make_study(**sections: Any) -> Study:
    return Study.model_validate(
        {
            "model": {"id": "models/tiny.gguf", "served_name": "tiny"},
            "workload": {"scenario": "D(8,8)"},
            **sections,
            "engine": {"name": "llamacpp", **sections.get("engine", {})},
        }
    )


def argv_of(study: Study, **values: Any) -> tuple[str, ...]:
    deployment = ENGINE.deployment(study, Config({name.replace("_", "-"): value for name, value in values.items()}))
    return deployment.groups[0].ranks[0].bound_argv(HERE, HERE, "/files")


def test_the_default_takes_one_thread_and_tells_its_metrics() -> None:
    assert argv_of(make_study()) == (
        *("llama-server", "--model", "models/tiny.gguf", "--alias", "tiny"),
        *("--host", "127.0.0.1", "--port", "8080", "--metrics", "--threads", "1"),
    )
    silent = ENGINE.deployment(make_study(engine={"args": {"metrics": False}}), Config({}))
    assert silent.metrics is None
    assert "--metrics" not in silent.groups[0].ranks[0].argv


def test_a_config_overrides_the_common_flags_and_null_leaves_one_out() -> None:
    study = make_study(engine={"args": {"c": 4096, "parallel": 2, "metrics": True}})
    argv = argv_of(study, ctx_size=8192, cont_batching=False, parallel=None)
    assert argv[9:] == ("--no-cont-batching", "--ctx-size", "8192", "--metrics", "--threads", "1")


def test_the_engines_command_replaces_the_executable() -> None:
    study = make_study(engine={"command": ["numactl", "-m", "0", "/opt/{x}/llama-server"]})
    assert argv_of(study)[:5] == ("numactl", "-m", "0", "/opt/{x}/llama-server", "--model")


def test_braces_in_names_are_left_as_they_are() -> None:
    study = make_study(
        model={"id": "a{port}b.gguf", "served_name": "{x}"}, engine={"args": {"chat-template": "{{ m }}"}}
    )
    argv = argv_of(study)
    assert argv[argv.index("--model") + 1] == "a{port}b.gguf"
    assert argv[argv.index("--alias") + 1] == "{x}"
    assert argv[argv.index("--chat-template") + 1] == "{{ m }}"


@pytest.mark.parametrize(
    ("server_cpus", "flags", "cpus", "threads"),
    [
        (None, {}, 1, "1"),
        (None, {"threads": 3}, 3, "3"),
        (None, {"threads": 2, "threads-batch": 4}, 4, "2"),
        (6, {}, 6, "6"),
        (6, {"threads": 2}, 6, "2"),
    ],
)
def test_a_server_gets_the_cores_its_threads_need(
    server_cpus: int | None, flags: dict[str, int], cpus: int, threads: str
) -> None:
    study = make_study(hardware={"server_cpus": server_cpus})
    rank = ENGINE.deployment(study, Config(flags)).groups[0].ranks[0]
    assert rank.cpus == cpus
    assert rank.argv[rank.argv.index("--threads") + 1] == threads


def test_gpus_environment_and_names_reach_the_deployment() -> None:
    study = make_study(
        hardware={"gpus_per_server": 2},
        engine={"env": {"PLAIN": "{a}", "TOKEN": {"from_env": "MY_TOKEN"}}, "args": {"metrics": True}},
    )
    deployment = ENGINE.deployment(study, Config({"env.GGML_X": "1", "env.GONE": None}))
    assert deployment.gpus == 2
    assert deployment.served_name == "tiny"
    assert deployment.metrics is not None
    env = deployment.groups[0].ranks[0].bound_env(HERE, HERE, "/files")
    assert env == {"PLAIN": "{a}", "TOKEN": SecretEnv("MY_TOKEN"), "GGML_X": "1"}


def test_the_served_name_is_the_ids_last_part_by_default() -> None:
    assert ENGINE.deployment(make_study(model={"id": "/m/x.gguf"}), Config()).served_name == "x.gguf"


@pytest.mark.parametrize(
    "values", [{"uabtch-size": 3}, {"threads": "two"}, {"port": 1}, {"dp": 2}, {"quant.gemm": "fp8"}]
)
def test_what_can_not_be_rendered_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(StudyError, match=next(iter(values))):
        ENGINE.deployment(make_study(), Config(values))


@pytest.mark.parametrize(
    ("args", "searched", "keys"),
    [
        ({"threads": 1}, [("parallel", 2), ("flash-attn", "on"), ("env.X", "1")], []),
        ({"thread": 1}, [], ["engine.args.thread"]),
        ({}, [("batch-size", 0), ("batch-size", 32)], ["space.parameters.batch-size"]),
        ({}, [("env.X", 1)], ["space.parameters.env.X"]),
        ({"batch-size": 32, "b": 64}, [], ["engine.args.b"]),
        ({"batch-size": 32}, [("b", 64)], ["space.parameters.b"]),
        ({}, [("b", 64), ("batch-size", 32)], ["space.parameters.batch-size"]),
        ({"flash-attn": False, "cache-type-v": "q4_0"}, [], ["engine.args.cache-type-v"]),
        ({"flash-attn": "off", "cache-type-v": "f16"}, [], []),
        ({"parallel": 8, "ctx-size": 4}, [], ["engine.args.ctx-size"]),
    ],
)
def test_problems_name_the_key(args: dict[str, Any], searched: list[tuple[str, object]], keys: list[str]) -> None:
    problems = ENGINE.problems(make_study(engine={"args": args}), searched)
    assert [problem.key for problem in problems] == keys
    assert all(problem.fatal for problem in problems)


def test_the_api_can_force_prompt_and_output_length() -> None:
    features = ENGINE.features(make_study(), Config({"cache-prompt": False}))
    assert features.token_ids
    assert features.ignore_eos
    assert features.extra_body == ()


def test_an_unknown_engine_names_the_nearest() -> None:
    assert "llamacpp" in engine_names()
    with pytest.raises(StudyError, match="llamacpp") as caught:
        get_engine("llama.cpp")
    assert caught.value.nearest == "llamacpp"


# As the server wrote them, started with what the first column says.
LOGS = [
    (
        "a flag that it does not have",
        2,
        Failure.INVALID_CONFIG,
        "error: invalid argument: --foo",
        "error: invalid argument: --foo\n",
    ),
    (
        "an ill-typed value",
        2,
        Failure.INVALID_CONFIG,
        "invalid int value",
        "error: argument --threads/-t: invalid int value: 'abc'\n",
    ),
    (
        "no such model",
        1,
        Failure.INVALID_CONFIG,
        "No such file",
        "0.00.003.649 I srv    load_model: loading model '/m.gguf'\n"
        "0.00.003.814 E gguf_init_from_file: failed to open GGUF file '/m.gguf' (No such file or directory)\n"
        "0.00.003.994 E srv    load_model: failed to load model, '/m.gguf'\n"
        "0.00.004.387 E srv          init: exiting due to model loading error\n"
        "error: Failed to init server, please check the input params.\n",
    ),
    (
        "a cut model",
        1,
        Failure.INVALID_CONFIG,
        "corrupted or incomplete",
        "0.00.003.875 E llama_model_load: error loading model: tensor 'blk.0.ffn_up.weight' data is not within the "
        "file bounds, model is corrupted or incomplete\n"
        "0.00.003.891 E llama_model_load_from_file_impl: failed to load model\n"
        "error: Failed to init server, please check the input params.\n",
    ),
    (
        "a quantised V cache without flash attention",
        1,
        Failure.INVALID_CONFIG,
        "requires flash_attn",
        "0.00.005.949 E llama_init_from_model: quantized V cache requires flash_attn to be enabled\n"
        "0.00.007.218 E cmn  common_init_: failed to create context with model '/m.gguf'\n"
        "error: Failed to init server, please check the input params.\n",
    ),
    (
        "more context than memory",
        1,
        Failure.OUT_OF_MEMORY_AT_START,
        "insufficient memory",
        "0.00.058.088 E ggml_aligned_malloc: insufficient memory (attempted to allocate 3907.00 MB)\n"
        "0.00.058.130 E ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 4096786432\n"
        "0.00.058.249 E llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv "
        "cache\n"
        "0.00.058.271 E cmn  common_init_: failed to create context with model '/m.gguf'\n"
        "error: Failed to init server, please check the input params.\n",
    ),
    (
        "far more context than memory",
        1,
        Failure.OUT_OF_MEMORY_AT_START,
        "std::bad_alloc",
        "0.48.964.686 E llama_init_from_model: failed to initialize the context: std::bad_alloc\n"
        "1.02.094.516 E cmn  common_init_: failed to create context with model '/m.gguf'\n",
    ),
    (
        "a port that another listens on",
        1,
        Failure.INFRASTRUCTURE,
        "couldn't bind",
        "0.00.002.278 E srv         start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 18130\n"
        "0.00.002.383 E srv          init: exiting due to HTTP server error\n"
        "error: Failed to init server, please check the input params.\n",
    ),
    (
        "an abort",
        -6,
        Failure.CRASH,
        "SIGABRT",
        "terminate called after throwing an instance of 'std::system_error'\n"
        "  what():  Resource temporarily unavailable\n",
    ),
    ("a kill", -9, Failure.CRASH, "SIGKILL", "0.00.024.119 I srv          init: listening on http://127.0.0.1:1\n"),
    ("an end that nobody asked for", 0, Failure.CRASH, "exit code 0", ""),
    ("no answer", None, Failure.HANG, "does not answer", "0.00.024.119 I srv          init: model loaded\n"),
]


@pytest.mark.parametrize(("case", "exit_code", "failure", "said", "log"), LOGS, ids=[case[0] for case in LOGS])
def test_failures_are_told_apart(case: str, exit_code: int | None, failure: Failure, said: str, log: str) -> None:
    report = ENGINE.diagnose(exit_code, log)
    assert report.failure is failure
    assert said in report.message
