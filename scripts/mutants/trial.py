"""One mutant's trial: its module is imported as changed, and the tests that run the changed line are run."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path

import pytest

from scripts.mutants.asked import Asked, Tests
from scripts.mutants.forks import Ended, run_forks, run_pytest
from scripts.mutants.mutant import Mutant

_FIRST = 3  # files, the likeliest to notice: most others need not even be imported
_SHORTEST_LIMIT_S = 30.0
_SLOWER = 5.0  # than under coverage, on a busy machine, before a mutant counts as one that hangs


class Verdict(StrEnum):
    """NOTICED: a test failed, or the module can't be imported; HUNG: a test went on and on, which is noticed too."""

    NOTICED = "noticed"
    HUNG = "hung"
    SURVIVED = "survived"

    @property
    def is_noticed(self) -> bool:
        return self is not Verdict.SURVIVED


@dataclass(frozen=True)
class _Job:
    mutant: Mutant
    asked: Asked


def try_mutants(
    mutants: Sequence[Mutant], tests: Tests, at_once: int, folder: Path
) -> Iterator[tuple[Mutant, Verdict, Ended | None]]:
    """The verdict of each, as it comes. Raises RuntimeError where tests could not be run."""
    jobs = [_Job(mutant, tests.asked(mutant)) for mutant in mutants]
    for job in (job for job in jobs if not job.asked.tests):
        yield job.mutant, Verdict.SURVIVED, None
    folder.mkdir(parents=True, exist_ok=True)
    runnable = [job for job in jobs if job.asked.tests]
    for job, ended in run_forks(runnable, _run, _limit_s, at_once, folder):
        yield job.mutant, _verdict(job.mutant, ended), ended


def _limit_s(job: _Job) -> float:
    return _SHORTEST_LIMIT_S + _SLOWER * job.asked.seconds


def _verdict(mutant: Mutant, ended: Ended) -> Verdict:
    match ended.code:
        case None:
            return Verdict.HUNG
        case 0:
            return Verdict.SURVIVED
        case pytest.ExitCode.TESTS_FAILED | pytest.ExitCode.INTERRUPTED:  # the latter: its import fails
            return Verdict.NOTICED
    raise RuntimeError(f"{mutant}: pytest ended with {ended.code}: see {ended.output}")


def _run(job: _Job) -> int:
    module = ".".join(job.mutant.path.with_suffix("").parts).removesuffix(".__init__")
    sys.meta_path.insert(0, _Finder(module, str(job.mutant.path.absolute()), job.mutant.source))
    files = list(job.asked.tests)
    for part in (files[:_FIRST], files[_FIRST:]):
        code = run_pytest(["-x", *map(str, part)], [_Chosen(job.asked.tests)]) if part else 0
        if code:
            return code
    return 0


class _Chosen:
    """Of the files that are collected, runs the tests that were chosen."""

    def __init__(self, tests: Mapping[Path, frozenset[str]]) -> None:
        self._tests = frozenset().union(*tests.values())

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if item.nodeid in self._tests]


@dataclass(frozen=True)
class _Finder(MetaPathFinder):
    """Finds the one module that is changed; all others are found as ever."""

    module: str
    path: str
    source: str

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.module:
            return None
        return spec_from_file_location(fullname, self.path, loader=_ChangedLoader(fullname, self.path, self.source))


class _ChangedLoader(SourceFileLoader):
    """Compiles the text it was given in place of the file's, and keeps no bytecode of it."""

    def __init__(self, fullname: str, path: str, source: str) -> None:
        super().__init__(fullname, path)
        self._source = source

    def get_code(self, fullname: str) -> types.CodeType:
        return compile(self._source, self.path, "exec", dont_inherit=True)
