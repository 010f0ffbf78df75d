"""Asking executables for their version: real programs that count how often they are asked."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from autotuner.engines import EngineAnswer, get_engine
from autotuner.servers import ask_version
from autotuner.study.model import Study

ANSWERS = """
case "$1" in
  --version) echo "some banner"; echo "version: 6730 (0abc)" >&2 ;;
  --help) echo "-c, --ctx-size N   size of the prompt context; see --parallel"; echo "--no-mmap, --cache_type" ;;
esac
"""
MINUTE_S = 60.0

Tool = Callable[[str], Path]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    """Writes an executable that notes its arguments in ``calls`` beside it."""

    def write(body: str) -> Path:
        path = tmp_path / "env" / "bin" / "server"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/sh\necho "$*" >> "{path.parent}/calls"\n{body}')
        path.chmod(0o755)
        return path

    return write


def calls(path: Path) -> list[str]:
    noted = path.parent / "calls"
    return noted.read_text().splitlines() if noted.exists() else []


def study(*command: Path | str, engine: str = "llamacpp", **settings: Any) -> Study:
    section = {"name": engine, "version": "auto", "command": [str(word) for word in command], **settings}
    return Study.model_validate({"model": {"id": "m.gguf"}, "engine": section, "workload": {"scenario": "D(8,8)"}})


def ask(asking: Study, timeout_s: float = 60.0) -> EngineAnswer | None:
    return ask_version(get_engine(asking.engine.names[0]), asking, timeout_s=timeout_s)


def kept_files(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.json"))


def make_older(path: Path, by_s: float) -> None:
    stat = path.stat()
    os.utime(path, (stat.st_atime, stat.st_mtime - by_s))


def test_an_executable_is_asked_once(tool: Tool, cache: Path) -> None:
    path = tool(ANSWERS)
    expected = EngineAnswer("6730", str(path), frozenset({"ctx-size", "parallel", "no-mmap", "cache_type"}))
    assert ask(study(path)) == expected
    assert calls(path) == ["--version", "--help"]
    assert ask(study(path)) == expected
    assert len(calls(path)) == 2
    make_older(kept_files(cache)[0], 25 * 60 * MINUTE_S)
    assert ask(study(path)) == expected
    assert len(calls(path)) == 4


def test_another_file_or_another_environment_is_asked_anew(tool: Tool) -> None:
    path = tool(ANSWERS)
    ask(study(path))
    ask(study(path, env={"LD_LIBRARY_PATH": "/opt"}))
    assert len(calls(path)) == 4
    make_older(path, 1.0)
    ask(study(path))
    assert len(calls(path)) == 6


def test_an_upgraded_python_package_is_asked_anew(tool: Tool) -> None:
    path = tool(ANSWERS)
    packages = path.parent.parent / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    ask(study(path))
    (packages / "server-1.dist-info").mkdir()
    make_older(packages, 5.0)  # clocks of file systems are coarse
    ask(study(path))
    assert len(calls(path)) == 4


def test_words_that_only_start_the_server_are_left_out(tool: Tool) -> None:
    path = tool('case "$*" in --version) echo 0.31.1+cpu ;; "serve --help=all") echo "  --max-num-seqs N" ;; esac')
    answer = ask(study(path, "serve", engine="vllm"))
    assert answer == EngineAnswer("0.31.1", str(path), frozenset({"max-num-seqs"}))
    assert calls(path) == ["--version", "serve --help=all"]


@pytest.mark.parametrize("workers", [4])
def test_many_at_once_ask_once(tool: Tool, workers: int) -> None:
    path = tool("sleep 0.5\n" + ANSWERS)
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        answers = list(pool.map(ask, [study(path)] * workers))
    assert {answer.version for answer in answers if answer is not None} == {"6730"}
    assert len(answers) == workers
    assert calls(path) == ["--version", "--help"]


def test_one_that_hangs_is_ended_with_its_children(
    tool: Tool, mark: str, alive: Callable[[], list[psutil.Process]], cache: Path
) -> None:
    path = tool("trap '' TERM\nsleep 600 &\nsleep 600")
    asking = study(path, env={"MARK": mark})
    assert ask(asking, timeout_s=0.5) is None
    assert alive() == []
    assert ask(asking, timeout_s=0.5) is None
    assert calls(path) == ["--version"]  # silence is kept too …
    make_older(kept_files(cache)[0], 11 * MINUTE_S)
    tool_answers = tool(ANSWERS)
    assert ask(study(tool_answers)) is not None


def test_silence_is_not_kept_for_long(tool: Tool, cache: Path) -> None:
    path = tool("exit 3")
    assert ask(study(path)) is None
    make_older(kept_files(cache)[0], 11 * MINUTE_S)
    assert ask(study(path)) is None
    assert len(calls(path)) == 2


@pytest.mark.parametrize(
    "body",
    [
        "echo 'Segmentation fault'",
        "echo 'version: 6730'; exit 1",
        "head -c 100000 /dev/urandom",
        "exec yes",
        "kill -9 $$",
    ],
)
def test_what_is_no_answer(tool: Tool, body: str) -> None:
    assert ask(study(tool(body))) is None


def test_a_version_without_help_is_an_answer(tool: Tool) -> None:
    path = tool('[ "$1" = --version ] && echo "version: 6730"')
    assert ask(study(path)) == EngineAnswer("6730", str(path), None)


def test_a_spoiled_cache_is_written_anew(tool: Tool, cache: Path) -> None:
    path = tool(ANSWERS)
    ask(study(path))
    for spoiled in ("", "{", "[]", '{"answer": 3}', '{"answer": {}}'):
        kept_files(cache)[0].write_text(spoiled)
        answer = ask(study(path))
        assert answer is not None
        assert answer.version == "6730"
    ask(study(path))
    assert len(calls(path)) == 12


def test_without_a_cache_folder_it_is_asked_each_time(tool: Tool, cache: Path) -> None:
    cache.write_text("a file")
    path = tool(ANSWERS)
    for _ in range(2):
        assert ask(study(path)) is not None
    assert len(calls(path)) == 4


def test_it_sees_the_gpus_it_is_given_and_nothing_of_ray(
    tool: Tool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    path = tool(f'env > "{seen}"\n{ANSWERS}')
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    asking = study(path)
    ask(asking)
    assert "CUDA_VISIBLE_DEVICES=\n" in seen.read_text()
    assert "RAY_ADDRESS" not in seen.read_text()
    make_older(path, 1.0)
    ask_version(get_engine("llamacpp"), asking, gpu_ids=("0", "3"))
    assert "CUDA_VISIBLE_DEVICES=0,3\n" in seen.read_text()


def test_what_is_not_here_or_of_other_words_can_not_be_asked(tool: Tool) -> None:
    path = tool(ANSWERS)
    assert ask(study("/no/such/server")) is None
    assert ask(study(path, "run", engine="vllm")) is None
    assert calls(path) == []


def test_the_stand_in_tells_the_version_of_its_package(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    answer = ask(study())
    assert answer is not None
    assert answer.version.startswith("xllamacpp-")
    assert answer.flags is None
    assert not cache.exists()
