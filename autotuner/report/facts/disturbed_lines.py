"""What others had a part in, in words."""

from __future__ import annotations

from collections.abc import Iterator

from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.results.result import StudyResults


def disturbed_lines(results: StudyResults) -> Iterator[str]:
    """How much of the study others disturbed, with the first case of it; nothing where they did not."""
    found = results.disturbed
    if not found.points:
        return
    first = found.points[0]
    level = LoadLevel(LoadKind(first.load_kind), first.level)
    count = len(found.points)
    were = "was" if count == 1 else "were"
    told = f", and the searcher was not told of {_trials(found.trials)}" if found.trials else ""
    yield (
        f"{count} of {found.measured} load points {were} disturbed{told}: in trial {first.trial_id} at {level} "
        f"{first.reason}. Such figures are too low or too slow: let the machine do less beside the study."
    )


def _trials(trial_ids: tuple[str, ...]) -> str:
    return f"trial {trial_ids[0]}" if len(trial_ids) == 1 else f"{len(trial_ids)} trials that rest on them"
