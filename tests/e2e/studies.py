"""A small, fast study of a real llama.cpp server, and the command line run on it as a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from autotuner.results import OutputFolder
from autotuner.servers.supervision.tags import STUDY

AUTOTUNER = (sys.executable, "-m", "autotuner.cli.main")
MARK = "E2E_MARK"
WAIT_S = 300.0  # generous: other studies of this machine may hold its cores
_RAY_AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")
_GONE_WITHIN_S = 180.0  # Ray's own processes need some seconds to notice a dead driver
_POLL_S = 0.1
PROGRAMS = Path(__file__).parent / "programs"


def study_keys(model: Path, mark: str) -> dict[str, Any]:
    """Two Configs beside the default, which serves one request at a time and so loses by far."""
    return {
        "name": "tiny",
        "model": {"id": str(model), "served_name": mark},  # so that each test's study has an id of its own
        "engine": {"name": "llamacpp", "args": {"ctx-size": 2048, "threads": 1}},
        "space": {"parameters": {"parallel": [2, 4], "batch-size": [256, 512]}},
        "workload": {
            "scenario": "D(32,8)",
            "load": {"concurrency": [4]},
            "requests": {"per_slot": 4, "min": 32},
            "client_lag_ms": 10_000,  # how late it is says how busy the machine is, and nothing of what is tested
        },
        "timeouts": {"start_s": 300, "request_s": 60, "rung_s": 300},
        "objective": "ttft_p50",
        "search": {
            "algorithm": "random",
            "trials": 3,
            "baseline": {"parallel": 1},
            "confirm": 1,
            "finalists": 1,
            "heed_disturbance": False,  # other tests run beside it: every load point would be measured twice
        },
        "fidelity": {"trial_scheduler": "none", "rungs": 2, "eta": 2},
    }


def mock_engine(fault: str = "") -> dict[str, Any]:
    """An ``engine`` section whose server is a program of known times and faults, told by its environment."""
    return {"command": [sys.executable, str(PROGRAMS / "mock_engine.py")], "env": {"FAULT": fault}}


def paced_study(place: Workplace, **overrides: Any) -> Path:
    """A study of servers with known times: 1200 ms to the first token by default, 600 and 900 in the space.

    Times are long beside what a busy machine adds, so that who wins is certain, and that a client which the machine
    keeps waiting is not late enough to be saturated.
    """
    keys: dict[str, Any] = {
        "name": "paced",
        "engine": mock_engine(),
        "space": {"parameters": {"parallel": [1], "batch-size": [512], "env.TTFT_MS": ["600", "900"]}},
        "workload": {"requests": {"per_slot": 4, "min": 24}},
        "slo": {"ttft": {"p50": {"threshold_ms": 1050}}},
        "search": {"algorithm": "grid", "baseline": {"env.TTFT_MS": "1200"}, "confirm": 2, "finalists": None},
    }
    return place.study_file(place.folder, **merged(keys, overrides))


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``changes`` laid over it; mappings are merged, all else replaced."""
    both = dict(base)
    for key, value in changes.items():
        inner = both.get(key)
        both[key] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return both


