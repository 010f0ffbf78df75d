"""reap: ends what dead studies left behind on this machine."""

from __future__ import annotations

from autotuner.servers import Leftover, find_leftovers
from autotuner.servers import reap as end_leftovers


def reap(*, dry_run: bool = False) -> list[Leftover]:
    """Processes that carry this tool's tags and whose driver is dead; ended unless ``dry_run``."""
    return find_leftovers() if dry_run else end_leftovers()
