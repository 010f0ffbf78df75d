"""Where this user's caches of the product lie on a node."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache() -> Path:
    """As the XDG base directory specification has it: $XDG_CACHE_HOME, if it is absolute, else ~/.cache."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(named) if os.path.isabs(named) else Path("~/.cache").expanduser()
    return root / "autotuner"
