"""Runs a study on Ray from its first trial, or from where it was left, to its last."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune
from ray.exceptions import RayError
from ray.tune.progress_reporter import TrialProgressCallback

from autotuner.benchmark import longest_request_tokens
from autotuner.engines.known_space import known_space
from autotuner.errors import CapacityError
from autotuner.results import OutputFolder, Store
from autotuner.results.account import Account
from autotuner.results.records import Phase, RungRecord, StudyStatus, TrialEnd, TrialRecord, TrialState
from autotuner.scoring import Score, parse_objective, parse_objectives
from autotuner.servers import owner_tag
from autotuner.space import SearchSpace
from autotuner.space.config import Config
from autotuner.study.known_models import find_known_models
from autotuner.study.model import Study
from autotuner.tuning.decisions.baseline import baseline_configs
from autotuner.tuning.decisions.budget import Budget, Spent
from autotuner.tuning.decisions.capacity import check_capacity, fitting_by_type, misfit, misfit_values, need_of
from autotuner.tuning.decisions.conductor import Conductor
from autotuner.tuning.decisions.default_space import default_space
from autotuner.tuning.decisions.followed_trial import KnownTrial
from autotuner.tuning.decisions.node_health import Quarantine
from autotuner.tuning.decisions.placement_policy import Need, Node
from autotuner.tuning.decisions.rules import Rules
from autotuner.tuning.events import ConfigsLeftOut, NodeQuarantined, Observer, StudyEnded, StudyStarted
from autotuner.tuning.on_ray.cluster import Cluster
from autotuner.tuning.on_ray.cluster_checks import nodes_without_secrets, refuse_docker_in_pods
from autotuner.tuning.on_ray.interrupts import Interrupts
from autotuner.tuning.on_ray.job import StudyJob
from autotuner.tuning.on_ray.job_folder import own_job_id
from autotuner.tuning.on_ray.node_tasks import begin_reaping
from autotuner.tuning.on_ray.placement import placement_group
from autotuner.tuning.on_ray.ray_searcher import ConductorSearcher
from autotuner.tuning.on_ray.session import ray_session
from autotuner.tuning.on_ray.store_actor import RemoteStore, start_store
from autotuner.tuning.on_ray.trainable import ASSIGNMENT, trainable_of
from autotuner.tuning.on_ray.trial_schedulers import make_trial_scheduler
from autotuner.tuning.proposers import make_proposer
from autotuner.tuning.study_run import StudyRun
from autotuner.tuning.trial.rig import SystemClock

_INTERRUPTED = "interrupted"
_TRIALS_PER_CHECKED_NODE = {"auto": 10, "always": 0, "never": None}
_MOST_PENDING = 1000  # trials that were handed out have a place already


class _NoProgress(TrialProgressCallback):  # type: ignore[misc]  # Ray has no type stubs
    """Standard output is the result's: Ray Tune, however quiet, tells there of a trial that ended without one."""

    def _print(self, msg: str) -> None:
        pass


@dataclass(frozen=True)
class _Plan:
    """What is known before the first trial. ``by_type``: GPU type → defaults that fit there at a time."""

    space: SearchSpace
    nodes: Sequence[Node]
    baselines: Sequence[Config]
    by_type: Mapping[str, int]
    concurrent: int


@dataclass(frozen=True)
class Ending:
    """How a life of a study ended. ``interrupted_by`` is 130 or 143 after SIGINT or SIGTERM."""

    stop_reason: str
    interrupted_by: int | None = None


def run_study(
    study: Study, study_id: str, folder: OutputFolder, address: str | None, observers: Sequence[Observer]
) -> Ending:
    """Runs or goes on with the study whose store lies in ``folder``.

    Raises CapacityError when no node can hold a trial and InfrastructureError when Ray does not answer.
    What was measured is in the store at any moment, however this ends.
    """
    interrupts = Interrupts()
    stop_reason = ""
    watch = interrupts.watch(at_once=own_job_id() is not None)  # Ray gives a job that is stopped 3 s
    session = ray_session(address, study.name, str(folder.path))
    with contextlib.suppress(KeyboardInterrupt), interrupts.hear(), interrupts.take_exit(), session, watch:
        interrupts.heed()  # what came while Ray started
        stop_reason = _run_on_ray(study, study_id, folder, observers, interrupts)
    if not stop_reason:
        interrupts.note(signal.SIGINT)
        stop_reason = _INTERRUPTED
    account = _account(folder, study_id)
    for observer in observers:
        observer.on_event(StudyEnded(stop_reason, account))
    return Ending(stop_reason, interrupts.exit_code)


