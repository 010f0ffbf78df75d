"""The finals of a study as its records have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from autotuner.engines.in_effect import word_in_effect
from autotuner.results.default_trial import compared_default
from autotuner.results.finals import Finals, FinalsRules, Word, as_said, make_finals
from autotuner.results.points import Rungs, TrialPoint
from autotuner.results.records import Phase, TrialRecord, TrialState
from autotuner.scoring.objective import parse_objectives
from autotuner.scoring.score import Score
from autotuner.space.config import Config
from autotuner.study.model import Study


def recorded_finals(
    study: Study, trials: Sequence[TrialRecord], rungs: Rungs, searched: Mapping[str, Score]
) -> Finals | None:
    """``searched``: last scores of the search, as they are to be compared.

    ``None`` under the earlier rule (``search.finalists: null``), and where there is nothing to confirm.
    """
    search, default = study.search, compared_default([t for t in trials if t.phase is Phase.BASELINE])
    if search.finalists is None or default is None:
        return None
    objective = parse_objectives(study.objectives)[0]
    rules = FinalsRules(objective, search.select, search.confirm, search.finalists, *put_back_rules(study))
    configs = {t.trial_id: t.config for t in trials if t.phase.explores}
    return make_finals(searched, _fresh(trials, rungs), default.trial_id, configs, rules)


def put_back_rules(study: Study) -> tuple[Word, bool]:
    """What of two Configs counts as alike, and whether settings are put back. Of a study that began before they were
    Configs differ where they say so, whatever is in effect."""
    if not study.search.put_back:
        return as_said, False

    @cache
    def in_effect(config: Config, name: str) -> str | None:
        return word_in_effect(study, config, name)

    return (lambda values, name: in_effect(Config(values), name)), True


def _fresh(trials: Sequence[TrialRecord], rungs: Rungs) -> dict[str, Score | None]:
    """By confirmation: its score, or ``None`` where its own fault kept it from its end."""
    found: dict[str, Score | None] = {}
    for trial in trials:
        if trial.phase is not Phase.CONFIRM:
            continue
        if trial.state is TrialState.COMPLETED and rungs.get(trial.trial_id):
            found[trial.trial_id] = rungs[trial.trial_id][-1].score
        elif trial.failure is not None and trial.failure.blames_config:
            found[trial.trial_id] = None
    return found


def chosen_first(ranked: Sequence[TrialPoint], finals: Finals | None) -> list[TrialPoint]:
    """What was ranked by the search, the finalist that was chosen before all others."""
    chosen = None if finals is None else finals.chosen
    return sorted(ranked, key=lambda point: point.trial_id != chosen) if chosen else list(ranked)
