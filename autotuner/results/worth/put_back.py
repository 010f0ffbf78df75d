"""Which trials are another one with some of its settings put back to the default."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autotuner.engines.in_effect import changed_settings
from autotuner.results.finals import Finals
from autotuner.results.points import TrialPoint
from autotuner.results.records import Phase, TrialRecord, TrialState
from autotuner.space.config import Config
from autotuner.study.model import Study


@dataclass(frozen=True)
class PutBackTrial:
    """``trial_id`` is trial ``of`` with ``settings`` as the default has them. ``state``: how it ended; ``chosen``:
    whether it is the best."""

    trial_id: str
    of: str
    settings: tuple[str, ...]
    state: TrialState
    chosen: bool


def find_put_back(
    study: Study,
    ranked: Sequence[TrialPoint],
    baseline: TrialPoint | None,
    trials: Sequence[TrialRecord],
    finals: Finals | None,
) -> tuple[PutBackTrial, ...]:
    """Those that were measured for it, and what was chosen for it though the search had measured it.

    ``ranked``: what came to its end, the best first. Each is told of the first of them that it is a part of.
    """
    if baseline is None:
        return ()
    best = ranked[0].trial_id if ranked else None
    plainer = () if finals is None else finals.plainer
    told = [t for t in trials if t.phase is Phase.PUT_BACK or (t.trial_id == best and best in plainer)]
    found = []
    for trial in told:
        other = next(_others(study, trial, ranked, Config(baseline.config)), None)
        if other is not None:
            found.append(PutBackTrial(trial.trial_id, *other, trial.state, trial.trial_id == best))
    return tuple(found)


def _others(
    study: Study, trial: TrialRecord, ranked: Sequence[TrialPoint], default: Config
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Trials that it is a part of, with what was put back of each."""
    config = Config(trial.config)
    own = set(changed_settings(study, config, default))
    for point in ranked:
        theirs, apart = (set(changed_settings(study, Config(point.config), c)) for c in (default, config))
        if own < theirs and apart == theirs - own:
            yield point.trial_id, tuple(sorted(apart))
