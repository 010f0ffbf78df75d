"""StudyDraft: a study file while it is made."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

# The order in which people read a study.
SECTIONS = (
    "name",
    "model",
    "engine",
    "hardware",
    "profiles",
    "space",
    "workload",
    "timeouts",
    "slo",
    "objective",
    "search",
    "fidelity",
    "budget",
)


@dataclass
class StudyDraft:
    """``study`` is the file's content. ``origins`` tells from which key of the input a study key came, ``notes`` has
    a comment a section, and ``about`` the input's own description."""

    study: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    about: str = ""

    def put(self, value: Any, *path: str, origin: str = "") -> None:
        """Sets the value at a path; ``None`` and empty ones are left out."""
        if value is None or value in ([], {}):
            return
        place = self.study
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = value
        if origin:
            self.origins[".".join(path)] = origin

    def get(self, *path: str) -> Any:
        place: Any = self.study
        for name in path:
            place = place.get(name) if isinstance(place, dict) else None
        return place

    def note(self, section: str, text: str) -> None:
        """A comment above a section of the file."""
        self.notes.setdefault(section, []).append(text)

    def constrain(self, text: str, origin: str = "") -> None:
        constraints = self.study.setdefault("space", {}).setdefault("constraints", [])
        if text not in constraints:
            constraints.append(text)
            if origin:
                self.origins[f"constraint {text}"] = origin

    def ordered(self) -> dict[str, Any]:
        return {name: self.study[name] for name in SECTIONS if name in self.study}


def study_name(text: str) -> str:
    """A name that a study may have: letters, digits, . _ -, at most 63 of them, the first a letter or digit."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")
    return name[:63].rstrip("-._") or "study"
