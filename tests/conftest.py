"""Fixtures that tests of several rooms share, and how tests are laid beside one another."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.side_by_side import ALONE, LongOnesFirst, Room, in_order, is_alone

ROOT = Path(__file__).parent.parent
# How long an example takes says how busy the machine is, and nothing of what is tested.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
_FOLDER = pytest.StashKey[Path]()
_ROOM = pytest.StashKey[Room]()


def pytest_configure(config: pytest.Config) -> None:
    """A worker has a temporary folder of its own: locks on cores and ports, and what is left over, lie there."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell without job control
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("numprocesses", None):  # this process hands tests out
        config.option.loadscopereorder = False
    if (given := getattr(config, "workerinput", None)) is None:
        return
    folder = Path(tempfile.mkdtemp(prefix="at-", dir="/tmp"))  # Ray puts sockets there, whose names must be short
    config.stash[_FOLDER] = folder
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    config.stash[_ROOM] = Room(Path(given["room"]))


def pytest_unconfigure(config: pytest.Config) -> None:
    if (folder := config.stash.get(_FOLDER, None)) is not None:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tells a worker where the others are."""
    stash = node.config.stash
    if _FOLDER not in stash:
        stash[_FOLDER] = Path(tempfile.mkdtemp(prefix="at-room-"))
    node.workerinput["room"] = str(stash[_FOLDER])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LongOnesFirst:
    return LongOnesFirst(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if _ROOM in config.stash:
        items[:] = in_order(items)
        for item in filter(is_alone, items):
            item.add_marker(pytest.mark.xdist_group(ALONE))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """What is there by now stays to the end: garbage is not looked for in it again and again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Before the test's own time begins to run."""
    room = item.config.stash.get(_ROOM, None)
    if room is None:
        return (yield)
    with room.entered(alone=is_alone(item)):
        return (yield)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The laptop study's model, written by its own script."""
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    script = ROOT / "examples" / "laptop" / "make_model.py"
    subprocess.run([sys.executable, str(script), "--out", str(path)], check=True, capture_output=True, timeout=60)
    return path
