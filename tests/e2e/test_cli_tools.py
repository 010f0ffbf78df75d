"""The commands that need no study that has run: init, check, bench, doctor, reap."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from autotuner.benchmark.stand_ins.mock_process import mock_server
from autotuner.cli.commands import COMMANDS
from autotuner.servers.supervision.tags import OWNER, STUDY, TRIAL, owner_tag
from tests.e2e.studies import Told, study_keys


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with mock_server(ttft_ms=200, itl_ms=10) as url:
        yield url


# ── a study before it runs ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("gpus", [0, 2])
def test_what_init_writes_passes_check(tiny_model: Path, tmp_path: Path, gpus: int, ask: Callable[..., Any]) -> None:
    file = tmp_path / "new" / "study.yaml"
    written = ask("init", "--model", tiny_model, "--gpus", str(gpus), "--name", "mine", "--out", file)
    assert written == {"study": str(file)}
    assert "#" in file.read_text(encoding="utf-8")  # it is commented
    report = ask("check", file)
    assert report["valid"]
    assert report["study"]["name"] == "mine"
    assert report["study"]["model"]["id"] == str(tiny_model)
    assert report["needs"].get("GPU", 0) == gpus


def test_init_does_not_overwrite(tmp_path: Path, tell: Callable[..., Told]) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("precious", encoding="utf-8")
    told = tell("init", "--out", file, "--json")
    assert (told.code, told.document["key"]) == (2, "out")
    assert file.read_text(encoding="utf-8") == "precious"
    assert tell("init", "--out", file, "--force").code == 0
    assert yaml.safe_load(file.read_text(encoding="utf-8"))["engine"]["name"] == "llamacpp"


def test_check_tells_the_plan(
    tiny_model: Path, tmp_path: Path, ask: Callable[..., Any], tell: Callable[..., Told]
) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(json.dumps(study_keys(tiny_model, "plan")), encoding="utf-8")
    report = ask("check", file, "--set", "search.trials=5", "--set", "space.parameters.parallel=[2, 4, 8]")
    assert report["configs"] == {"number": 6, "exact": True}
    assert report["study"]["search"]["trials"] == 5
    assert report["needs"] == {"CPU": 2.0}
    (argv,) = report["baseline_argv"]
    assert argv[argv.index("--parallel") + 1] == "1"
    assert argv[argv.index("--model") + 1] == str(tiny_model)
    text = tell("check", file).output
    (rank,) = report["baseline"]
    assert rank["argv"][rank["argv"].index("--port") + 1] == "PORT"
    assert "study tiny: valid" in text
    assert "--port PORT" in text
    assert "--parallel 1" in text
    assert "concurrency 4 (32 requests)" in text
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]  # nothing else is written


# ── a server that runs ────────────────────────────────────────────────────────────────────────


def test_bench_measures_each_level(server: str, ask: Callable[..., Any]) -> None:
    document = ask("bench", server, "--scenario", "D(16,8)", "--concurrency", "1,4", "--requests", "8")
    assert document["url"] == server
    one, four = document["levels"]
    assert [(level["load_kind"], level["level"]) for level in (one, four)] == [("concurrency", 1), ("concurrency", 4)]
    for level in (one, four):
        assert (level["requests"], level["errors"], level["error_rate"]) == (8, 0, 0)
        assert 199 <= level["ttft_p50_ms"] < 2000  # milliseconds, however busy the machine
        assert level["e2e_p50_ms"] > level["ttft_p50_ms"] + 60  # seven more tokens
    assert four["output_tokens_per_s"] > 2 * one["output_tokens_per_s"]


def test_bench_speaks_chat_and_keeps_a_rate(server: str, ask: Callable[..., Any]) -> None:
    (level,) = ask(
        *("bench", server, "--api", "chat", "--scenario", "U(8,16)/(4,8)"),
        *("--rate", "8", "--arrival", "constant", "--per-level-s", "2"),
    )["levels"]
    assert (level["load_kind"], level["level"], level["requests"], level["errors"]) == ("rate", 8, 16, 0)


def test_bench_tells_people_in_a_table(server: str, tell: Callable[..., Told]) -> None:
    told = tell("bench", server, "--scenario", "D(16,8)", "--concurrency", "2", "--requests", "4")
    assert told.code == 0
    assert "TTFT p50 ms" in told.output
    assert "concurrency 2" in told.output


def test_bench_of_a_failing_server_counts_its_errors(ask: Callable[..., Any]) -> None:
    with mock_server(ttft_ms=20, itl_ms=2, fault="500", fault_every=2) as url:
        (level,) = ask("bench", url, "--scenario", "D(16,4)", "--concurrency", "2", "--requests", "12")["levels"]
    assert 0 < level["errors"] < level["requests"]
    assert level["error_rate"] == pytest.approx(level["errors"] / level["requests"])


def test_bench_of_nothing_is_infrastructure(tell: Callable[..., Told]) -> None:
    told = tell("bench", "http://127.0.0.1:1", "--json")
    assert told.code == 3
    assert told.document["code"] == "infrastructure"
    assert len(told.errors.splitlines()) == 1


# ── this machine ──────────────────────────────────────────────────────────────────────────────


def test_doctor_tells_what_is_here(tell: Callable[..., Told]) -> None:
    told = tell("doctor", "--json")
    findings = {finding["part"]: finding for finding in told.document["findings"]}
    parts = {"python", "cores", "disk", "GPU", "ray", "optuna", "xllamacpp", "leftovers"}
    assert parts | {"llama-server", "vllm", "sglang", "trtllm"} <= set(findings)
    assert {finding["state"] for finding in findings.values()} <= {"ok", "absent", "broken"}
    assert findings["python"]["state"] == findings["ray"]["state"] == "ok"
    assert told.code == (3 if any(finding["state"] == "broken" for finding in findings.values()) else 0)
    assert "python" in tell("doctor").output


@pytest.fixture
def orphan() -> Iterator[subprocess.Popen[bytes]]:
    """A server whose driver is dead, and which nobody watches."""
    driver = subprocess.Popen(["sleep", "60"])
    owner = owner_tag(driver.pid)
    driver.kill()
    driver.wait()
    tags = {STUDY: "reaped-in-a-test", TRIAL: "0003", OWNER: owner}
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env={**os.environ, **tags})
    yield process
    process.kill()
    process.wait()


def test_doctor_and_reap_find_a_leftover_and_leave_it(
    orphan: subprocess.Popen[bytes], tell: Callable[..., Told], ask: Callable[..., Any]
) -> None:
    # Only looking: `reap` itself would end the leftovers of other people's studies too.
    found = ask("reap", "--dry-run")
    assert not found["ended"]
    mine = [left for left in found["leftovers"] if left["study"] == "reaped-in-a-test"]
    assert [(left["pid"], left["trial"]) for left in mine] == [(orphan.pid, "0003")]
    assert orphan.poll() is None
    doctor = tell("doctor", "--json")
    assert doctor.code == 3
    (leftovers,) = [f for f in doctor.document["findings"] if f["part"] == "leftovers"]
    assert leftovers["state"] == "broken"


# ── every command ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", [command.NAME for command in COMMANDS])
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    from autotuner.cli.main import main

    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert f"autotuner {name}" in text
    assert "--json" in text