@dataclass
class Workplace:
    """What one test starts: everything carries its mark and lives in its own temporary folder.

    Locks on cores and ports lie in that folder too, so that no other study has a part in what a test sees.
    The folder's path is short: Ray puts sockets there, whose names must be.
    """

    model: Path
    mark: str
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="at-", dir="/tmp")))
    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    seen: set[psutil.Process] = field(default_factory=set)
    variables: dict[str, str] = field(default_factory=dict)  # of the environment, as a shell has exported them

    @property
    def environment(self) -> dict[str, str]:
        is_rays = re.compile("RAY_(?!AUTH_)")  # the token of a cluster that this process has started is kept
        kept = {name: value for name, value in os.environ.items() if not is_rays.match(name)}
        folders = {"TMPDIR": str(self.folder), "RAY_TMPDIR": str(self.folder)}
        return {**kept, MARK: self.mark, **folders, **self.variables}

    def study_file(self, folder: Path, **overrides: Any) -> Path:
        """Writes the small study, with ``overrides`` merged in (``search={"trials": 1}``)."""
        path = folder / "study.yaml"
        keys = merged(study_keys(self.model, self.mark), overrides)
        path.write_text(yaml.safe_dump(keys, sort_keys=False), encoding="utf-8")
        return path

    def start(self, *arguments: str | Path, **variables: str) -> subprocess.Popen[str]:
        """``autotuner ARGUMENTS`` as the leader of a session and process group of its own."""
        log = (self.folder / f"command-{len(self.processes)}.err").open("w", encoding="utf-8")
        with log:
            process = subprocess.Popen(
                [*AUTOTUNER, *map(str, arguments)],
                env={**self.environment, **variables},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def errors(self, process: subprocess.Popen[str]) -> str:
        """What a started command has written on standard error."""
        return (self.folder / f"command-{self.processes.index(process)}.err").read_text(encoding="utf-8")

    def finish(self, process: subprocess.Popen[str], timeout_s: float = 600.0) -> tuple[int, str]:
        """Waits for a started command: its exit code and standard output."""
        output, _ = process.communicate(timeout=timeout_s)
        return process.returncode, output

    def run(
        self, *arguments: str | Path, timeout_s: float = 600.0, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """``autotuner ARGUMENTS`` to its end."""
        process = self.start(*arguments, **variables)
        code, output = self.finish(process, timeout_s)
        return subprocess.CompletedProcess(process.args, code, output, self.errors(process))

    def look(self) -> set[psutil.Process]:
        """Notes every living process of this test: those with the mark, and all descendants of those.

        Some of Ray's processes overwrite their environment with their title; their parents still tell.
        """
        found = set(living(MARK, self.mark))
        for process in list(found):
            with contextlib.suppress(psutil.Error):
                found.update(process.children(recursive=True))
        self.seen |= found
        return found

    def left(self) -> list[psutil.Process]:
        """Those of this test's processes that still run, the ones seen earlier included."""
        self.look()
        return [process for process in self.seen if is_running(process)]

    def close(self) -> None:
        """Ends what a failed test left, and removes the folder."""
        for process in self.left():
            with contextlib.suppress(psutil.Error):
                process.kill()
        for started in self.processes:
            started.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class Told:
    """What a command gave back: exit code, standard output, standard error."""

    code: int
    output: str
    errors: str

    @property
    def document(self) -> Any:
        """Standard output, which must be one JSON document."""
        return json.loads(self.output)


@dataclass(frozen=True)
class Ended:
    """A study that has ended: its folder, and what ``run --json`` printed."""

    folder: Path
    place: Workplace
    output: str
    errors: str

    @property
    def summary(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.folder / "summary.json").read_text(encoding="utf-8"))
        return document


def assert_nothing_left(place: Workplace, *folders: Path, agents_too: bool = True) -> None:
    """No process, port, lock or work folder of these studies is left, and none that this workplace's commands started.

    Ray's agents take a minute to end after a kill -9 of the driver: unless ``agents_too`` they may be there yet, and
    the folders that the next life's reaper removes.
    """
    ids = [study for folder in folders if (study := OutputFolder(folder).study_id)]
    wait_until(lambda: not any(living(STUDY, study) for study in ids), "servers to end", _GONE_WITHIN_S)

    def are_gone() -> bool:
        return all(is_ray_agent(process) and not agents_too for process in place.left())

    wait_until(are_gone, f"the end of {place.left()}", _GONE_WITHIN_S)
    assert not locked_files(place.folder)
    assert not agents_too or not list(place.folder.glob("autotuner-*/.owner.json"))
    assert not [port for port in leased_ports(place.folder) if listens_here(place, port)]


def listens_here(place: Workplace, port: int) -> bool:
    """Whether somebody listens on a port that this workplace has leased, and no test that runs beside this one.

    These may have got a port that was given back, for their locks lie elsewhere.
    """
    listening = [c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN and c.laddr]
    pids = [c.pid for c in listening if getattr(c.laddr, "port", None) == port]
    return any(pid is None or not _is_of_another_test(place, pid) for pid in pids)


def _is_of_another_test(place: Workplace, pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        mark = process.environ().get(MARK, place.mark)
        above = {parent.pid for parent in process.parents()}
        workers = {worker.pid for worker in psutil.Process(os.getppid()).children()} - {os.getpid()}
    except psutil.Error:
        return False
    return mark != place.mark or bool(above & workers)


def is_running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def is_ray_agent(process: psutil.Process) -> bool:
    try:
        return process.cmdline()[0].strip() in _RAY_AGENTS
    except (psutil.Error, IndexError):
        return False


def living(name: str, value: str) -> list[psutil.Process]:
    """Every living process, this one excepted, whose environment has ``name=value``."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(name) == value:
                found.append(process)
        except psutil.Error:
            continue
    return [process for process in found if is_running(process)]


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = WAIT_S) -> Any:
    """The first true value of ``condition``; fails, naming ``what``, when none comes."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s for {what}"
        time.sleep(_POLL_S)
    return value


def rows(folder: Path, query: str, *values: Any) -> list[dict[str, Any]]:
    """Rows of the study's results.sqlite; none while it is not there yet."""
    database = OutputFolder(folder).database
    if not database.exists():
        return []
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute(query, values)]
    except sqlite3.OperationalError:
        return []  # its tables are being made
    finally:
        connection.close()


def wait_for_row(
    folder: Path, query: str, *values: Any, process: subprocess.Popen[str] | None = None
) -> dict[str, Any]:
    """Waits until ``query`` finds a row in results.sqlite; fails at once when ``process`` has ended without."""

    def found() -> list[dict[str, Any]]:
        ended = process is not None and process.poll() is not None
        answer = rows(folder, query, *values)
        assert answer or not ended, f"the command ended before {query!r} found anything"
        return answer

    first: dict[str, Any] = wait_until(found, f"a row of {query!r}")[0]
    return first


def locked_files(folder: Path) -> Sequence[Path]:
    """The lock files of cores and ports below a workplace's folder that some process still holds."""
    import fcntl

    held = []
    for path in folder.glob("autotuner-*/*/*.lock"):
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held.append(path)
    return held


def leased_ports(folder: Path) -> list[int]:
    """Every port that a server of this workplace has ever leased."""
    return sorted(int(path.stem) for path in folder.glob("autotuner-*/ports/*.lock"))


def stop_group(process: subprocess.Popen[str], number: int = signal.SIGINT) -> None:
    """A signal to the command's whole process group, as a terminal sends Ctrl-C."""
    os.killpg(process.pid, number)
