"""What tests of real processes share: a mark by which a test knows its own, and a check that all are gone."""

from __future__ import annotations

import os
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

PROGRAMS = Path(__file__).parent / "programs"


def marked_processes(mark: str) -> list[psutil.Process]:
    """Every living process with ``mark`` anywhere in its environment, this one excepted."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and mark in " ".join(process.environ().values()):
                found.append(process)
        except psutil.Error:
            continue
    return [process for process in found if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def programs() -> Path:
    return PROGRAMS


@pytest.fixture
def mark() -> Iterator[str]:
    """A word for the environment of this test's processes; what carries it at the end is killed."""
    word = f"mark-{uuid.uuid4().hex}"
    yield word
    for process in marked_processes(word):
        process.kill()


@pytest.fixture
def alive(mark: str) -> Callable[[], list[psutil.Process]]:
    """The living processes of this test: those that carry its mark."""
    return lambda: marked_processes(mark)


@pytest.fixture
def nvml(tmp_path: Path, programs: Path) -> Callable[..., Path]:
    """Compiles libnvidia-ml.so.1, as programs/nvml.c has it; gives its folder."""

    def compiled(*macros: str) -> Path:
        folder = tmp_path / "nvml"
        folder.mkdir()
        library = folder / "libnvidia-ml.so.1"
        options = ["-shared", "-fPIC", "-nostdlib", "-Werror", *(f"-D{macro}" for macro in macros)]
        subprocess.run(["gcc", *options, "-o", str(library), str(programs / "nvml.c")], check=True)
        return folder

    return compiled


@pytest.fixture
def own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lock files of this test's own, so that other studies on the machine don't meddle; inherited by children."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder
