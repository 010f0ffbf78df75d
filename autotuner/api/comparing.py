"""compare: studies side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autotuner.results import compare as compare_results
from autotuner.results import load_results

if TYPE_CHECKING:
    import pandas as pd


def compare(paths: Sequence[str | Path]) -> pd.DataFrame:
    """One row a study: what it found and what it cost. Raises FolderError for a folder without results."""
    return compare_results([load_results(Path(path)) for path in paths])
