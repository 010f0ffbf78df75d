"""What a Ray answers strangers, asked from a network namespace that is joined to its own: docs/security.md."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.namespaces import HUB_IP, namespaces, why_not
from tests.e2e.studies import wait_until

PROGRAMS = Path(__file__).parent / "programs"
RAY = str(Path(sys.executable).with_name("ray"))
HEALTH = "/grpc.health.v1.Health/Check"
Answers = Mapping[str, Mapping[str, str]]

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    with namespaces(1) as name:
        yield name


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    with tempfile.TemporaryDirectory(prefix="op-", dir="/tmp") as folder:  # sockets' names are short
        yield {**kept, "TMPDIR": folder, "HOME": folder}


def inside(namespace: str, *command: str) -> list[str]:
    return ["ip", "netns", "exec", namespace, *command]


@contextmanager
def open_ports(hub: str, environment: Mapping[str, str], *address: str) -> Iterator[list[int]]:
    """The ports that listen while the program runs; the first of them is open to all."""
    command = inside(hub, sys.executable, str(PROGRAMS / "open_ports.py"), *address)
    with subprocess.Popen(
        command, env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.communicate(timeout=60)


def ask(hub: str, environment: Mapping[str, str], ports: list[int], *token: str) -> Answers:
    command = inside(f"{hub}n0", sys.executable, str(PROGRAMS / "ask_ports.py"), HUB_IP, json.dumps(ports), *token)
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, timeout=200, check=True)
    answers: Answers = json.loads(done.stdout)
    return answers


def test_nothing_of_a_local_run_is_reached_from_elsewhere(hub: str, environment: dict[str, str]) -> None:
    with open_ports(hub, environment) as ports:
        answers = ask(hub, environment, ports)
        assert len(ports) > 5
        assert [int(port) for port, answer in answers.items() if answer] == ports[:1]
    assert not (Path(environment["HOME"]) / ".ray").exists(), "its token is written nowhere"


def test_a_cluster_with_a_token_answers_strangers_nothing_but_its_health_and_its_metrics(
    hub: str, environment: dict[str, str]
) -> None:
    token = secrets.token_hex(32)
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    with head(hub, environment), open_ports(hub, environment, f"{HUB_IP}:6379") as ports:
        control, *rays = ask(hub, environment, ports).items()
        let_in = ask(hub, environment, ports, token)
    assert control[1]
    reached = {port: answers for port, answers in rays if answers}
    assert len(reached) > 5, "control store, raylet, object manager, workers, driver, agents, dashboard"
    assert [(port, *answer) for port, answers in reached.items() for answer in given(answers)] == []
    welcome = {what for answers in let_in.values() for what, _ in given(answers)}
    assert {"/ray.rpc.NodeInfoGcsService/GetClusterId", "/api/jobs/"} <= welcome, "the questions are the right ones"


def given(answers: Mapping[str, str]) -> list[tuple[str, str]]:
    """What was answered, but for the health of gRPC servers, pages of metrics and the dashboard's empty page."""
    open_to_all = {"/": "200 <!doctype html>"}
    return [
        (what, answer)
        for what, answer in answers.items()
        if answer.startswith(("OK", "200")) and what != HEALTH and not answer.startswith("200 # HELP")
        if what not in open_to_all or not answer.startswith(open_to_all[what])
    ]


@contextmanager
def head(hub: str, environment: Mapping[str, str]) -> Iterator[None]:
    """A head as docs/security.md speaks of it, its dashboard open too."""
    options = [f"--node-ip-address={HUB_IP}", "--port=6379", "--num-cpus=2", "--dashboard-host=0.0.0.0"]
    folder = Path(environment["TMPDIR"])
    log = folder / "head.log"
    started = inside(hub, RAY, "start", "--head", "--block", "--disable-usage-stats", *options)
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            [*started, f"--temp-dir={folder}/ray"], env=dict(environment), stdout=file, stderr=file
        )
    try:
        wait_until(lambda: "Ray runtime started" in log.read_text(encoding="utf-8"), "the head to come up")
        yield
    finally:
        process.terminate()
        process.wait(60)
