"""One study under fire: started as a command of its own, watched through its store, checked for what it left."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psutil
import pyarrow.lib
import yaml

from autotuner.results import OutputFolder
from autotuner.results.storage.requests_file import read_requests
from autotuner.servers.supervision.tags import STUDY, TRIAL
from autotuner.tuning.store_service import MEASURED_TWICE

_SERVER = str(Path(__file__).with_name("chaos_server.py"))
_CONTAINER_OWNER = "autotuner.servers.docker.rank"
_AUTOTUNER = (sys.executable, "-m", "autotuner.cli.main")
_POLL_S = 0.1
_RUNGS = 2
MOST_INJECTIONS = 7  # into one study: its space has no more Configs
_LEFT_AFTER_S = 40.0  # Ray notices a dead driver, actor or node within seconds, not at once

Row = dict[str, Any]


def trials_for(injections: int) -> int:
    """Enough for each fault to meet a trial that none has met before."""
    return 2 + 2 * injections


def study_keys(model: Path, mark: str, trials: int, **sections: Any) -> Row:
    """A few Configs of a real llama.cpp server, one logical GPU a trial, two rungs of a few seconds."""
    return {
        "name": "chaos",
        "model": {"id": str(model), "served_name": mark},
        "engine": {
            "name": "llamacpp",
            "command": ["nice", sys.executable, _SERVER],  # so that the client is not late beside it
            "args": {"ctx-size": 2048, "threads": 1},
        },
        "hardware": {"accelerators": ["H100-80GB"], "gpus_per_server": 1},
        "space": {"parameters": {"parallel": [1, 2], "batch-size": [128, 256, 512, 1024], "ubatch-size": [64, 128]}},
        "workload": {"scenario": "D(600,8)", "load": {"concurrency": [1]}, "requests": {"per_slot": 4, "min": 24}},
        "timeouts": {"start_s": 60, "request_s": 6, "rung_s": 40},
        "objective": "ttft_p50",
        "search": {"algorithm": "random", "trials": trials, "confirm": 0, "max_concurrent_trials": 2},
        "fidelity": {"trial_scheduler": "none", "rungs": _RUNGS, "eta": 2},
        **sections,
    }


@dataclass
class StudyUnderFire:
    """``folder`` holds the study file and its output; ``snapshots`` are the rungs that had ended at some moments."""

    folder: Path
    keys: Row
    address: str
    deadline_s: float
    process: subprocess.Popen[bytes] | None = None
    snapshots: list[dict[tuple[str, int], Row]] = field(default_factory=list)

    @property
    def out(self) -> OutputFolder:
        return OutputFolder(self.folder / "out")

    @property
    def study_id(self) -> str:
        return self.out.study_id or ""

    @property
    def trials(self) -> int:
        return int(self.keys["search"]["trials"])

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / "study.yaml"
        file.write_text(yaml.safe_dump(self.keys), encoding="utf-8")
        self._command("run", str(file), "--address", self.address, "--out", str(self.out.path))

    def kill(self) -> None:
        """kill -9 of the driver, where it has not ended."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def resume(self) -> None:
        self._command("resume", str(self.out.path), "--address", self.address)

    def wait(self) -> bool:
        """Waits for the command to end; whether it did so in time and by itself, and every trial has its score:
        as many as were asked for, all of them completed, since nothing stops one of them early.

        One that does not end is left to ``kill``.
        """
        assert self.process is not None
        try:
            code = self.process.wait(self.deadline_s)
        except subprocess.TimeoutExpired:
            return False
        ended = [row["state"] for row in self.rows("SELECT state FROM trials")]
        return code in (0, 1) and self.status() == "completed" and ended == ["completed"] * self.trials

    def _command(self, *arguments: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_ADDRESS")}
        with (self.folder / "command.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*_AUTOTUNER, *arguments], env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def log(self) -> str:
        """What the command has said last."""
        return (self.folder / "command.log").read_text(encoding="utf-8", errors="replace")[-4000:]

    # ── the store ─────────────────────────────────────────────────────────────────────────────

    def rows(self, query: str) -> list[Row]:
        if not self.out.database.exists():
            return []
        connection = sqlite3.connect(f"file:{self.out.database}?mode=ro", uri=True, timeout=30)
        connection.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in connection.execute(query)]
        except sqlite3.OperationalError:
            return []  # its tables are being made
        finally:
            connection.close()

    def status(self) -> str:
        return next((row["status"] for row in self.rows("SELECT status FROM studies")), "")

    def rungs(self) -> dict[tuple[str, int], Row]:
        return {(row["trial_id"], row["rung"]): row for row in self.rows("SELECT * FROM rungs")}

    def missing_rungs(self) -> set[tuple[str, int]]:
        """Those of completed trials that are not in the store, or whose raw requests can't be read."""
        completed = [row["trial_id"] for row in self.rows("SELECT trial_id FROM trials WHERE state = 'completed'")]
        found = {key for key, row in self.rungs().items() if _has_requests(self.out.requests / row["requests_file"])}
        return {(trial, rung) for trial in completed for rung in range(_RUNGS)} - found

    def measured_twice(self) -> int:
        return sum(MEASURED_TWICE in row["message"] for row in self.rows("SELECT message FROM failures"))

    def take_snapshot(self) -> None:
        self.snapshots.append(self.rungs())

    @property
    def has_ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def measured_trials(self) -> set[str]:
        """Those whose server has started and that have not ended."""
        return {row["trial_id"] for row in self.rows("SELECT * FROM trials WHERE startup_s > 0 AND state = 'running'")}

    def servers(self) -> dict[int, str]:
        """The processes of ``chaos_server`` of this study, or those that own its containers, and their trials."""
        found = {}
        for process in tagged(self.study_id):
            with contextlib.suppress(psutil.Error):
                trial = process.environ().get(TRIAL)  # none once it has ended
                if trial and {_SERVER, _CONTAINER_OWNER} & {*process.cmdline()}:
                    found[process.pid] = trial
        return found

    def node_of(self, trial_id: str) -> str:
        """The first digits of the id of the node that a trial was last on."""
        [node] = [row["node"] for row in self.rows("SELECT * FROM trials") if row["trial_id"] == trial_id]
        return str(node).rpartition("/")[2]


def actor_of(server: psutil.Process) -> psutil.Process | None:
    """The Ray worker that owns a server."""
    with contextlib.suppress(psutil.Error):
        for parent in server.parents():
            if "ray::" in " ".join(parent.cmdline()):
                return parent
    return None


@dataclass(frozen=True)
class Damage:
    """What a study's injections cost: all of it must be nothing, but for ``completed``."""

    completed: bool
    rungs_lost: int
    rungs_twice: int
    trials_beyond_budget: int
    processes_left: int
    containers_left: int
    placement_groups_left: int


class Groups(Protocol):
    """A cluster, as far as it can be asked for placement groups that were left."""

    def placement_groups(self) -> int: ...


def assess(study: StudyUnderFire, cluster: Groups, completed: bool, containers: Callable[[], int]) -> Damage:
    """Compares the ended study with what had been measured before, and waits for what must go by itself.

    A rung is lost that had ended and is not as it was, that a completed trial lacks, or whose raw requests are gone.
    """
    final = study.rungs()
    changed = {key for snapshot in study.snapshots for key, row in snapshot.items() if final.get(key) != row}
    searched = len(study.rows("SELECT 1 FROM trials WHERE phase IN ('baseline', 'search')"))
    wait_for(lambda: not tagged(study.study_id) and not cluster.placement_groups() and not containers(), _LEFT_AFTER_S)
    return Damage(
        completed=completed,
        rungs_lost=len(changed | study.missing_rungs()),
        rungs_twice=study.measured_twice(),
        trials_beyond_budget=max(0, searched - study.trials),
        processes_left=len(tagged(study.study_id)),
        containers_left=containers(),
        placement_groups_left=cluster.placement_groups(),
    )


def _has_requests(file: Path) -> bool:
    try:
        return any(run.records for run in read_requests(file))
    except (OSError, pyarrow.lib.ArrowException):
        return False


def tagged(study_id: str) -> list[psutil.Process]:
    """Every living process that carries the study's tag."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(STUDY) == study_id and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def wait_for(condition: Callable[[], Any], timeout_s: float) -> Any:
    """The first true value of ``condition``, or its last one when time is up."""
    ends_at = time.monotonic() + timeout_s
    while not (value := condition()) and time.monotonic() < ends_at:
        time.sleep(_POLL_S)
    return value
