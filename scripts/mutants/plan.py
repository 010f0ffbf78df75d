"""What is changed, which tests are asked, and what they have to notice: ``mutants.toml``."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

from scripts.mutants.mutant import Mutant

PLAN = Path(__file__).with_name("mutants.toml")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Room(_Part):
    """Modules that are judged together; ``least``: the share to be noticed, else the whole's alone counts."""

    name: str
    modules: tuple[str, ...]
    without: tuple[str, ...] = ()
    least: float = 0.0

    def paths(self, root: Path) -> list[Path]:
        """The files, relative to ``root``. Raises ValueError for a pattern that nothing matches."""
        left_out = _matching(root, self.without)
        return [path for path in _matching(root, self.modules) if path not in left_out]


class Alike(_Part):
    """A mutant that no test can tell from the code. ``was``, ``now``: its line without the indent; without ``now``, any
    mutant of that line."""

    module: str
    was: str
    now: str | None = None
    because: str

    def holds_for(self, mutant: Mutant) -> bool:
        if str(mutant.path) != self.module or mutant.text != self.was:
            return False
        return self.now is None or self.now in [line[1:].strip() for line in mutant.diff if line.startswith("+")]


class Plan(_Part):
    tests: tuple[str, ...]
    tests_without: tuple[str, ...]
    warm: tuple[str, ...]
    least_overall: float
    draw_at_least: int
    rooms: tuple[Room, ...]
    alike: tuple[Alike, ...] = ()

    @classmethod
    def read(cls, path: Path = PLAN) -> Self:
        return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))

    def test_files(self, root: Path) -> list[Path]:
        """Relative to ``root``."""
        left_out = _matching(root, self.tests_without)
        found = _matching(root, tuple(f"{folder}/test_*.py" for folder in self.tests))
        return [path for path in found if path not in left_out]


def _matching(root: Path, patterns: tuple[str, ...]) -> list[Path]:
    found: list[Path] = []
    for pattern in patterns:
        matching = sorted(path.relative_to(root) for path in root.glob(pattern))
        if not matching:
            raise ValueError(f"{PLAN.name}: no file matches {pattern!r}")
        found += matching
    return found
