"""Models that are known without their files: of each its config.json, as far as public sources state it.

The data is in search_spaces/model/known; what it does not say is not known.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from autotuner.strict.forms import Section
from autotuner.strict.paths import shipped_spaces
from autotuner.strict.validate import validate
from autotuner.strict.yaml_text import parse_yaml

_CLOSE = 0.85  # how alike two ids are of which one may be a slip of the pen


class _Entry(Section):
    """``also``: ids of the same shape, context and format. ``like``: an id of the same file, which it differs from."""

    source: Annotated[str, Field(min_length=1)]
    like: str | None = None
    also: list[str] = []  # noqa: RUF012  # pydantic copies defaults
    config: dict[str, Any] = {}  # noqa: RUF012


@dataclass(frozen=True)
class RegisteredModel:
    """``config`` is the content of its config.json in part, ``source`` who states it."""

    config: Mapping[str, Any]
    source: str


def registered_model(model_id: str) -> RegisteredModel | None:
    """What is registered of the model of that hub id, as it is written."""
    for file, text in _texts().items():
        if model_id not in text:
            continue
        entries = _entries(file)
        for name, entry in entries.items():
            if model_id in (name, *entry.also):
                return _resolved(entries, name)
    return None


def registered_ids() -> tuple[str, ...]:
    listed = [(name, *entry.also) for file in _texts() for name, entry in _entries(file).items()]
    return tuple(sorted(name for names in listed for name in names))


def nearest_registered(model_id: str) -> str | None:
    """The registered id that ``model_id`` may be a slip of: a letter or its case, or its organisation left out."""
    known = {name.lower(): name for name in registered_ids()}
    wanted = model_id.lower()
    if "/" not in wanted:
        known = {name.rpartition("/")[2]: full for name, full in known.items()}
    found = difflib.get_close_matches(wanted, known, n=1, cutoff=_CLOSE)
    return known[found[0]] if found else None


def _resolved(entries: Mapping[str, _Entry], name: str) -> RegisteredModel:
    entry = entries[name]
    if entry.like is None:
        return RegisteredModel(entry.config, entry.source)
    base = _resolved(entries, entry.like)
    return RegisteredModel({**base.config, **entry.config}, f"{entry.source}; otherwise as {entry.like}: {base.source}")


@cache
def _texts() -> dict[Path, str]:
    """The files unread: most studies ask for one model."""
    files = sorted((shipped_spaces() / "model" / "known").glob("*.yaml"))
    return {file: file.read_text(encoding="utf-8-sig") for file in files}


@cache
def _entries(file: Path) -> dict[str, _Entry]:
    data = parse_yaml(_texts()[file], str(file))
    return {name: validate(_Entry, entry, prefix=f"{file.name}: {name}") for name, entry in data.items()}
