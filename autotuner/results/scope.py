"""Scope: which load levels a figure is of, in words. The same metric of another scope is another figure."""

from __future__ import annotations

from collections.abc import Iterable

from autotuner.metrics.load_level import LoadLevel


def levels_text(levels: Iterable[LoadLevel]) -> str:
    """``concurrency 2, 8 and 32``."""
    ordered = sorted(dict.fromkeys(levels))
    if not ordered:
        return "no load level"
    values = [f"{level.value:g}" for level in ordered]
    listed = values[0] if len(values) == 1 else f"{', '.join(values[:-1])} and {values[-1]}"
    return f"{ordered[0].kind} {listed}"


def scope_text(level: LoadLevel | None, levels: Iterable[LoadLevel]) -> str:
    """``concurrency 8``, or, without one level, ``mean of concurrency 2 and 8``."""
    if level is not None:
        return str(level)
    every = tuple(dict.fromkeys(levels))
    return levels_text(every) if len(every) <= 1 else f"mean of {levels_text(every)}"
