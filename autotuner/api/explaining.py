"""explain: which layer set a key of a study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from autotuner.study import Explanation
from autotuner.study import load_study as load_study_file


def explain(path: str | Path, keys: Sequence[str], overrides: Sequence[str] = ()) -> list[Explanation]:
    """What each key's value is in the resolved study, which layer set it, and what that overrode.

    A key with others under it (``slo``) gives one explanation for each that is set. Raises StudyError for an
    unknown key, with the nearest one.
    """
    loaded = load_study_file(path, overrides)
    return [one for key in keys for one in loaded.origins.explain(loaded.study, key)]
