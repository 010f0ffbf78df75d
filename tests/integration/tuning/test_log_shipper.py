"""Logs on their way from a node that does not see the study's folder: all there, nothing twice, whatever happens."""

from __future__ import annotations

import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from autotuner.results import OutputFolder, resolved_yaml
from autotuner.tuning.store_service import StoreService
from autotuner.tuning.trial.log_shipper import LogShipper
from tests.tuning_parts import study

WAIT_S = 30.0
NAME = "0001-l1-rank0.log"


class ShakyService(StoreService):
    """The real store, whose calls fail now and then: before they are carried out, half way, or after that."""

    def __init__(self, path: Path, fails: Callable[[int], str] = lambda _: "") -> None:
        given = study()
        super().__init__(str(path), resolved_yaml(given, "s1"), "s1", given.name)
        self.fails = fails
        self.calls = 0

    def append_log(self, trial_id: str, name: str, offset: int, data: bytes) -> int:
        how = self.fails(self.calls)
        self.calls += 1
        if how == "before":
            raise OSError("no space left on device")
        if how == "half way":
            super().append_log(trial_id, name, offset, data[: len(data) // 2])
            raise OSError("no space left on device")
        known = super().append_log(trial_id, name, offset, data)
        if how == "after":
            raise OSError("the answer was lost")
        return known


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Where the logs of trial 0001 arrive."""
    (tmp_path / "study").mkdir()
    return OutputFolder(tmp_path / "study").trial_logs("0001")


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Where the node's servers write."""
    (tmp_path / "node").mkdir()
    return tmp_path / "node"


def ship(service: StoreService, logs: Path) -> LogShipper:
    return LogShipper(service, "0001", logs, every_s=0.01)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def holds(path: Path, content: bytes) -> Callable[[], bool]:
    return lambda: path.exists() and path.read_bytes() == content


def test_what_servers_say_arrives_while_they_run_and_the_rest_at_the_end(kept: Path, logs: Path) -> None:
    with ship(ShakyService(kept.parents[1]), logs):
        with (logs / NAME).open("ab", buffering=0) as log:
            log.write(b"loading\n")
            wait_for(holds(kept / NAME, b"loading\n"))
            log.write("half a line, ü".encode())
            wait_for(holds(kept / NAME, "loading\nhalf a line, ü".encode()))
        (logs / "0001-l1-rank1.log").write_bytes(b"joined later\n")
        wait_for(holds(kept / "0001-l1-rank1.log", b"joined later\n"))
    assert (kept / NAME).read_bytes() == "loading\nhalf a line, ü".encode()


def test_what_is_said_last_is_not_lost(kept: Path, logs: Path) -> None:
    with LogShipper(ShakyService(kept.parents[1]), "0001", logs, every_s=3600):
        (logs / NAME).write_bytes(b"the last words\n")
    assert (kept / NAME).read_bytes() == b"the last words\n"


def test_a_long_log_arrives_whole_at_the_end(kept: Path, logs: Path) -> None:
    content = random.Random(0).randbytes(6_000_000)
    with LogShipper(ShakyService(kept.parents[1]), "0001", logs, every_s=3600):
        (logs / NAME).write_bytes(content)
    assert (kept / NAME).read_bytes() == content


@pytest.mark.parametrize("seed", range(5))
def test_calls_that_fail_lose_and_double_nothing(kept: Path, logs: Path, seed: int) -> None:
    chance = random.Random(seed)
    fates = [chance.choice(("", "", "before", "half way", "after")) for _ in range(40)]
    service = ShakyService(kept.parents[1], lambda call: fates[call] if call < len(fates) else "")
    said = b""
    with ship(service, logs), (logs / NAME).open("ab", buffering=0) as log:
        for number in range(200):
            line = f"line {number} {'x' * chance.randrange(3000)}\n".encode()
            said += line
            log.write(line)
            time.sleep(0.0005)
        wait_for(lambda: service.calls > len(fates) or holds(kept / NAME, said)())
    assert (kept / NAME).read_bytes() == said


def test_a_store_that_fails_for_good_costs_no_trial(kept: Path, logs: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.WARNING),
        LogShipper(ShakyService(kept.parents[1], lambda _: "before"), "0001", logs, every_s=3600),
    ):
        (logs / NAME).write_bytes(b"lost\n")
    assert "trial 0001: the end of its server logs was lost with this node" in caplog.messages


def test_a_store_that_is_too_slow_holds_no_trial_up(kept: Path, logs: Path, caplog: pytest.LogCaptureFixture) -> None:
    service = ShakyService(kept.parents[1])
    with (
        caplog.at_level(logging.WARNING),
        LogShipper(service, "0001", logs, every_s=WAIT_S, last_s=-1.0),
    ):
        (logs / NAME).write_bytes(b"x" * 2_000_000)
    assert service.calls == 0
    assert "trial 0001: the end of its server logs was lost with this node" in caplog.messages


def test_what_the_folder_lost_is_sent_again(kept: Path, logs: Path) -> None:
    service = ShakyService(kept.parents[1])
    with ship(service, logs), (logs / NAME).open("ab", buffering=0) as log:
        log.write(b"one\n")
        wait_for(holds(kept / NAME, b"one\n"))
        (kept / NAME).unlink()
        log.write(b"two\n")
        wait_for(holds(kept / NAME, b"one\ntwo\n"))


def test_a_log_that_is_written_anew_replaces_the_old_one(kept: Path, logs: Path) -> None:
    """As a rank's that is started again on another port."""
    with ship(ShakyService(kept.parents[1]), logs):
        (logs / NAME).write_bytes(b"address already in use\n")
        wait_for(holds(kept / NAME, b"address already in use\n"))
        (logs / NAME).unlink()
        (logs / NAME).write_bytes(b"listening on another port, for a long time\n")
        wait_for(holds(kept / NAME, b"listening on another port, for a long time\n"))
        (logs / NAME).write_bytes(b"cut\n")
        wait_for(holds(kept / NAME, b"cut\n"))
    assert [path.name for path in kept.iterdir()] == [NAME]


def test_a_piece_that_comes_twice_or_too_early_changes_nothing(kept: Path) -> None:
    service = ShakyService(kept.parents[1])
    assert service.append_log("0001", NAME, 0, b"abc") == 3
    assert service.append_log("0001", NAME, 3, b"def") == 6
    assert service.append_log("0001", NAME, 3, b"def") == 6
    assert service.append_log("0001", NAME, 99, b"too early") == 6
    assert service.append_log("0001", "../../study.yaml", 0, b"x") == 1
    assert (kept / NAME).read_bytes() == b"abcdef"
    assert not (kept.parents[1] / "study.yaml").exists(), "a log's name leads out of its folder"


_NODE = """
import sys, time
from pathlib import Path
from tests.integration.tuning.test_log_shipper import ShakyService, ship
study, logs, launch = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
with ship(ShakyService(study), logs), (logs / f"0001-l{launch}-rank0.log").open("ab", buffering=0) as log:
    for number in range(1000000):
        log.write(f"launch {launch} line {number}\\n".encode())
        time.sleep(0.001)
        if number == 20 and launch == "2":
            break
"""


def test_a_killed_node_leaves_what_it_had_sent_and_its_next_launch_begins_a_log_of_its_own(
    kept: Path, logs: Path
) -> None:
    def start(launch: int) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-c", _NODE, str(kept.parents[1]), str(logs), str(launch)]
        return subprocess.Popen(argv, cwd=Path(__file__).parents[3])

    first = start(1)
    try:
        wait_for(lambda: (kept / NAME).exists() and (kept / NAME).stat().st_size > 1000)
    finally:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    (logs / NAME).rename(logs / "gone with the node")
    second = start(2)
    assert second.wait(WAIT_S) == 0
    lines = (kept / NAME).read_text().splitlines()
    assert lines[:-1] == [f"launch 1 line {number}" for number in range(len(lines) - 1)]
    assert (logs / "gone with the node").read_bytes().startswith((kept / NAME).read_bytes())
    assert (kept / "0001-l2-rank0.log").read_text().splitlines() == [f"launch 2 line {n}" for n in range(21)]