def _account(folder: OutputFolder, study_id: str) -> Account:
    """What was spent; nothing where there is no store yet."""
    if not folder.database.is_file():
        return Account()
    with Store(folder.database_url, folder.requests, read_only=True) as store:
        return Account() if store.find_study(study_id) is None else store.account()


def _run_on_ray(
    study: Study, study_id: str, folder: OutputFolder, observers: Sequence[Observer], interrupts: Interrupts
) -> str:
    refuse_docker_in_pods(study)
    for text in nodes_without_secrets(study):
        logging.getLogger(__name__).warning(text)
    cluster = Cluster()
    plan = _plan(study, folder, cluster)
    clock = SystemClock()
    began_s = clock.monotonic_s()
    handle = start_store(folder, study, study_id, clock.epoch_s())
    store = RemoteStore(handle)
    if study.launcher.kind != "endpoint":
        begin_reaping()
    records = _take_up(store)
    known = _known(records, store.rungs())
    budget = Budget.of(study)

    def need(config: Config) -> Need:
        return need_of(study, config)

    proposer, rules = make_proposer(study, plan.space, plan.baselines[0]), _rules(study, plan.baselines)
    sick = _still_sick(store, cluster)
    conductor = Conductor(rules, proposer, budget, known, need, nodes=plan.nodes, quarantined=sick)
    account = store.account()
    ray_places = study.fidelity.trial_scheduler == "hyperband"
    before = Spent(gpu_s=account.gpu_s)
    run = StudyRun(
        conductor, store, observers, clock, need, before, interrupts.heed, cluster, began_s, ray_places=ray_places
    )
    run.tell(_started(study, folder, plan.concurrent, plan.by_type, known, conductor, account))
    for quarantine in sick:
        run.tell(NodeQuarantined(cluster.name_of(quarantine.node_id), quarantine.reason))
    for reason in misfit_values(study, plan.space, plan.baselines[0], plan.nodes):
        run.tell(ConfigsLeftOut(reason))
    ends_at = None if budget.wall_s is None else clock.epoch_s() + budget.wall_s - run.spent().wall_s
    job = StudyJob(study, study_id, str(folder.path), owner_tag(), ends_at)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(_pending(study, plan.concurrent))
    try:
        _fit(study, run, known, job, handle, folder.path / "ray")
    finally:
        if not run.finished:
            with contextlib.suppress(RayError):  # the cluster itself may be gone; the store then says "running"
                store.end_study(StudyStatus.INTERRUPTED, _INTERRUPTED)
    return _concluded(run, store)


def _plan(study: Study, folder: OutputFolder, cluster: Cluster) -> _Plan:
    """Raises InputError where the default can't be, CapacityError where no node holds it."""
    models = folder.known_models() or find_known_models(study)
    folder.keep_models(models)
    tokens = longest_request_tokens(study.workload, study.slo.error_rate)
    space = known_space(study, models, tokens)
    nodes = cluster.nodes()
    defaults = default_space(study, space, models, tokens)
    baselines = baseline_configs(study, defaults, lambda config: misfit(need_of(study, config), nodes) is None)
    check_capacity(need_of(study, baselines[0]), nodes)
    by_type = fitting_by_type([need_of(study, config) for config in baselines], nodes)
    at_once = sum(by_type.values())
    return _Plan(space, nodes, baselines, by_type, min(at_once, study.search.max_concurrent_trials or at_once))


