"""What each changed setting of the best Config is worth: measured, where both were, else believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from autotuner.engines.in_effect import changed_settings
from autotuner.metrics.direction import Direction
from autotuner.results.finals import Finals
from autotuner.results.finals.ratio import as_ratio
from autotuner.results.points import TrialPoint
from autotuner.results.records import TrialRecord
from autotuner.results.worth.beliefs import FlagBelief, FlagBeliefs
from autotuner.space.config import Config
from autotuner.study.model import Study


class Source(StrEnum):
    """What a worth rests on."""

    RUNS = "runs"  # the confirmation rounds of both Configs
    SURROGATE = "surrogate"  # what the searcher believed when the study ended


@dataclass(frozen=True)
class FlagWorth:
    """``ratio``: the first objective of the best over that of the same Config with ``parameter`` put back from
    ``value`` to ``default`` (``None``: left to the server), with its 95 % interval; ``None`` where it is not known.

    ``meets``: how probable it is that the SLOs are met without it, as the searcher believed.
    """

    parameter: str
    value: Any
    default: Any
    ratio: float | None = None
    ci95: tuple[float, float] | None = None
    source: Source | None = None
    meets: float | None = None


def find_flag_worths(
    study: Study,
    best: TrialPoint | None,
    baseline: TrialPoint | None,
    trials: Sequence[TrialRecord],
    finals: Finals | None,
    beliefs: FlagBeliefs | None,
    direction: Direction,
) -> tuple[FlagWorth, ...]:
    """Of every setting of the best that is in effect not what it is in the default, by name; empty without either.

    One that differs through another alone, whose condition it hangs on, is part of that one's worth.
    """
    if best is None or baseline is None:
        return ()
    known = {} if beliefs is None or beliefs.trial_id != best.trial_id else {b.parameter: b for b in beliefs.flags}
    names = [
        name
        for name in changed_settings(study, Config(best.config), Config(baseline.config))
        if name not in known or known[name].without != best.config  # else it comes and goes with another
    ]
    measured = {Config(trial.config): trial.trial_id for trial in trials if trial.phase.explores}
    return tuple(
        _measured(best, baseline.config, known.get(name, FlagBelief(name)), measured, finals, direction)
        for name in names
    )


def _measured(
    best: TrialPoint,
    default: Mapping[str, Any],
    belief: FlagBelief,
    trials: Mapping[Config, str],
    finals: Finals | None,
    direction: Direction,
) -> FlagWorth:
    name = belief.parameter
    said = (name, best.config.get(name), default.get(name))
    other = None if belief.without is None else trials.get(Config(belief.without))
    gain = None if finals is None or other is None else finals.difference(best.trial_id, other)
    if gain is not None:
        return FlagWorth(*said, *as_ratio(gain.mean, gain.half_width, direction), Source.RUNS, belief.meets)
    if belief.ratio is None or belief.low is None or belief.high is None:
        return FlagWorth(*said, meets=belief.meets)
    return FlagWorth(*said, belief.ratio, (belief.low, belief.high), Source.SURROGATE, belief.meets)
