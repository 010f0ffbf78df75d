"""Runs a study on Ray from its first trial, or from where it was left, to its last."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ray import tune
from ray.exceptions import RayError
from ray.tune.progress_reporter import TrialProgressCallback

from autotuner.results import OutputFolder, Store
from autotuner.results.account import Account
from autotuner.results.records import StudyStatus
from autotuner.scoring import parse_objective
from autotuner.servers import owner_tag
from autotuner.servers.replay.clock import VirtualClock
from autotuner.space import SearchSpace
from autotuner.space.config import Config
from autotuner.study.model import Study
from autotuner.tuning.decisions.budget import Budget, Spent
from autotuner.tuning.decisions.capacity import check_capacity, fitting_by_type, misfit_values, need_of
from autotuner.tuning.decisions.conductor import Conductor
from autotuner.tuning.decisions.followed_trial import KnownTrial
from autotuner.tuning.decisions.node_health import Quarantine
from autotuner.tuning.decisions.placement_policy import Node
from autotuner.tuning.decisions.put_back import PutBack
from autotuner.tuning.events import ConfigsLeftOut, NodeQuarantined, Observer, StudyEnded
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
from autotuner.tuning.study_life import (
    INTERRUPTED,
    Ending,
    concluded,
    find_space,
    keep_flag_beliefs,
    rules_of,
    started,
    take_up,
)
from autotuner.tuning.study_run import StudyRun
from autotuner.tuning.trial.rig import SystemClock

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
        stop_reason = INTERRUPTED
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
    replays = study.launcher.kind == "replay"
    cluster = None if replays else Cluster()
    plan = _plan(study, folder, cluster)
    virtual = VirtualClock(time.time()) if replays else None
    clock = virtual or SystemClock()
    began_s = clock.monotonic_s()
    handle = start_store(folder, study, study_id, clock.epoch_s(), virtual)
    store = RemoteStore(handle)
    if study.launcher.starts_servers:
        begin_reaping()
    known = take_up(store)
    budget = Budget.of(study)
    need = partial(need_of, study)
    # A paused HyperBand trial is not running, though it has not ended: there Ray alone counts.
    ray_places = study.fidelity.trial_scheduler == "hyperband"
    at_once = plan.concurrent if replays else study.search.max_concurrent_trials
    rules = rules_of(study, plan.baselines, None if ray_places else at_once)
    proposer = make_proposer(study, plan.space)
    sick = [] if cluster is None else _still_sick(store, cluster)
    put_back = PutBack(study, plan.space)
    conductor = Conductor(rules, proposer, budget, known, need, nodes=plan.nodes, quarantined=sick, put_back=put_back)
    account = store.account()
    before = Spent(gpu_s=account.gpu_s)
    run = StudyRun(
        conductor,
        store,
        observers,
        clock,
        need,
        before,
        interrupts.heed,
        cluster,
        began_s,
        ray_places=ray_places,
        virtual=virtual,
    )
    run.tell(started(study, folder, plan.concurrent, plan.by_type, known, conductor, account))
    if cluster is not None:
        _tell_of_nodes(run, study, plan, cluster, sick)
    ends_at = None if budget.wall_s is None else clock.epoch_s() + budget.wall_s - run.spent().wall_s
    job = StudyJob(study, study_id, str(folder.path), owner_tag(), ends_at)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(_pending(study, plan.concurrent))
    try:
        _fit(study, run, known, job, handle, folder.path / "ray")
    finally:
        if not run.finished:
            with contextlib.suppress(RayError):  # the cluster itself may be gone; the store then says "running"
                store.end_study(StudyStatus.INTERRUPTED, INTERRUPTED)
    return concluded(run, store, partial(keep_flag_beliefs, study, plan.space, folder, conductor, proposer))


def _tell_of_nodes(run: StudyRun, study: Study, plan: _Plan, cluster: Cluster, sick: Sequence[Quarantine]) -> None:
    for quarantine in sick:
        run.tell(NodeQuarantined(cluster.name_of(quarantine.node_id), quarantine.reason))
    for reason in misfit_values(study, plan.space, plan.baselines[0], plan.nodes):
        run.tell(ConfigsLeftOut(reason))


def _plan(study: Study, folder: OutputFolder, cluster: Cluster | None) -> _Plan:
    """Raises InputError where the default can't be, CapacityError where no node holds it.

    Without a ``cluster``: trials that are replayed run wherever Ray has room.
    """
    if cluster is None:
        space, baselines = find_space(study, folder, None)
        return _Plan(space, (), baselines, {}, study.search.max_concurrent_trials or 1)
    nodes = cluster.nodes()
    space, baselines = find_space(study, folder, nodes)
    check_capacity(need_of(study, baselines[0]), nodes)
    by_type = fitting_by_type([need_of(study, config) for config in baselines], nodes)
    at_once = sum(by_type.values())
    return _Plan(space, nodes, baselines, by_type, min(at_once, study.search.max_concurrent_trials or at_once))


def _still_sick(store: RemoteStore, cluster: Cluster) -> list[Quarantine]:
    """The nodes that were put in quarantine in an earlier life. One that was started anew has another name."""
    reasons = {record.node: record.reason for record in store.quarantines()}
    named = ((node.node_id, cluster.name_of(node.node_id)) for node in cluster.nodes())
    return [Quarantine(node_id, reasons[name]) for node_id, name in named if name in reasons]


def _pending(study: Study, concurrent: int) -> int:
    """How many trials may wait for their place in Ray.

    HyperBand halves a bracket when all its trials have ended a rung: the largest one must be full before that,
    or each trial would be judged alone, and none be stopped.
    """
    if study.fidelity.trial_scheduler == "hyperband":
        return max(concurrent, int(study.fidelity.eta ** (study.fidelity.rungs - 1)))
    return _MOST_PENDING


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
