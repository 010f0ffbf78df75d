"""RankHost: the process of a trial on each further node, which starts and owns the ranks of that node's share."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError
from ray.util import get_current_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from autotuner.engines.deployment import Address, Deployment, Mount
from autotuner.errors import ServerLostError
from autotuner.results import OutputFolder
from autotuner.servers import LaunchRequest, reap, tags
from autotuner.servers.machine.near_cores import cores_near
from autotuner.servers.make import make_starter
from autotuner.servers.supervision.share import BoundRank, Ground, LocalShare, ShareState
from autotuner.servers.supervision.work_folder import work_folder
from autotuner.servers.tail import TAIL_BYTES
from autotuner.servers.weights.prefetch import FetchOrder, prefetch
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.capacity import need_of
from autotuner.tuning.decisions.placement_policy import Share as Bundle
from autotuner.tuning.on_ray.job import StudyJob
from autotuner.tuning.on_ray.priority import take_usual_priority
from autotuner.tuning.on_ray.store_actor import RemoteStore
from autotuner.tuning.trial.log_shipper import LogShipper

_CALL_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 180.0  # beyond a supervisor's own deadlines, and a GPU's memory that comes back
_PREPARE_TIMEOUT_S = 3700.0  # an image is pulled; a host that is gone is known at once


class RankHost:
    """What the actor runs, in one bundle of the trial's placement group. It ends with the trial's process."""

    def __init__(self, job: StudyJob, store: Any, trial_id: str) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        take_usual_priority()
        self._job = job
        self._store = RemoteStore(store)
        self._trial_id = trial_id
        self._gpu_ids = tuple(str(i) for i in ray.get_gpu_ids())
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # they are the servers'
        self._held = contextlib.ExitStack()
        self._share: LocalShare | None = None

    def ready(self) -> bool:
        return True

    def open(self, launch_id: str, image: str | None, mounts: tuple[Mount, ...]) -> None:
        """Begins a share of a launch; one that was left is ended first."""
        self.close()
        reap()  # another study's leftovers may hold this node's GPUs
        job = self._job
        own_tags = tags(job.study_id, self._trial_id, job.owner)
        work_dir = self._held.enter_context(work_folder(own_tags))
        folder = OutputFolder(Path(job.out_dir))
        is_here = folder.takes_logs_of(job.study_id)
        log_dir = folder.trial_logs(self._trial_id) if is_here else work_dir / "logs"
        if not is_here:
            self._held.enter_context(LogShipper(self._store, self._trial_id, log_dir))
        ground = Ground(
            launch_id=launch_id,
            log_dir=log_dir,
            work_dir=work_dir,
            tags=own_tags,
            gpu_ids=self._gpu_ids,
            cores=cores_near(self._gpu_ids),
            meeting_host=ray.util.get_node_ip_address(),
            image=image,
            mounts=mounts,
        )
        self._share = LocalShare(ground, make_starter(job.study))
        self._held.callback(self._share.close)

    def prefetch(self, deployment: Deployment, timeout_s: float) -> None:
        """Fetches what the servers need of a hub to this node."""
        job = self._job
        prefetch(FetchOrder(job.study, deployment, timeout_s, tags(job.study_id, self._trial_id, job.owner)))

    def call(self, method: str, *arguments: Any) -> Any:
        """A method of the open share."""
        if self._share is None:
            raise ServerLostError("this node has no share of a launch")
        return getattr(self._share, method)(*arguments)

    def close(self) -> None:
        self._share = None
        held, self._held = self._held, contextlib.ExitStack()
        held.close()


class RemoteShare:
    """Share over a RankHost. A host that does not answer has taken its ranks with it: ServerLostError."""

    def __init__(self, host: Any) -> None:
        self._host = host

    def lease(self, ranks: int, meetings: int = 0) -> tuple[tuple[Address, ...], tuple[Address, ...]]:
        own, meeting = self._call("lease", ranks, meetings)
        return own, meeting

    def prepare(self) -> None:
        self._call("prepare", timeout_s=_PREPARE_TIMEOUT_S)

    def start(self, ranks: Sequence[BoundRank]) -> str | None:
        version: str | None = self._call("start", ranks)
        return version

    def state(self) -> ShareState:
        state: ShareState = self._call("state")
        return state

    def is_served_here(self, port: int) -> bool | None:
        served: bool | None = self._call("is_served_here", port)
        return served

    def taken(self, addresses: Sequence[Address]) -> Address | None:
        address: Address | None = self._call("taken", addresses)
        return address

    def log_tail(self, max_bytes: int = TAIL_BYTES) -> str:
        try:
            return str(self._call("log_tail", max_bytes))
        except ServerLostError as error:
            return error.message

    def end(self) -> None:
        self._call("end", timeout_s=_STOP_TIMEOUT_S)

    def close(self) -> None:
        """A host that is gone has ended its ranks already."""
        with contextlib.suppress(ServerLostError):
            _get(self._host.close.remote(), _STOP_TIMEOUT_S)

    def _call(self, method: str, *arguments: Any, timeout_s: float = _CALL_TIMEOUT_S) -> Any:
        return _get(self._host.call.remote(method, *arguments), timeout_s)


class RemoteNode:
    """OtherNode over a RankHost."""

    def __init__(self, host: Any) -> None:
        self._host = host

    def open(self, request: LaunchRequest) -> RemoteShare:
        deployment = request.deployment
        opened = self._host.open.remote(request.launch_id, deployment.image, deployment.mounts)
        _get(opened, _CALL_TIMEOUT_S)
        return RemoteShare(self._host)

    def prefetch(self, deployment: Deployment, timeout_s: float) -> None:
        _get(self._host.prefetch.remote(deployment, timeout_s), timeout_s + _CALL_TIMEOUT_S)


@contextlib.contextmanager
def rank_hosts(job: StudyJob, store: Any, assignment: Assignment) -> Any:
    """The further nodes of a trial, one RankHost in each bundle after the first; they end with the context."""
    bundles = need_of(job.study, assignment.config).shares
    hosts = [_start(job, store, assignment.trial_id, index, bundles[index]) for index in range(1, len(bundles))]
    try:
        yield tuple(RemoteNode(host) for host in hosts)
    finally:
        for host in hosts:
            ray.kill(host)


def _start(job: StudyJob, store: Any, trial_id: str, index: int, bundle: Bundle) -> Any:
    place = PlacementGroupSchedulingStrategy(
        placement_group=get_current_placement_group(), placement_group_bundle_index=index
    )
    options = {"num_cpus": bundle.cpus, "num_gpus": bundle.gpus, "scheduling_strategy": place, "max_concurrency": 1}
    return ray.remote(**options)(RankHost).remote(job, store, trial_id)


def _get(reference: Any, timeout_s: float) -> Any:
    try:
        return ray.get(reference, timeout=timeout_s)
    except (RayActorError, GetTimeoutError) as error:
        raise ServerLostError(f"a node of the trial is gone, and its ranks with it: {error}") from error
