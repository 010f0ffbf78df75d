"""The look that all figures share: one colour for one meaning, readable on a light and on a dark page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Figure = dict[str, Any]

BEST = "#12a37f"
DEFAULT = "#e8912d"
MEETS = "#3b82d6"
MUTED = "#8b95a5"
BAD = "#d1495b"
WARMING = "#f2c879"
AGAIN = "#9b7fd1"
SCALE = ("#b4bac6", "#97abc4", "#789fc4", "#5392b8", "#2c8aa0", "#128176")  # worst to best


@dataclass(frozen=True)
class Marked:
    """The trials that figures point out; ``best_name`` is ``closest`` where nothing is the best."""

    best: str | None = None
    default: str | None = None
    best_name: str = "best"


def axis(title: str, **changes: Any) -> dict[str, Any]:
    return {"title": {"text": title}, "automargin": True, **changes}


def log_if_wide(values: list[float], widest: float = 30.0) -> dict[str, Any]:
    """A logarithmic axis where positive values span more than ``widest``."""
    positive = [v for v in values if v > 0]
    if not positive or len(positive) < len(values) or max(positive) / min(positive) <= widest:
        return {}
    return {"type": "log"}
