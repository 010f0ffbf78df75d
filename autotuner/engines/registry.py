"""The engines by name. A new engine is one file and one line here."""

from __future__ import annotations

import difflib

from autotuner.engines.engine import Engine
from autotuner.engines.llamacpp import LlamaCpp
from autotuner.errors import StudyError

_ENGINES: tuple[Engine, ...] = (LlamaCpp(),)


def engine_names() -> tuple[str, ...]:
    return tuple(sorted(engine.name for engine in _ENGINES))


def get_engine(name: str) -> Engine:
    """The engine of this name. Raises StudyError, with the nearest name, for an unknown one."""
    for engine in _ENGINES:
        if engine.name == name:
            return engine
    names = engine_names()
    nearest = next(iter(difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.3)), None)
    raise StudyError(
        f"engine.name: {name!r} is no engine; known: {', '.join(names)}",
        key="engine.name",
        value=name,
        rule=f"one of {', '.join(names)}",
        nearest=nearest,
    )
