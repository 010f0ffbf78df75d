"""A study outlives its driver: interrupted, terminated or killed, it leaves nothing behind and can be gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

from autotuner.results import OutputFolder
from tests.e2e.studies import Workplace, rows, wait_for_row, wait_until
from tests.e2e.survival import ENGINE_WITH_FAMILY, Measured, family, measured

# Long enough rungs that a signal sent after one has ended hits the next.
WORKLOAD = {"scenario": "D(32,32)", "requests": {"per_slot": 16, "min": 160}}
RUNGS, TRIALS, REQUESTS = 2, 3, 160
A_RUNG = "SELECT * FROM rungs WHERE trial_id = ? AND rung = 0"
A_LAUNCH = "SELECT * FROM trials WHERE trial_id = ? AND startup_s IS NOT NULL"
CONFIRMING = "SELECT * FROM trials WHERE phase = 'confirm' AND startup_s IS NOT NULL"


class Lives:
    """One study's lives, each ended from outside, and what every one of them must keep."""

    def __init__(self, workplace: Workplace, out: Path, check_gone: Callable[..., None]) -> None:
        self._workplace = workplace
        self._out = out
        self._check_gone = check_gone
        self.before: Measured = measured(out)

    def end_by(
        self, number: int, command: list[str | Path], when: str, *values: str, group: bool = False, hang: bool = False
    ) -> int:
        """Starts a life, sends it a signal once ``when`` finds a row; returns its exit code as a shell tells it.

        With ``hang`` its server is stopped first, so that the rung can't end while the driver does.
        """
        process = self._workplace.start(*command)
        launch_id = wait_for_row(self._out, when, *values, process=process)["launch_id"]
        found = family(OutputFolder(self._out).study_id or "", launch_id)
        if hang:
            found.server.suspend()
        assert found.grandchild in self._workplace.look()
        (os.killpg if group else os.kill)(process.pid, number)
        return self._check(process)

    def complete(self) -> int:
        process = self._workplace.start("resume", self._out)
        return self._check(process)

    def _check(self, process: subprocess.Popen[str]) -> int:
        code, _ = self._workplace.finish(process)
        assert "Traceback" not in self._workplace.errors(process)
        self._check_gone(self._out, agents_too=False)
        now = measured(self._out)
        assert self.before.is_kept_in(now)
        self.before = now
        return 128 - code if code < 0 else code


def ended_rungs(out: Path) -> list[tuple[str, int]]:
    return [(row["trial_id"], row["rung"]) for row in rows(out, "SELECT * FROM rungs ORDER BY ended_at")]


def states(out: Path) -> dict[str, str]:
    return {row["trial_id"]: row["state"] for row in rows(out, "SELECT * FROM trials")}


def outputs_tell(out: Path, status: str) -> None:
    """Tables and summary were written at the end of a life, and hold all that was measured in it.

    Counted in the store: a rung that others on the machine spoiled has ended, and has no measurement.
    """
    summary = json.loads(OutputFolder(out).summary_json.read_text(encoding="utf-8"))
    assert summary["status"] == status
    assert len(pd.read_csv(OutputFolder(out).measurements_csv)) == len(rows(out, "SELECT * FROM measurements")) > 0
    assert len(pd.read_csv(OutputFolder(out).trials_csv)) == len(states(out))
    assert OutputFolder(out).report.stat().st_size > 0


@pytest.mark.fault
def test_a_study_is_completed_over_every_kind_of_death_of_its_driver(
    workplace: Workplace, tmp_path: Path, nothing_left_behind: Callable[..., None]
) -> None:
    out = tmp_path / "out"
    study = workplace.study_file(tmp_path, workload=WORKLOAD, engine=ENGINE_WITH_FAMILY)
    lives = Lives(workplace, out, nothing_left_behind)

    assert lives.end_by(signal.SIGKILL, ["run", study, "--out", out], A_RUNG, "0000", hang=True) == 137
    assert (ended_rungs(out), states(out)) == ([("0000", 0)], {"0000": "running"})

    # The driver and Ray's daemons at one stroke.
    assert lives.end_by(signal.SIGKILL, ["resume", out], A_RUNG, "0001", group=True, hang=True) == 137
    assert ended_rungs(out)[1:] == [("0000", 1), ("0001", 0)]
    assert states(out) == {"0000": "completed", "0001": "running"}

    assert lives.end_by(signal.SIGINT, ["resume", out], A_RUNG, "0002", group=True, hang=True) == 130
    assert ended_rungs(out)[3:] == [("0001", 1), ("0002", 0)]
    outputs_tell(out, "interrupted")

    assert lives.end_by(signal.SIGTERM, ["resume", out], CONFIRMING) == 143
    assert ended_rungs(out)[5] == ("0002", 1)
    outputs_tell(out, "interrupted")

    assert lives.complete() == 0
    assert_completed(out)
    nothing_left_behind(out)


@contextmanager
def sigint(handler: signal.Handlers) -> Iterator[None]:
    """Processes that are started meanwhile begin with it. A shell without job control has its background jobs ignore
    SIGINT."""
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("number", "code", "inherited"),
    [
        (signal.SIGINT, 130, signal.SIG_DFL),
        (signal.SIGINT, 130, signal.SIG_IGN),
        (signal.SIGTERM, 143, signal.SIG_DFL),
    ],
)
def test_a_study_that_is_interrupted_while_ray_starts_ends_as_any_other(
    number: int,
    code: int,
    inherited: signal.Handlers,
    workplace: Workplace,
    tmp_path: Path,
    nothing_left_behind: Callable[..., None],
) -> None:
    with sigint(inherited):
        process = workplace.start("run", workplace.study_file(tmp_path), "--out", tmp_path / "out")
    wait_until(lambda: any(found.name() == "raylet" for found in workplace.look()), "Ray's daemon")
    os.kill(process.pid, number)
    assert workplace.finish(process)[0] == code
    assert "Traceback" not in workplace.errors(process)
    nothing_left_behind(tmp_path / "out", agents_too=False)


def assert_completed(out: Path) -> None:
    trials = rows(out, "SELECT * FROM trials")
    assert set(states(out).values()) == {"completed"}
    phases = Counter(row["phase"] for row in trials)
    assert phases == {"baseline": 1, "search": TRIALS - 1, "confirm": 2}
    assert Counter(trial for trial, _ in ended_rungs(out)) == {
        row["trial_id"]: 1 if row["phase"] == "confirm" else RUNGS for row in trials
    }
    # Each request counts once, however many lives it took. On a busy machine a point may be spoiled by its client.
    spoiled = {row["trial_id"] for row in rows(out, "SELECT * FROM failures WHERE failure = 'CLIENT_SATURATED'")}
    last = rows(out, "SELECT * FROM measurements WHERE rung = ?", RUNGS - 1)
    assert {row["requests"] for row in last if row["trial_id"] not in spoiled} <= {REQUESTS}
    assert all(row["requests"] <= REQUESTS for row in last)
    # One launch a trial, and one more for the life that was cut while it ran; the confirmation may have ended in time.
    launches = Counter(log.parent.name for log in OutputFolder(out).logs.glob("*/*-rank0.log"))
    assert {trial: count for trial, count in launches.items() if "-c" not in trial} == {"0000": 2, "0001": 2, "0002": 2}
    assert sum(count for trial, count in launches.items() if "-c" in trial) in (2, 3)
    outputs_tell(out, "completed")
