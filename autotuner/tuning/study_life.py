"""What a life of a study begins with and ends with, wherever its trials run."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from autotuner.benchmark import cuts_by_levels, levels, longest_request_tokens, rungs_of
from autotuner.engines.known_space import known_space
from autotuner.errors import CapacityError
from autotuner.results import OutputFolder
from autotuner.results.account import Account
from autotuner.results.finals import most_runs
from autotuner.results.noise.references import reference_every
from autotuner.results.recorded_finals import put_back_rules
from autotuner.results.records import Phase, RungRecord, StudyStatus, TrialEnd, TrialRecord, TrialState
from autotuner.results.worth import keep_beliefs
from autotuner.scoring import Score, parse_objective, parse_objectives
from autotuner.space import SearchSpace
from autotuner.space.config import Config
from autotuner.study.known_models import find_known_models
from autotuner.study.model import FindMaxLoad, Study
from autotuner.tuning.decisions.baseline import baseline_configs
from autotuner.tuning.decisions.budget import Budget
from autotuner.tuning.decisions.capacity import misfit, need_of
from autotuner.tuning.decisions.conductor import Conductor
from autotuner.tuning.decisions.default_space import default_space
from autotuner.tuning.decisions.flag_beliefs import find_flag_beliefs
from autotuner.tuning.decisions.followed_trial import KnownTrial
from autotuner.tuning.decisions.placement_policy import Node
from autotuner.tuning.decisions.probing import begun_with
from autotuner.tuning.decisions.put_back import PutBack
from autotuner.tuning.decisions.rules import Rules
from autotuner.tuning.events import StudyStarted
from autotuner.tuning.proposers import Proposer
from autotuner.tuning.study_run import StudyRun

INTERRUPTED = "interrupted"
_TRIALS_PER_CHECKED_NODE = {"auto": 10, "always": 0, "never": None}


@dataclass(frozen=True)
class Ending:
    """How a life of a study ended. ``interrupted_by`` is 130 or 143 after SIGINT or SIGTERM."""

    stop_reason: str
    interrupted_by: int | None = None


class LifeStore(Protocol):
    """What of a store is asked at the two ends of a life."""

    def trials(self) -> Sequence[TrialRecord]: ...

    def rungs(self, trial_id: str | None = None) -> Sequence[RungRecord]: ...

    def reopen_trial(self, trial_id: str) -> None: ...

    def end_trial(self, end: TrialEnd) -> None: ...

    def end_study(self, status: StudyStatus, stop_reason: str) -> None: ...


# ── its beginning ─────────────────────────────────────────────────────────────────────────────


def find_space(
    study: Study, folder: OutputFolder, nodes: Sequence[Node] | None
) -> tuple[SearchSpace, tuple[Config, ...]]:
    """The study's space with what is known of its model, which is kept in ``folder``, and the baselines.

    ``nodes``: those that baselines are chosen for; ``None``: they fit anywhere. Raises InputError where the default
    can't be.
    """
    models = folder.known_models() or find_known_models(study)
    folder.keep_models(models)
    tokens = longest_request_tokens(study.workload, study.slo.error_rate)
    space = known_space(study, models, tokens)
    defaults = default_space(study, space, models, tokens)
    fits = None if nodes is None else lambda config: misfit(need_of(study, config), nodes) is None
    return space, baseline_configs(study, defaults, fits)


def take_up(store: LifeStore) -> list[KnownTrial]:
    """The trials of earlier lives; those that failed through no fault of their Config are to be gone on with.

    Not those with a spoiled rung: it has ended, and is never measured again. Spoiled confirmations get rounds
    of their own. Checks of nodes that were left open are closed: a new life looks at its nodes afresh.
    """
    for record in store.trials():
        innocent = record.failure is not None and not record.failure.blames_config
        if record.phase is Phase.NODE_CHECK and not record.state.is_terminal:
            _stop(store, record, INTERRUPTED)
        elif innocent and record.phase.explores:
            spoiled = any(not f.failure.blames_config for rung in store.rungs(record.trial_id) for f in rung.failures)
            if not spoiled:
                store.reopen_trial(record.trial_id)
    return _known(store.trials(), store.rungs())


def rules_of(study: Study, baselines: Sequence[Config], max_running: int | None) -> Rules:
    word, puts_back = put_back_rules(study)
    return Rules(
        trials=study.search.trials,
        rungs=rungs_of(study),
        confirm=study.search.confirm,
        objectives=parse_objectives(study.objectives),
        baseline=baselines[0],
        max_running=max_running,
        select=study.search.select,
        more_baselines=tuple(baselines[1:]),
        finalists=study.search.finalists,
        trials_per_checked_node=_TRIALS_PER_CHECKED_NODE[study.search.check_nodes],
        lists_levels=not isinstance(study.workload.load, FindMaxLoad),
        levels=tuple(levels(study.workload)) if cuts_by_levels(study) else (),
        stops_early=study.fidelity.trial_scheduler != "none",
        stop=study.search.stop,
        reference_every=reference_every(study),
        word=word,
        put_back=puts_back,
    )


def started(
    study: Study,
    folder: OutputFolder,
    concurrent: int,
    by_type: Mapping[str, int],
    known: Sequence[KnownTrial],
    conductor: Conductor,
    account: Account,
) -> StudyStarted:
    """``concurrent``: trials at a time; ``by_type``: how many of them by GPU type."""
    budget = Budget.of(study)
    return StudyStarted(
        name=study.name,
        out_dir=str(folder.path),
        trials=study.search.trials,
        rungs=rungs_of(study),
        objective=study.objectives[0],
        direction=str(parse_objective(study.objectives[0]).direction),
        concurrent_trials=concurrent,
        concurrent_by_type=by_type if len(by_type) > 1 and concurrent == sum(by_type.values()) else {},
        resumed=Counter(k.state for k in known if k.phase.explores and k.state.is_terminal),
        resumed_counted=sum(k.phase.counts(k.failure) for k in known if k.state.is_terminal),
        resumed_best=_best_so_far(conductor),
        confirmations=most_runs(study.search.confirm, study.search.finalists, study.search.trials),
        select=study.search.select,
        wall_clock_s=budget.wall_s,
        gpu_seconds=budget.gpu_s,
        account=account,
    )


def _best_so_far(conductor: Conductor) -> tuple[str, Score] | None:
    trial_id = conductor.best()
    score = None if trial_id is None else conductor.score_of(trial_id)
    return None if trial_id is None or score is None else (trial_id, score)


def _known(records: Sequence[TrialRecord], rungs: Sequence[RungRecord]) -> list[KnownTrial]:
    ended: dict[str, list[RungRecord]] = defaultdict(list)  # in their order
    for rung in rungs:
        ended[rung.trial_id].append(rung)
    return [
        KnownTrial(
            trial_id=record.trial_id,
            phase=record.phase,
            config=Config(record.config if record.asked is None else record.asked),
            changed=None if record.asked is None else Config(record.config),
            state=record.state,
            failure=record.failure,
            scores=tuple(rung.score for rung in ended[record.trial_id]),
            seconds=record.usage.reserved_s,
            starting_s=record.usage.loading_s,
            gpus=record.held.gpus,
            is_disturbed=any(rung.disturbed for rung in ended[record.trial_id][-1:]),
            probe=begun_with(ended[record.trial_id]),
            ended_s=max((rung.ended_at for rung in ended[record.trial_id]), default=0.0),
            node=record.node,
        )
        for record in records
    ]


# ── its end ───────────────────────────────────────────────────────────────────────────────────


def concluded(run: StudyRun, store: LifeStore, keep: Callable[[], None]) -> str:
    """Why the study ended, once that is in the store; empty where it was interrupted. ``keep``: called for a study
    that came to its end.

    Raises CapacityError where what is left has no place.
    """
    if run.has_no_place:
        rule = "a node that holds a trial; `autotuner resume` goes on when there is one"
        raise CapacityError(f"{run.stop_reason}: {rule}", key="hardware", rule=rule)
    if not run.finished:
        return ""
    for record in store.trials():
        if not record.state.is_terminal:  # it waited to be started again when the budget was spent
            _stop(store, record, run.stop_reason)
    keep()
    store.end_study(StudyStatus.COMPLETED, run.stop_reason)
    return run.stop_reason


def keep_flag_beliefs(
    study: Study, space: SearchSpace, folder: OutputFolder, conductor: Conductor, proposer: Proposer
) -> None:
    """What the searcher thinks of the winner's settings; where there is no winner beside the default, nothing."""
    if pair := conductor.confirmation.winner():
        winner, default = pair
        direction = parse_objective(study.objectives[0]).direction
        found = find_flag_beliefs(PutBack(study, space), proposer, winner, default.config, direction)
        keep_beliefs(folder, found)


def _stop(store: LifeStore, record: TrialRecord, reason: str) -> None:
    store.end_trial(TrialEnd(record.trial_id, TrialState.STOPPED, time.time(), record.usage, message=reason))
