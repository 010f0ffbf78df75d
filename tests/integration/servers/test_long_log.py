"""What explains a server's end may lie far before the end of its log: real processes that say much."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from autotuner.benchmark import LoadPoint
from autotuner.engines import Deployment, Rank, ServerGroup, get_engine
from autotuner.errors import Failure, LaunchError
from autotuner.metrics import PointRun
from autotuner.results.records import Phase
from autotuner.servers import DIAGNOSED_BYTES, LaunchRequest, ProcessLauncher, RunningServer, owner_tag, tags
from autotuner.space.config import Config
from autotuner.study.model import Study
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.trial.rig import SystemClock
from autotuner.tuning.trial.rung import RungRunner

KEPT_BYTES = 16384  # of a log, with a failure
SAID_AFTERWARDS = 5000  # lines: about 600 kB
# argv: port; the first line, and how often it says so; when to end: at once, or when asked; then how many lines
# the other ranks say of where they were.
TALKER = """
import os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
port, first, repeats, when, lines = sys.argv[1:]

def end():
    print(first * int(repeats))
    for number in range(int(lines)):
        print(f"(Worker_TP{number % 8} pid=9) ERROR 08-11 04:29:42 [multiproc_executor.py:1020]   "
              f'File "/venv/lib/python3.12/site-packages/vllm/v1/worker.py", line {number}, in execute_model')
    sys.stdout.flush()
    os._exit(1)

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/end":
            end()
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *args):
        pass

if when == "at once":
    end()
HTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()
"""
NO_MEMORY = "(Worker_TP3 pid=1037) ERROR 08-11 04:29:42 [core.py:1131] RuntimeError: Triton Error [CUDA]: out of memory"
ENGINE = get_engine("vllm")
Alive = Callable[[], list[psutil.Process]]


def deployment_of(*argv: str) -> Deployment:
    return Deployment("vllm", "1", "m", "m", (ServerGroup((Rank(argv),)),))


@pytest.fixture
def start(tmp_path: Path, mark: str, own_locks: Path) -> Callable[..., Any]:
    def launch(first: str, when: str, *, repeats: int = 1, lines: int = SAID_AFTERWARDS) -> RunningServer:
        program = TALKER.replace("{", "{{").replace("}", "}}")
        argv = (sys.executable, "-c", program, "{port}", first, str(repeats), when, str(lines))
        request = LaunchRequest(
            deployment=deployment_of(*argv),
            launch_id=mark,
            log_dir=tmp_path / "logs",
            work_dir=tmp_path / "work",
            tags=tags(mark, "0000", owner_tag()),
            start_timeout_s=30.0,
        )
        return ProcessLauncher(grace_s=0.5).launch(request, ENGINE.diagnose)

    return launch


def test_a_cause_far_up_explains_a_start_and_little_is_kept(start: Callable[..., Any], alive: Alive) -> None:
    with pytest.raises(LaunchError) as caught:
        start(NO_MEMORY, "at once")
    assert caught.value.failure is Failure.OUT_OF_MEMORY_AT_START
    assert caught.value.message == "RuntimeError: Triton Error [CUDA]: out of memory"
    assert NO_MEMORY not in caught.value.log_tail
    assert len(caught.value.log_tail) <= KEPT_BYTES
    assert caught.value.log_tail.rstrip().endswith(f"line {SAID_AFTERWARDS - 1}, in execute_model")
    assert all(line.startswith("(Worker_TP") for line in caught.value.log_tail.splitlines())  # whole ones
    assert alive() == []


def test_a_cause_far_up_explains_a_death_under_load(start: Callable[..., Any], alive: Alive) -> None:
    with start(NO_MEMORY, "when asked") as server:
        study = Study.model_validate(
            {
                "model": {"id": "org/m"},
                "engine": {"name": "vllm"},
                "workload": {"scenario": "D(8,8)", "cache": "warm", "load": {"concurrency": [1]}},
            }
        )
        runner = RungRunner(study, Assignment("0000", Phase.SEARCH, Config({}), 1), deployment_of("unused"))
        driver: Any = _Killer(server)
        result = runner.run(0, driver, server, SystemClock(), 60.0, ENGINE.diagnose)
        assert result.failure is Failure.OUT_OF_MEMORY_UNDER_LOAD
        assert result.message.endswith("Triton Error [CUDA]: out of memory")
        assert len(server.log_tail()) <= KEPT_BYTES
    assert alive() == []


def test_half_a_warning_is_not_taken_for_an_error(start: Callable[..., Any], tmp_path: Path) -> None:
    """The log that is read begins in the middle of a line, whose first half said that it is a warning."""
    with pytest.raises(LaunchError) as caught:
        start("WARNING 08-11 04:29:42 [cuda.py:9] RuntimeError: it is not supported", "at once", repeats=40000)
    (log,) = (tmp_path / "logs").glob("*rank0.log")
    said = log.read_bytes()
    assert 0 < len(said) - DIAGNOSED_BYTES < said.index(b"\n")
    assert caught.value.failure is Failure.CRASH


class _Killer:
    """A load driver whose only request ends the server."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server

    def run(self, point: LoadPoint, *, deadline_s: float, allowed_s: float | None = None) -> PointRun:
        with pytest.raises((urllib.error.URLError, ConnectionError)):
            urllib.request.urlopen(f"{self._server.urls[0]}/end", timeout=30)
        assert self._server.exit_code(30.0) is not None
        return PointRun(point.level, ())
