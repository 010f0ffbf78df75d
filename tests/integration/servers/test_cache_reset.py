"""Prefix caches are emptied between load points: real HTTP, and a rung's own order of things."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from autotuner.benchmark import LoadPoint
from autotuner.engines import HttpCall, one_engine
from autotuner.metrics import PointRun
from autotuner.results.records import Phase
from autotuner.servers import reset_caches
from autotuner.space.config import Config
from autotuner.study.model import Study
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.trial.rig import SystemClock
from autotuner.tuning.trial.rung import RungRunner

CALL = HttpCall("/reset_prefix_cache?x=1", "POST")


class Server(BaseHTTPRequestHandler):
    """Remembers what it was asked; ``busy`` times it answers 503 first."""

    asked: list[str]
    busy: int

    def do_POST(self) -> None:
        cls = type(self)
        cls.asked.append(f"POST {self.path}")
        refused = cls.busy > 0
        cls.busy -= refused
        self.send_response(503 if refused else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[str, type[Server]]]:
    handler = type("Handler", (Server,), {"asked": [], "busy": 0})
    http_server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=http_server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{http_server.server_port}", handler
    http_server.shutdown()
    http_server.server_close()
    thread.join()


def test_every_server_is_asked_and_a_busy_one_again(server: tuple[str, type[Server]]) -> None:
    url, handler = server
    handler.busy = 2
    assert reset_caches([url], CALL)
    assert handler.asked == ["POST /reset_prefix_cache?x=1"] * 3
    assert reset_caches([url, url], CALL)
    assert len(handler.asked) == 5


def test_a_server_that_never_does_it_or_is_gone_costs_no_measurement(server: tuple[str, type[Server]]) -> None:
    url, handler = server
    handler.busy = 1000
    assert not reset_caches([url], CALL)
    assert not reset_caches(["http://127.0.0.1:9"], CALL)


class Recorder:
    """A load driver and a server in one, which write down what comes in which order."""

    def __init__(self, url: str, asked: list[str]) -> None:
        self.urls = (url,)
        self.served_name = None
        self._asked = asked

    def run(self, point: LoadPoint, *, deadline_s: float, allowed_s: float | None = None) -> PointRun:
        self._asked.append(f"load {point.level}")
        return PointRun(point.level, ())

    def exit_code(self, within_s: float = 0.0) -> int | None:
        return None

    def log_tail(self, max_bytes: int = 16384) -> str:
        return ""


@pytest.mark.parametrize(
    ("workload", "launcher", "resets"),
    [
        ({}, {"kind": "process"}, True),
        ({"cache": "warm"}, {"kind": "process"}, False),
        ({}, {"kind": "endpoint", "url": "http://127.0.0.1:1"}, False),
    ],
)
def test_before_each_cold_load_point(
    server: tuple[str, type[Server]], workload: dict[str, Any], launcher: dict[str, Any], resets: bool
) -> None:
    url, handler = server
    study = Study.model_validate(
        {
            "model": {"id": "org/m"},
            "engine": {"name": "vllm"},
            "launcher": launcher,
            "workload": {"scenario": "D(8,8)", "load": {"concurrency": [1, 2]}, **workload},
        }
    )
    engine, own_study, own_config = one_engine(study, Config({}))
    deployment = engine.deployment(own_study, own_config)
    assert deployment.cache_reset is not None
    runner = RungRunner(study, Assignment("0000", Phase.SEARCH, Config({}), 1), deployment)
    recorder: Any = Recorder(url, handler.asked)
    runner.run(0, recorder, recorder, SystemClock(), 60.0, engine.diagnose)
    reset = [f"{deployment.cache_reset.method} {deployment.cache_reset.path}"] if resets else []
    assert handler.asked == [*reset, "load concurrency 1", *reset, "load concurrency 2"]
