"""The look that all figures share: one colour for one meaning, readable on a light and on a dark page."""

from __future__ import annotations

from typing import Any

Figure = dict[str, Any]

BEST = "#12a37f"
DEFAULT = "#e8912d"
MEETS = "#3b82d6"
MUTED = "#8b95a5"
BAD = "#d1495b"
SCALE = ("#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39")


def axis(title: str, **changes: Any) -> dict[str, Any]:
    return {"title": {"text": title}, "automargin": True, **changes}


def log_if_wide(values: list[float], widest: float = 30.0) -> dict[str, Any]:
    """A logarithmic axis where positive values span more than ``widest``."""
    positive = [v for v in values if v > 0]
    if not positive or len(positive) < len(values) or max(positive) / min(positive) <= widest:
        return {}
    return {"type": "log"}
