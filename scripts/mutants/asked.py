"""Which tests are asked about a mutant: those that run its line, the likeliest to notice first."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from scripts.mutants.mutant import Mutant
from scripts.mutants.seen import SeenFile


@dataclass(frozen=True)
class Asked:
    """Files in the order in which they are run, and the tests that count of them."""

    tests: Mapping[Path, frozenset[str]]
    seconds: float


@dataclass(frozen=True)
class Tests:
    """The tests of all files, and the lines they run."""

    root: Path
    files: Mapping[Path, SeenFile]

    def asked(self, mutant: Mutant) -> Asked:
        """Those that run its line; of what no test runs, or all do where they import the module, every test of it.

        A default or a constant is seen by tests that run no line of its module: whole files are asked then, and tests
        of the modules that import it.
        """
        module, lines = str(mutant.path), frozenset(mutant.lines)
        # A module that a test imports is run by that test, and by all others as well.
        at_import = mutant.at_import or any(
            not lines.isdisjoint(seen.at_import.get(module, ())) for seen in self.files.values()
        )
        chosen = {} if at_import else self._that_run({module}, lines)
        if not chosen:
            chosen = self._that_run(self._importers.get(module, set()), None)
            chosen |= {file: frozenset(self.files[file].seconds) for file in self._about(mutant.path)}
        cost = {file: sum(self.files[file].seconds[test] for test in tests) for file, tests in chosen.items()}
        order = sorted(chosen, key=lambda file: (-_kinship(file, mutant.path), cost[file], file))
        return Asked({file: chosen[file] for file in order}, sum(cost.values()))

    def _about(self, module: Path) -> Set[Path]:
        """The files of tests that import a module, or of which some test runs a line of it."""
        name = ".".join(module.with_suffix("").parts)
        importing = {file for file, text in self._texts.items() if f"{name} import" in text}
        return importing | self._that_run({str(module)}, None).keys()

    def _that_run(self, modules: Set[str], lines: frozenset[int] | None) -> dict[Path, frozenset[str]]:
        """By file, the tests that run one of the lines of one of the modules; ``None``: any line."""
        chosen = {}
        for file, seen in self.files.items():
            tests = frozenset(test for test, ran in seen.lines.items() if _runs(ran, modules, lines))
            if tests:
                chosen[file] = tests
        return chosen

    @cached_property
    def _texts(self) -> dict[Path, str]:
        return {file: (self.root / file).read_text(encoding="utf-8") for file in self.files}

    @cached_property
    def _importers(self) -> dict[str, set[str]]:
        """By module, those that import it, directly or by the name of its package."""
        sources = {p: p.read_text(encoding="utf-8") for p in sorted(self.root.glob("autotuner/**/*.py"))}
        found: dict[str, set[str]] = {}
        for path, source in sources.items():
            for name in set(re.findall(r"^ *from (autotuner[\w.]*) import", source, re.MULTILINE)):
                found.setdefault(_file_of(self.root, name), set()).add(str(path.relative_to(self.root)))
        for module, importers in list(found.items()):
            for importer in list(importers):
                if importer.endswith("__init__.py"):
                    found[module] = found[module] | found.get(importer, set())
        return found


def _runs(ran: Mapping[str, frozenset[int]], modules: Set[str], lines: frozenset[int] | None) -> bool:
    return any(module in ran and (lines is None or not lines.isdisjoint(ran[module])) for module in modules)


def _file_of(root: Path, name: str) -> str:
    path = Path(*name.split("."))
    return str(path / "__init__.py" if (root / path).is_dir() else path.with_suffix(".py"))


def _kinship(test: Path, module: Path) -> int:
    """How much of the module's name the test's has."""
    words = set(re.findall(r"[a-z]+", str(test.with_suffix(""))))
    return sum(len(word) for word in re.findall(r"[a-z]+", module.stem) if word in words) + sum(
        1 for part in module.parts[1:-1] if part in words or part.rstrip("s") in words
    )
