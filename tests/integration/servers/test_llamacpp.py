"""llama.cpp, really started: what the engine renders is what the server takes, and how it fails."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import pytest
import xllamacpp

from autotuner.engines import Flag, catalogue_versions, get_engine, load_catalogue
from autotuner.errors import Failure, LaunchError
from autotuner.servers import LaunchRequest, RunningServer, make_launcher, resolve_argv
from autotuner.servers.llamacpp_server import make_params, parse_the_rest
from autotuner.space.config import Config
from autotuner.study.model import Study

SERVER = Path(__file__).parents[3] / "autotuner" / "servers" / "llamacpp_server.py"
ENGINE = get_engine("llamacpp")

Start = Callable[..., RunningServer]


@pytest.fixture
def start(tmp_path: Path, tiny_model: Path, mark: str, own_locks: Path) -> Start:
    """Starts the tiny model with flags; `command` replaces the executable, `model` the model."""

    def started(
        flags: dict[str, Any] | None = None, model: Path = tiny_model, command: tuple[str, ...] = ()
    ) -> RunningServer:
        study = Study.model_validate(
            {
                "model": {"id": str(model), "served_name": "tiny"},
                "engine": {"name": "llamacpp", "args": {"ctx-size": 1024, "parallel": 2}, "command": list(command)},
                "workload": {"scenario": "D(8,8)"},
            }
        )
        request = LaunchRequest(
            deployment=ENGINE.deployment(study, Config(flags or {})),
            launch_id=mark,
            log_dir=tmp_path / "logs",
            work_dir=tmp_path / "work",
            tags={},
            start_timeout_s=60,
        )
        return make_launcher(study).launch(request, ENGINE.diagnose)

    return started


def ask(server: RunningServer, path: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.urls[0] + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def test_it_serves_completions_and_chat_of_forced_lengths(start: Start) -> None:
    with start() as server:
        asked = {"max_tokens": 9, "ignore_eos": True}
        completion = ask(server, "/v1/completions", {"prompt": list(range(3, 40)), **asked})
        assert completion["usage"]["prompt_tokens"] == 37
        assert completion["usage"]["completion_tokens"] == 9
        assert completion["model"] == "tiny"
        chat = ask(server, "/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}], **asked})
        assert chat["usage"]["completion_tokens"] == 9
        assert server.engine_version
    assert server.exit_code() == 0


def test_flags_reach_the_engine(start: Start) -> None:
    flags = {"parallel": 4, "ctx-size": 2048, "cache-prompt": False, "metrics": True, "kv-unified": False}
    with start(flags) as server:
        slots = ask(server, "/slots")
        assert len(slots) == 4
        assert {slot["n_ctx"] for slot in slots} == {512}
        body = {"prompt": list(range(3, 200)), "max_tokens": 1}
        ask(server, "/v1/completions", body)
        again = ask(server, "/v1/completions", body)
        assert again["timings"]["cache_n"] == 0
        with urllib.request.urlopen(server.urls[0] + "/metrics", timeout=10) as answer:
            assert b"llamacpp" in answer.read()


@pytest.mark.parametrize(("flags", "speculates"), [({}, False), ({"spec-type": "ngram-simple"}, True)])
def test_flags_that_llama_cpp_reads_itself_reach_the_engine(
    start: Start, flags: dict[str, Any], speculates: bool
) -> None:
    with start(flags) as server:
        assert {slot["speculative"] for slot in ask(server, "/slots")} == {speculates}
        assert ask(server, "/v1/completions", {"prompt": "abcabcabc", "max_tokens": 9})["usage"]["completion_tokens"]


def test_the_prompt_cache_is_on_by_default(start: Start) -> None:
    with start({"parallel": 1}) as server:
        body = {"prompt": list(range(3, 200)), "max_tokens": 1}
        ask(server, "/v1/completions", body)
        assert ask(server, "/v1/completions", body)["timings"]["cache_n"] > 100


def test_a_missing_model_is_an_invalid_config(start: Start, tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="No such file") as caught:
        start(model=tmp_path / "none.gguf")
    assert caught.value.failure is Failure.INVALID_CONFIG
    assert "failed to load model" in caught.value.log_tail


def test_a_cut_model_is_an_invalid_config(start: Start, tmp_path: Path, tiny_model: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(tiny_model.read_bytes()[:1_000_000])
    with pytest.raises(LaunchError, match="corrupted or incomplete") as caught:
        start(model=cut)
    assert caught.value.failure is Failure.INVALID_CONFIG


def test_flags_that_exclude_each_other_are_an_invalid_config(start: Start) -> None:
    with pytest.raises(LaunchError, match="requires flash_attn") as caught:
        start({"flash-attn": "off", "cache-type-v": "q4_0"})
    assert caught.value.failure is Failure.INVALID_CONFIG


def test_tensors_can_be_placed(start: Start) -> None:
    """A model without experts has nothing that the first two would move."""
    with start({"n-cpu-moe": 2, "cpu-moe": True, "override-tensor": "token_embd=CPU"}) as server:
        assert ask(server, "/v1/completions", {"prompt": [3], "max_tokens": 1})["usage"]["completion_tokens"] == 1
    with pytest.raises(LaunchError, match="unknown buffer type"):
        start({"override-tensor": "token_embd=Nowhere"})


def test_no_room_for_the_kv_cache_is_out_of_memory(start: Start) -> None:
    limited = ("prlimit", "--as=3000000000", *resolve_argv(["llama-server"]).argv)
    with pytest.raises(LaunchError, match="memory") as caught:
        start({"ctx-size": 1_000_000, "parallel": 1}, command=limited)
    assert caught.value.failure is Failure.OUT_OF_MEMORY_AT_START


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--foo", "3"], "error: invalid argument: --foo"),
        (["--thread", "3"], "error: invalid argument: --thread"),
        (["-ctk", "q9"], "cache-type-k"),
        (["-t", "two"], "--threads/-t"),
        ([], "--model is required"),
    ],
)
def test_bad_flags_end_the_server_with_2(flags: list[str], said: str) -> None:
    ended = subprocess.run([sys.executable, "-P", str(SERVER), *flags], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert said in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_on_signals(number: signal.Signals, tiny_model: Path) -> None:
    flags = ["-m", str(tiny_model), "--port", "0", "-c", "512", "-np", "1", "-t", "1", "-fa", "on", "-nocb"]
    server = subprocess.Popen([sys.executable, "-P", str(SERVER), *flags], stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        assert any("main: server is listening on http://127.0.0.1:" in line for line in server.stderr)
        server.send_signal(number)
        assert server.wait(timeout=60) == 0
    finally:
        server.kill()
        server.communicate()


def test_the_catalogue_is_what_its_script_makes_of_the_help(tmp_path: Path) -> None:
    """llama.cpp's own help text, of the wheel's build."""
    told = subprocess.run([sys.executable, "-P", str(SERVER), "--help"], capture_output=True, text=True, timeout=60)
    script = Path(__file__).parents[3] / "scripts" / "make_llamacpp_catalogue.py"
    newest = catalogue_versions("llamacpp")[-1]
    made = subprocess.run(
        [sys.executable, str(script), newest, "-"], input=told.stdout, capture_output=True, text=True, check=True
    )
    assert metadata.version("xllamacpp").rpartition(".")[2] == newest.removeprefix("b")
    kept = resources.files("autotuner.engines.flags").joinpath("catalogues", f"llamacpp-{newest}.yaml")
    assert made.stdout == kept.read_text(encoding="utf-8")


NOT_BUILT = {"rpc"}  # a backend that the wheel was built without


def test_the_stand_in_takes_every_flag_of_the_catalogue(tiny_model: Path, tmp_path: Path) -> None:
    """One start with all flags at values that change nothing: none may be unknown, nor a value of another type."""
    text = tmp_path / "text"
    text.write_text("{}", encoding="utf-8")
    samples = {
        "tensor-split": "1",
        "numa": "distribute",
        "chat-template": "chatml",
        "kv-unified-per-slot": 256,
        "samplers": "top_k",
        "logit-bias": "1+1",
        "override-kv": "a=int:1",
        "json-schema": {"type": "object"},
        **dict.fromkeys(("override-tensor", "spec-draft-override-tensor"), "none=CPU"),
        **dict.fromkeys(("cpu-range", "cpu-range-batch", "spec-draft-cpu-range"), "0-1"),
        **dict.fromkeys(("device", "spec-draft-device", "mmproj-device"), "none"),
        **dict.fromkeys(("lora-scaled", "control-vector-scaled"), "a:1"),
        **dict.fromkeys(("grammar-file", "json-schema-file", "ui-config-file", "chat-template-file"), str(text)),
        **dict.fromkeys(("slot-save-path", "media-path"), str(tmp_path)),
    }
    words = ["--model", str(tiny_model), "--port", "0"]
    for flag in load_catalogue("llamacpp").flags.values():
        if flag.reserved is None and flag.name not in NOT_BUILT:
            value = samples.get(flag.name, _any_value(flag))
            words += flag.render(value if flag.type not in ("flag", "switch") else True)
            words += flag.render(False) if flag.type == "flag" else ()
    command = [sys.executable, "-P", str(SERVER), *words, "--foo"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert [line for line in ended.stderr.splitlines() if line.startswith("error")] == [
        "error: invalid argument: --foo"
    ]


def _any_value(flag: Flag) -> object:
    if flag.default is not None:
        return flag.default
    return {"choice": flag.choices[:1], "list": ([1, 2],), "json": ({},)}.get(flag.type, (1,))[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--foo", "1"], "invalid argument: --foo"),
        (["--spec-type", "nope"], "unknown speculative type: nope"),
        (["--draft", "3"], "the argument has been removed"),
    ],
)
def test_what_llama_server_refuses_the_stand_in_refuses(tiny_model: Path, words: list[str], said: str) -> None:
    command = [sys.executable, "-P", str(SERVER), "--model", str(tiny_model), "--port", "0", *words]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    report = get_engine("llamacpp").diagnose(ended.returncode, ended.stderr)
    assert (report.failure, ended.returncode) == (Failure.INVALID_CONFIG, 2)
    assert said in report.message


def test_flags_that_llama_cpp_reads_itself_reach_its_parameters() -> None:
    params = xllamacpp.CommonParams()
    words = ["--spec-type", "ngram-simple", "--spec-draft-n-max", "7", "--top-k", "3", "--n-predict", "5"]
    assert parse_the_rest(xllamacpp, params, words)
    assert (params.sampling.top_k, params.n_predict, params.speculative.draft.n_max) == (3, 5, 7)
    assert make_params(xllamacpp, {"predict": 9}, params).n_predict == 9


def test_the_model_is_the_same_file_every_time(tmp_path: Path, tiny_model: Path) -> None:
    script = Path(__file__).parents[3] / "examples" / "laptop" / "make_model.py"
    again = tmp_path / "deep" / "tiny.gguf"
    subprocess.run([sys.executable, str(script), "--out", str(again)], check=True, capture_output=True, timeout=60)
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (again, tiny_model)}
    assert len(digests) == 1
    assert 5e6 < again.stat().st_size < 8e6
    assert list(again.parent.iterdir()) == [again]
