"""The engines by name. Each module of ``supported`` is one, called as the engine is, and has ``ENGINE``."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from autotuner.engines import supported
from autotuner.engines.engine import Engine
from autotuner.errors import StudyError
from autotuner.nearest import nearest_word


@cache
def engine_names() -> tuple[str, ...]:
    names = (module.name for module in pkgutil.iter_modules(supported.__path__))
    return tuple(sorted(name for name in names if not name.startswith("_")))


@cache
def get_engine(name: str) -> Engine:
    """The engine of this name. Raises StudyError, with the nearest name, for an unknown one."""
    names = engine_names()
    if name not in names:
        nearest = nearest_word(name, names)
        hint = f"; did you mean {nearest!r}?" if nearest else ""
        raise StudyError(
            f"engine.name: {name!r} is no engine; known: {', '.join(names)}{hint}",
            key="engine.name",
            value=name,
            rule=f"one of {', '.join(names)}",
            nearest=nearest,
        )
    engine: Engine = importlib.import_module(f"{supported.__name__}.{name}").ENGINE
    return engine
