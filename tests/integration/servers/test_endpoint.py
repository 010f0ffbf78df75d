"""Endpoints: servers that someone else runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from autotuner.engines import Deployment, FailureReport, VersionProbe
from autotuner.errors import Failure, LaunchError, StudyError
from autotuner.servers import (
    EndpointLauncher,
    LaunchRequest,
    ProcessLauncher,
    executable_problem,
    make_launcher,
    model_problem,
    resolve_headers,
    secret_problems,
)
from autotuner.study.model import Study


class Gateway(BaseHTTPRequestHandler):
    """Answers /v1/models to who has the key, and knows no /health."""

    models: ClassVar[list[dict[str, str]]] = []

    def do_GET(self) -> None:
        allowed = self.headers.get("Authorization") == "Bearer k3y"
        body = json.dumps({"version": "9.9", "data": self.models}).encode()
        self.send_response(200 if allowed and self.path != "/health" else 401 if not allowed else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def gateway() -> Iterator[str]:
    Gateway.models = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def make_study(url: str, headers: dict[str, object] | None = None) -> Study:
    return Study.model_validate(
        {
            "model": {"id": "tiny"},
            "engine": {"name": "llamacpp"},
            "launcher": {"kind": "endpoint", "url": url, "headers": headers or {}},
            "workload": {"scenario": "D(8,8)"},
        }
    )


def make_request(tmp_path: Path, start_timeout_s: float = 10.0) -> LaunchRequest:
    deployment = Deployment("test", "1", "m", "m", (), version=VersionProbe("/version", "version"))
    return LaunchRequest(deployment, "x", tmp_path, tmp_path, {}, start_timeout_s)


def diagnose(exit_code: int | None, log_tail: str) -> FailureReport:
    raise AssertionError("an endpoint's log is not ours")


def test_a_gateway_is_reached_with_its_secret(gateway: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_KEY", "Bearer k3y")
    study = make_study(gateway + "/v1/", {"Authorization": {"from_env": "GATEWAY_KEY"}, "X-Plain": "p"})
    assert resolve_headers(study) == {"Authorization": "Bearer k3y", "X-Plain": "p"}
    launcher = make_launcher(study)
    assert "k3y" not in repr(launcher)
    with launcher.launch(make_request(tmp_path), diagnose) as server:
        assert server.urls == (gateway,)
        assert server.engine_version == "9.9"
        assert server.exit_code() is None
    with launcher.launch(make_request(tmp_path), diagnose):
        pass  # it was not stopped


KEY = {"Authorization": "Bearer k3y"}
ADAPTER = {"id": "an-adapter", "parent": "llama"}


@pytest.mark.parametrize(
    ("models", "given", "asked"),
    [
        ([], None, "m"),
        ([{"id": "m"}, {"id": "other"}], None, "m"),
        ([{"id": "llama"}], None, "llama"),
        ([{"id": "llama"}, ADAPTER], None, "llama"),
        ([{"id": "llama"}], "an-alias", "an-alias"),
    ],
    ids=["tells none", "has the study's", "has one", "has one and its adapter", "is told"],
)
def test_the_server_is_asked_for_the_models_name(
    models: list[dict[str, str]], given: str | None, asked: str, gateway: str, tmp_path: Path
) -> None:
    Gateway.models = models
    with EndpointLauncher(gateway, KEY, served_name=given).launch(make_request(tmp_path), diagnose) as server:
        assert server.served_name == asked


def test_of_several_models_one_must_be_named(gateway: str, tmp_path: Path) -> None:
    Gateway.models = [{"id": "llama"}, {"id": "qwen"}]
    with pytest.raises(LaunchError, match="serves llama, qwen, and not 'm'") as caught:
        EndpointLauncher(gateway, KEY).launch(make_request(tmp_path), diagnose)
    assert caught.value.failure is Failure.INVALID_CONFIG
    assert "model.served_name" in caught.value.message


def test_who_does_not_answer_is_infrastructure(gateway: str, tmp_path: Path) -> None:
    for url in (gateway, "http://127.0.0.1:1"):
        with pytest.raises(LaunchError, match="no server answers") as caught:
            EndpointLauncher(url).launch(make_request(tmp_path, 0.3), diagnose)
        assert caught.value.failure is Failure.INFRASTRUCTURE


def test_a_secret_that_is_not_set_is_named_without_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATEWAY_KEY", raising=False)
    study = make_study("http://127.0.0.1:1", {"Authorization": {"from_env": "GATEWAY_KEY"}})
    with pytest.raises(StudyError, match="GATEWAY_KEY is not set") as caught:
        resolve_headers(study)
    assert caught.value.key == "launcher.headers.Authorization"
    for starts_here in (True, False):
        (problem,) = secret_problems(study, starts_here=starts_here)
        assert (problem.key, problem.value) == ("launcher.headers.Authorization", "GATEWAY_KEY")
        assert problem.fatal is starts_here
    monkeypatch.setenv("GATEWAY_KEY", "x")
    assert secret_problems(study, starts_here=True) == []


def test_what_must_be_here_is_checked_before_the_start(tmp_path: Path, tiny_model: Path) -> None:
    def study(model: Path) -> Study:
        return Study.model_validate(
            {"model": {"id": str(model)}, "engine": {"name": "llamacpp"}, "workload": {"scenario": "D(8,8)"}}
        )

    assert isinstance(make_launcher(study(tiny_model)), ProcessLauncher)
    assert model_problem(study(tiny_model)) is None
    missing = model_problem(study(tiny_model.with_name("tini.gguf")))
    assert missing is not None
    assert (missing.key, missing.rule, missing.nearest) == ("model.id", "no such file", str(tiny_model))
    folder = model_problem(study(tmp_path))
    assert folder is not None
    assert "not a folder" in folder.rule
    assert executable_problem(study(tiny_model), "llama-server") is None
    absent = executable_problem(study(tiny_model), "no-such-server")
    assert absent is not None
    assert "no-such-server" in absent.rule
    assert model_problem(make_study("http://127.0.0.1:1")) is None
    assert secret_problems(study(tiny_model), starts_here=True) == []
