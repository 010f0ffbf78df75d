"""Problem: one thing that is wrong with a study, and how several become one StudyError."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from autotuner.errors import StudyError
from autotuner.nearest import nearest_word

_MOST_SHOWN = 5
_MOST_CHARACTERS = 80


@dataclass(frozen=True)
class Problem:
    """``key`` is the path in the study file, ``rule`` what must hold, ``nearest`` the closest valid name."""

    key: str
    value: Any
    rule: str
    nearest: str | None = None
    shows_value: bool = True

    @property
    def text(self) -> str:
        shown = f" {short(self.value)}:" if self.shows_value else ""
        hint = f"; did you mean {self.nearest!r}?" if self.nearest is not None else ""
        return f"{self.key}:{shown} {self.rule}{hint}"

    def as_dict(self) -> dict[str, Any]:
        value = self.value if self.shows_value else None
        return {"key": self.key, "value": value, "rule": self.rule, "nearest": self.nearest}


def study_error(problems: Sequence[Problem]) -> StudyError:
    """One error for all of them: the first one's fields, a line each for up to five, and how many more there are."""
    lines = [problem.text for problem in problems[:_MOST_SHOWN]]
    if len(problems) > _MOST_SHOWN:
        lines[-1] += f" (and {len(problems) - _MOST_SHOWN} more: --json tells all)"
    return StudyError("\n".join(lines), **problems[0].as_dict(), problems=[problem.as_dict() for problem in problems])


def nearest_name(name: object, known: Iterable[str], cutoff: float = 0.5) -> str | None:
    """The known name that ``name`` means or may be a misspelling of; ``cutoff``: how alike they must be, up to 1."""
    return nearest_word(name, known, cutoff)


def short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"
