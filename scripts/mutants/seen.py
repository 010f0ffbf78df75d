"""Which test runs which line: each file of tests is run once under coverage, and again when something changed."""

from __future__ import annotations

import functools
import gc
import hashlib
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import coverage
import pytest

from scripts.mutants.forks import OURS, run_forks, run_pytest

_LIMIT_S = 600.0
_NO_TEST = ""  # coverage's context where none is set
_GOOD = (int(pytest.ExitCode.OK), int(pytest.ExitCode.NO_TESTS_COLLECTED))


@dataclass(frozen=True)
class SeenFile:
    """A file of tests: by test, the seconds it took and the lines it ran of each module; and the lines that were run
    where a module was imported, by no test."""

    seconds: Mapping[str, float]
    lines: Mapping[str, Mapping[str, frozenset[int]]]
    at_import: Mapping[str, frozenset[int]]


class FailingTestsError(Exception):
    """Tests fail without any mutant, so that they would notice everything."""


def see(root: Path, files: Sequence[Path], cache: Path, at_once: int) -> dict[Path, SeenFile]:
    """What each file's tests run. Raises FailingTestsError."""
    cache.mkdir(parents=True, exist_ok=True)
    seeing = _Seeing(root, cache)
    fresh = [file for file in files if not seeing.is_known(file)]
    print(f"tests under coverage: {len(fresh)} of {len(files)} files, the others are known", file=sys.stderr)
    failing = []
    for file, ended in run_forks(fresh, seeing.run, lambda _: _LIMIT_S, at_once, cache):
        if ended.code not in _GOOD:
            failing.append(f"{file}\n{ended.output.read_text(encoding='utf-8', errors='replace')[-2000:]}")
    if failing:
        raise FailingTestsError("these fail without a mutant:\n" + "\n".join(failing))
    return {file: seeing.read(file) for file in files}


def _beside(root: Path, file: Path) -> list[Path]:
    """What a file of tests rests on but for modules: helpers that it names, ``conftest.py``, data in its folder."""
    text = (root / file).read_text(encoding="utf-8")
    helpers = [path for path in sorted((root / "tests").glob("*.py")) if path.stem in text]
    conftests = [folder / "conftest.py" for folder in file.parents if (root / folder / "conftest.py").exists()]
    data = [path for path in sorted((root / file.parent).rglob("*")) if path.is_file() and ".py" not in path.suffix]
    return [file, *conftests, *(path.relative_to(root) for path in (*helpers, *data))]


def _digest(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file}\0".encode() + (file.read_bytes() if file.exists() else b""))
    return digest.hexdigest()[:32]


@dataclass(frozen=True)
class _Seeing:
    """What is known of a file of tests holds until it, what it rests on, or a module that its tests ran has changed."""

    root: Path
    cache: Path

    def is_known(self, file: Path) -> bool:
        document = self._document(file)
        return document is not None and document["made_of"] == self._made_of(file, document["made_of"]["modules"])

    def read(self, file: Path) -> SeenFile:
        document = self._document(file)
        assert document is not None
        lines = {test: {m: frozenset(ran) for m, ran in modules.items()} for test, modules in document["lines"].items()}
        at_import = {module: frozenset(ran) for module, ran in document["at_import"].items()}
        return SeenFile(document["seconds"], lines, at_import)

    def run(self, file: Path) -> int:
        """Runs its tests under coverage, in a fork; returns what pytest does."""
        measured = coverage.Coverage(data_file=None, source=[str(self.root / "autotuner")], config_file=False)
        contexts = _Contexts(measured)
        measured.start()
        code = run_pytest([str(file)], [contexts])
        measured.stop()
        if code not in _GOOD:
            return code
        lines: dict[str, dict[str, list[int]]] = {test: {} for test in (_NO_TEST, *contexts.seconds)}
        data = measured.get_data()
        for path in data.measured_files():
            module = str(Path(path).relative_to(self.root))
            for line, tests in data.contexts_by_lineno(path).items():
                for test in tests:
                    lines[test].setdefault(module, []).append(line)
        at_import = lines.pop(_NO_TEST)
        made_of = self._made_of(file, sorted({module for modules in lines.values() for module in modules}))
        document = {"made_of": made_of, "seconds": contexts.seconds, "lines": lines, "at_import": at_import}
        self._kept(file).write_text(json.dumps(document), encoding="utf-8")
        return code

    def _made_of(self, file: Path, modules: Sequence[str]) -> dict[str, Any]:
        return {"modules": list(modules), "digest": _digest([*_beside(self.root, file), *map(Path, modules)])}

    def _document(self, file: Path) -> dict[str, Any] | None:
        try:
            document: dict[str, Any] = json.loads(self._kept(file).read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):  # none yet, or cut short
            return None
        return document

    def _kept(self, file: Path) -> Path:
        return self.cache / f"{'-'.join(file.with_suffix('').parts)}.json"


class _Contexts:
    """Tells coverage which test runs, and empties caches between tests: a cached line is run by the first one alone."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self.seconds: dict[str, float] = {}
        self._measured = measured

    def pytest_collection_finish(self) -> None:
        self._caches = [c for c in gc.get_objects() if isinstance(c, functools._lru_cache_wrapper) and _is_ours(c)]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        for cached in self._caches:
            cached.cache_clear()
        self._measured.switch_context(item.nodeid)
        began = time.monotonic()
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] = time.monotonic() - began
            self._measured.switch_context(_NO_TEST)


def _is_ours(cached: Any) -> bool:
    return str(getattr(cached, "__module__", "")).partition(".")[0] in OURS
