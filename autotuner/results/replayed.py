"""Whether a study was measured, or replayed from measurements that others have made."""

from __future__ import annotations

from pathlib import Path

from autotuner.study.model import ReplayLauncher, Study


def replayed_from(study: Study) -> str | None:
    """The name of the table whose measurements the study repeats; ``None`` for one that measures."""
    launcher = study.launcher
    return Path(launcher.table).name if isinstance(launcher, ReplayLauncher) else None


def replayed_text(study: Study) -> str:
    """For people; empty for a study that measures."""
    table = replayed_from(study)
    return "" if table is None else f"replayed from recorded measurements ({table}): no server ran, time is virtual"
