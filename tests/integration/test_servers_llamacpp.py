"""llama.cpp, really started: what the engine renders is what the server takes, and how it fails."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autotuner.engines import get_engine, load_catalogue
from autotuner.errors import Failure, LaunchError
from autotuner.servers import LaunchRequest, RunningServer, make_launcher, resolve_argv
from autotuner.space.config import Config
from autotuner.study.model import Study

SERVER = Path(__file__).parents[2] / "autotuner" / "servers" / "llamacpp_server.py"
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


def test_the_stand_in_takes_every_flag_of_the_catalogue(tiny_model: Path) -> None:
    """One start with all flags at values that change nothing: none may be unknown."""
    samples = {
        "tensor-split": "1",
        "numa": "distribute",
        "chat-template": "chatml",
        "kv-unified-per-slot": 256,
        "override-tensor": "none=CPU",
    }
    words = ["--model", str(tiny_model), "--port", "0", "--foo"]
    for flag in load_catalogue("llamacpp").flags.values():
        if flag.reserved is None:
            value = samples.get(flag.name, 1 if flag.default is None else flag.default)
            words += flag.render(value if flag.type not in ("flag", "switch") else True)
            words += flag.render(False) if flag.type == "flag" else ()
    ended = subprocess.run([sys.executable, "-P", str(SERVER), *words], capture_output=True, text=True, timeout=60)
    assert ended.stderr == "error: invalid argument: --foo\n"


def test_the_model_is_the_same_file_every_time(tmp_path: Path, tiny_model: Path) -> None:
    script = Path(__file__).parents[2] / "examples" / "laptop" / "make_model.py"
    again = tmp_path / "deep" / "tiny.gguf"
    subprocess.run([sys.executable, str(script), "--out", str(again)], check=True, capture_output=True, timeout=60)
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (again, tiny_model)}
    assert len(digests) == 1
    assert 5e6 < again.stat().st_size < 8e6
    assert list(again.parent.iterdir()) == [again]
