"""FlagBeliefs: what the searcher thought of the best Config's changed settings when the study ended.

Kept in a file of the study's folder: a surrogate is there while the study runs, and its results are read without one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from autotuner.errors import FolderError
from autotuner.results.folder import OutputFolder, write_text


@dataclass(frozen=True)
class FlagBelief:
    """Of one setting of the best Config, put back to the default while all else stays: ``without`` is that Config,
    ``None`` where there can be none.

    ``ratio``, ``low``, ``high``: the first objective with it over that without it, the median and the ends of the
    interval that holds it with 95 %, each Config at its best load level; ``None`` where nothing is believed.
    ``meets``: how probable it is that the SLOs are met without it.
    """

    parameter: str
    without: Mapping[str, Any] | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    meets: float | None = None


@dataclass(frozen=True)
class FlagBeliefs:
    """``trial_id``: whose Config it is about."""

    trial_id: str
    flags: tuple[FlagBelief, ...] = ()


def keep_beliefs(folder: OutputFolder, beliefs: FlagBeliefs) -> None:
    write_text(folder.flags_json, json.dumps(asdict(beliefs), indent=2, ensure_ascii=False) + "\n")


def kept_beliefs(folder: OutputFolder) -> FlagBeliefs | None:
    """``None`` where the study has not come to its end, or did before there was such a file.

    Raises FolderError for a spoiled file.
    """
    try:
        data: dict[str, Any] = json.loads(folder.flags_json.read_text(encoding="utf-8"))
        return FlagBeliefs(data["trial_id"], tuple(FlagBelief(**flag) for flag in data["flags"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise FolderError(f"{folder.flags_json} can't be read: {error}") from error
