"""What tests of survival compare before and after a kill, and how they find the process to kill."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from autotuner.results import OutputFolder
from autotuner.servers.supervision.tags import LAUNCH, STUDY
from autotuner.tuning.store_service import MEASURED_TWICE
from tests.e2e.studies import living, rows, wait_until

PROGRAM = Path(__file__).parent / "programs" / "server_with_family.py"
ENGINE_WITH_FAMILY = {"command": [sys.executable, str(PROGRAM)]}

Row = dict[str, Any]


@dataclass(frozen=True)
class Measured:
    """What an output folder holds of ended rungs and ended trials."""

    rungs: list[Row]
    measurements: list[Row]
    ended_trials: list[Row]
    requests: dict[str, bytes]
    measured_twice: int

    def is_kept_in(self, later: Measured) -> bool:
        """Whether all of it stands in ``later`` as it was, and nothing of it was measured again."""
        return (
            not later.measured_twice
            and all(row in later.rungs for row in self.rungs)
            and all(row in later.measurements for row in self.measurements)
            and all(row in later.ended_trials for row in self.ended_trials)
            and self.requests.items() <= later.requests.items()
        )


def measured(folder: Path) -> Measured:
    """What is there now. Files that belong to no ended rung are of a cut one, and are left out."""
    ended = rows(folder, "SELECT * FROM rungs")
    # What a trial held is counted until its driver, or the next one, takes that back.
    ended_trials = [
        {**row, "reserved_s": None} for row in rows(folder, "SELECT * FROM trials WHERE state != 'running'")
    ]
    requests = OutputFolder(folder).requests
    return Measured(
        rungs=ended,
        measurements=rows(folder, "SELECT * FROM measurements"),
        ended_trials=ended_trials,
        requests={row["requests_file"]: (requests / row["requests_file"]).read_bytes() for row in ended},
        measured_twice=sum(MEASURED_TWICE in row["message"] for row in rows(folder, "SELECT message FROM failures")),
    )


@dataclass(frozen=True)
class Family:
    """The processes of one launch."""

    guardian: psutil.Process
    supervisor: psutil.Process
    server: psutil.Process
    grandchild: psutil.Process

    @property
    def actor(self) -> psutil.Process:
        """The trial's own process, a Ray worker."""
        parent = self.guardian.parent()
        assert parent is not None
        return parent


def family(study: str, launch_id: str) -> Family:
    """The living processes of a launch of a server of ``ENGINE_WITH_FAMILY``."""
    found = {_kind(process): process for process in of_launch(study, launch_id)}
    server = found["llamacpp_server.py"]
    supervisor, guardian, *_ = server.parents()
    return Family(guardian, supervisor, server, found["sleep"])


def of_launch(study: str, launch_id: str) -> list[psutil.Process]:
    """Its living processes; the study's id tells them from those of other studies' launches of that name."""
    return [process for process in living(STUDY, study) if _launch_of(process) == launch_id]


def wait_for_end_of_launch(study: str, launch_id: str) -> None:
    wait_until(lambda: not of_launch(study, launch_id), f"the last process of {launch_id} to end")


def _launch_of(process: psutil.Process) -> str:
    try:
        return process.environ().get(LAUNCH, "").partition("/")[0]
    except psutil.Error:
        return ""  # it ended meanwhile


def _kind(process: psutil.Process) -> str:
    """The name of the script it runs, else of its program."""
    words = process.cmdline()
    return next((Path(word).name for word in words if word.endswith(".py")), Path(words[0]).name)
