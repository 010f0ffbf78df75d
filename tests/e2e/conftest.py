"""What end-to-end tests share: a study that takes seconds, and a check that nothing of it outlives the test."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autotuner.cli.main import main
from tests.e2e.studies import Ended, Told, Workplace, assert_nothing_left, paced_study


@pytest.fixture
def workplace(tiny_model: Path) -> Iterator[Workplace]:
    """A place from which the command line is run; whatever is left there at the end is killed."""
    place = Workplace(tiny_model, f"e2e-{uuid.uuid4().hex[:12]}")
    yield place
    place.close()


@pytest.fixture(scope="module")
def shared_place(tiny_model: Path) -> Iterator[Workplace]:
    """As ``workplace``, for all tests of a module."""
    place = Workplace(tiny_model, f"e2e-{uuid.uuid4().hex[:12]}")
    yield place
    place.close()


@pytest.fixture
def nothing_left_behind(workplace: Workplace) -> Callable[..., None]:
    """Checks that no process, port or lock of this test's studies is left; call it with their folders."""

    def check(*folders: Path, agents_too: bool = True) -> None:
        assert_nothing_left(workplace, *folders, agents_too=agents_too)

    return check


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    """Runs ``autotuner ARGUMENTS`` in this process: for what needs no Ray."""

    def run(*arguments: str | Path) -> Told:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Told(code, *capsys.readouterr())

    return run


@pytest.fixture
def ask(tell: Callable[..., Told]) -> Callable[..., Any]:
    """Runs ``autotuner ARGUMENTS --json``, which must succeed: the document."""

    def run(*arguments: str | Path) -> Any:
        told = tell(*arguments, "--json")
        assert told.code == 0, told.errors
        return json.loads(told.output)

    return run


@pytest.fixture(scope="session")
def ended_study(tiny_model: Path) -> Iterator[Ended]:
    """A study that has ended, for all who only look at what it left."""
    place = Workplace(tiny_model, f"e2e-{uuid.uuid4().hex[:12]}")
    folder = place.folder / "out"
    done = place.run("run", paced_study(place), "--out", folder, "--json")
    assert done.returncode == 0, done.stderr
    yield Ended(folder, place, done.stdout, done.stderr)
    place.close()
