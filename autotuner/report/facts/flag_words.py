"""What each changed setting of the recommended Config is worth, in words."""

from __future__ import annotations

from collections.abc import Mapping

from autotuner.report.facts.champion import champion_name
from autotuner.report.text import percent
from autotuner.results.result import StudyResults
from autotuner.results.worth import FlagWorth, Source

WORTH = "worth (95 % interval)"
NOT_KNOWN = "not known"
_SURE_TO_MEET = 0.95  # less than that is told
_HARDLY = 0.05
_SOURCES = {Source.RUNS: "measured", Source.SURROGATE: "by the surrogate"}


def worth_texts(results: StudyResults) -> Mapping[str, str]:
    """By setting; empty where what is shown beside the default is not the best, or is the default."""
    if champion_name(results) != "best":
        return {}
    return {flag.parameter: worth_text(flag) for flag in results.flag_worths}


def worth_text(flag: FlagWorth) -> str:
    """``+12 % (+8.0 % to +17 %), by the surrogate``, from the setting put back to the best's own."""
    doubt = _doubt(flag.meets)
    if flag.ratio is None or flag.source is None:
        return doubt or NOT_KNOWN
    interval = "" if flag.ci95 is None else f" ({percent(flag.ci95[0])} to {percent(flag.ci95[1])})"
    told = f"{percent(flag.ratio)}{interval}, {_SOURCES[flag.source]}"
    return f"{told}; {doubt}" if doubt and flag.source is Source.SURROGATE else told


def _doubt(meets: float | None) -> str:
    if meets is None or meets >= _SURE_TO_MEET:
        return ""
    if meets < _HARDLY:
        return "the SLOs hardly hold without it"
    return f"the SLOs hold without it with {100 * meets:.0f}\N{NO-BREAK SPACE}%"
