"""What a searcher believes of the winner's settings, each put back to the default by itself. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from autotuner.results.finals.ratio import finite_exp
from autotuner.results.worth import FlagBelief, FlagBeliefs
from autotuner.scoring import Direction
from autotuner.space.config import Config
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.put_back import PutBack
from autotuner.tuning.proposers import Comparing, GainBelief, Proposer


def find_flag_beliefs(
    put_back: PutBack, proposer: Proposer, winner: Assignment, default: Config, direction: Direction
) -> FlagBeliefs:
    """Of every setting that is in effect not what it is in the default; of a searcher that compares no Configs, and of
    what can't be put back, nothing but its name."""
    names = put_back.changed(winner.config, default)
    without = {name: put_back.without(winner.config, default, (name,)) for name in names}
    possible = {name: config for name, config in without.items() if config is not None}
    asked = [put_back.said(config) for config in possible.values()]
    found: Sequence[GainBelief] | None = None
    if isinstance(proposer, Comparing) and asked:
        found = proposer.expected_gains(put_back.told(winner.phase, winner.config), asked)
    gains = dict(zip(possible, found or (), strict=bool(found)))
    flags = []
    for name, config in without.items():
        values = None if config is None else config.values
        flags.append(_belief(FlagBelief(name, None if values is None else dict(values)), gains.get(name), direction))
    return FlagBeliefs(winner.trial_id, tuple(flags))


def _belief(flag: FlagBelief, gain: GainBelief | None, direction: Direction) -> FlagBelief:
    if gain is None:
        return flag
    if gain.gain is None or gain.low is None or gain.high is None:
        return FlagBelief(flag.parameter, flag.without, meets=gain.other_meets)
    sign = 1.0 if direction is Direction.MAX else -1.0
    low, high = sorted((finite_exp(sign * gain.low), finite_exp(sign * gain.high)))
    return FlagBelief(flag.parameter, flag.without, finite_exp(sign * gain.gain), low, high, gain.other_meets)