def _concluded(run: StudyRun, store: RemoteStore) -> str:
    """Why the study ended, once that is in the store; empty where it was interrupted.

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
    store.end_study(StudyStatus.COMPLETED, run.stop_reason)
    return run.stop_reason


def _started(
    study: Study,
    folder: OutputFolder,
    concurrent: int,
    by_type: Mapping[str, int],
    known: Sequence[KnownTrial],
    conductor: Conductor,
    account: Account,
) -> StudyStarted:
    budget = Budget.of(study)
    return StudyStarted(
        name=study.name,
        out_dir=str(folder.path),
        trials=study.search.trials,
        rungs=study.fidelity.rungs,
        objective=study.objectives[0],
        direction=str(parse_objective(study.objectives[0]).direction),
        concurrent_trials=concurrent,
        concurrent_by_type=by_type if len(by_type) > 1 and concurrent == sum(by_type.values()) else {},
        resumed=Counter(k.state for k in known if k.phase.explores and k.state.is_terminal),
        resumed_counted=sum(k.phase.counts(k.failure) for k in known if k.state.is_terminal),
        resumed_best=_best_so_far(conductor),
        confirm=study.search.confirm,
        select=study.search.select,
        wall_clock_s=budget.wall_s,
        gpu_seconds=budget.gpu_s,
        account=account,
    )


def _still_sick(store: RemoteStore, cluster: Cluster) -> list[Quarantine]:
    """The nodes that were put in quarantine in an earlier life. One that was started anew has another name."""
    reasons = {record.node: record.reason for record in store.quarantines()}
    named = ((node.node_id, cluster.name_of(node.node_id)) for node in cluster.nodes())
    return [Quarantine(node_id, reasons[name]) for node_id, name in named if name in reasons]


def _best_so_far(conductor: Conductor) -> tuple[str, Score] | None:
    trial_id = conductor.best()
    score = None if trial_id is None else conductor.score_of(trial_id)
    return None if trial_id is None or score is None else (trial_id, score)


def _rules(study: Study, baselines: Sequence[Config]) -> Rules:
    return Rules(
        trials=study.search.trials,
        rungs=study.fidelity.rungs,
        confirm=study.search.confirm,
        objectives=parse_objectives(study.objectives),
        baseline=baselines[0],
        # A paused HyperBand trial is not running, though it has not ended: there Ray alone counts.
        max_running=None if study.fidelity.trial_scheduler == "hyperband" else study.search.max_concurrent_trials,
        select=study.search.select,
        more_baselines=tuple(baselines[1:]),
        trials_per_checked_node=_TRIALS_PER_CHECKED_NODE[study.search.check_nodes],
    )


def _pending(study: Study, concurrent: int) -> int:
    """How many trials may wait for their place in Ray.

    HyperBand halves a bracket when all its trials have ended a rung: the largest one must be full before that,
    or each trial would be judged alone, and none be stopped.
    """
    if study.fidelity.trial_scheduler == "hyperband":
        return max(concurrent, int(study.fidelity.eta ** (study.fidelity.rungs - 1)))
    return _MOST_PENDING


def _take_up(store: RemoteStore) -> Sequence[TrialRecord]:
    """The trials of earlier lives; those that failed through no fault of their Config are to be gone on with.

    Not those with a spoiled rung: it has ended, and is never measured again. Spoiled confirmations get rounds
    of their own. Checks of nodes that were left open are closed: a new life looks at its nodes afresh.
    """
    for record in store.trials():
        innocent = record.failure is not None and not record.failure.blames_config
        if record.phase is Phase.NODE_CHECK and not record.state.is_terminal:
            _stop(store, record, _INTERRUPTED)
        elif innocent and record.phase.explores:
            spoiled = any(not f.failure.blames_config for rung in store.rungs(record.trial_id) for f in rung.failures)
            if not spoiled:
                store.reopen_trial(record.trial_id)
    return store.trials()


def _stop(store: RemoteStore, record: TrialRecord, reason: str) -> None:
    store.end_trial(TrialEnd(record.trial_id, TrialState.STOPPED, time.time(), record.usage, message=reason))


def _fit(study: Study, run: StudyRun, known: Sequence[KnownTrial], job: StudyJob, store: Any, storage: Path) -> None:
    trainable = tune.with_resources(
        trainable_of(job, store),
        lambda config: placement_group(study, config[ASSIGNMENT]),
    )
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=ConductorSearcher(run, str(parse_objective(study.objectives[0]).direction)),
            scheduler=make_trial_scheduler(study, run, known),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=lambda trial: f"{study.name}-{trial.config[ASSIGNMENT].trial_id}",
            trial_dirname_creator=lambda trial: str(trial.config[ASSIGNMENT].trial_id),
        ),
        run_config=tune.RunConfig(
            name="run",
            storage_path=str(storage),
            verbose=0,
            callbacks=[_NoProgress()],
            failure_config=tune.FailureConfig(max_failures=0),  # the conductor starts it again, where it fits
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False, checkpoint_frequency=0),
        ),
    )
    try:
        tuner.fit()
    finally:
        shutil.rmtree(storage, ignore_errors=True)


def _known(records: Sequence[TrialRecord], rungs: Sequence[RungRecord]) -> list[KnownTrial]:
    return [
        KnownTrial(
            trial_id=record.trial_id,
            phase=record.phase,
            config=Config(record.config),
            state=record.state,
            failure=record.failure,
            scores=tuple(rung.score for rung in rungs if rung.trial_id == record.trial_id),
            seconds=record.usage.reserved_s,
            gpus=record.held.gpus,
        )
        for record in records
    ]
