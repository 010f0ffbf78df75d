"""What reserved time was used for, as summary and report tell it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum

from autotuner.results.records import Phase, TrialRecord, TrialState


class Use(StrEnum):
    """All time that a trial held its place is of exactly one of these, in this order of precedence:

    FAILED      all of a trial that failed, whatever it was at
    REFERENCE   all of a run of the default beside the search, to notice drift
    CONFIRMING  all of a fresh run of best or default after the search
    STARTING    servers and load driver came up, failed attempts and fetched weights included
    WARMING_UP  load points, before their first measured request was sent
    MEASURING   the rest of the load points
    IDLE        none of these: waiting for cores, ending servers, waiting for the driver
    """

    STARTING = "starting"
    WARMING_UP = "warming_up"
    MEASURING = "measuring"
    REFERENCE = "reference"
    CONFIRMING = "confirming"
    FAILED = "failed"
    IDLE = "idle"


_AFRESH = {Phase.REFERENCE: Use.REFERENCE, Phase.CONFIRM: Use.CONFIRMING}


def seconds_by_use(trial: TrialRecord) -> dict[Use, float]:
    """Seconds of one trial; they add up to what it reserved, also of one that has not told all of it yet."""
    usage = trial.usage
    found = dict.fromkeys(Use, 0.0)
    if trial.state is TrialState.FAILED:
        return found | {Use.FAILED: usage.reserved_s}
    if (afresh := _AFRESH.get(trial.phase)) is not None:
        return found | {afresh: usage.reserved_s}
    told = {
        Use.STARTING: usage.loading_s,
        Use.WARMING_UP: usage.warmup_s,
        Use.MEASURING: usage.measuring_s - usage.warmup_s,
    }
    left = usage.reserved_s
    for use, seconds in told.items():
        found[use] = min(max(0.0, seconds), left)
        left -= found[use]
    return found | {Use.IDLE: left}


def spent_by_use(trials: Sequence[TrialRecord], unit: str) -> Mapping[Use, float]:
    """Seconds times ``gpus`` or ``cpus`` that trials reserved."""
    each = [(getattr(trial.held, unit), seconds_by_use(trial)) for trial in trials]
    return {use: math.fsum(count * seconds[use] for count, seconds in each) for use in Use}
