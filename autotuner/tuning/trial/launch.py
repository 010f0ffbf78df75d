"""Launching a trial's servers: cores leased, servers ready, load driver open; and all of it given back."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from autotuner.benchmark import DriverSettings, LoadDriver, Target
from autotuner.engines import Deployment, one_engine
from autotuner.engines.node_shares import node_shares
from autotuner.engines.nodes import gpus_per_node
from autotuner.errors import CapacityError, Failure, LaunchError
from autotuner.servers import OWNER, CoreLease, LaunchRequest, RunningServer, resolve_headers
from autotuner.servers.launcher import OtherNode
from autotuner.servers.machine.core_holder import CoreHolder
from autotuner.servers.machine.near_cores import cores_near
from autotuner.servers.supervision.share import LOOPBACK
from autotuner.servers.supervision.work_folder import work_folder
from autotuner.servers.telemetry import WatchTarget
from autotuner.servers.weights.prefetch import FetchOrder
from autotuner.study.model import EndpointLauncher, Study
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.trial.core_wait import CoreWait, core_holder
from autotuner.tuning.trial.log_shipper import LogShipper
from autotuner.tuning.trial.rig import Rig
from autotuner.tuning.trial.trial_store import TrialStore

_ATTEMPTS = 3  # of what says nothing about a Config: a taken port, a busy node


@dataclass(frozen=True)
class Place:
    """Where a trial runs. ``log_dir`` is the study's own folder, or ``None`` where this node does not see it.

    ``gpu_ids`` are this node's; ``other_nodes`` run the further shares of its servers and reach this one at
    ``meeting_host``.
    """

    node: str
    gpu_ids: tuple[str, ...]
    accelerator: str
    log_dir: Path | None
    tags: Mapping[str, str]
    other_nodes: tuple[OtherNode, ...] = ()
    meeting_host: str = LOOPBACK


@dataclass(frozen=True)
class Live:
    """A launch that answers."""

    launch_id: str
    server: RunningServer
    driver: LoadDriver


class TrialLaunch:
    """Brings up what a trial measures, once at a time. ``close()`` is idempotent and must be called.

    ``loading_s`` counts seconds of starting servers and load driver, failed attempts included; waiting for
    cores is not loading.
    """

    def __init__(self, study: Study, assignment: Assignment, place: Place, rig: Rig, store: TrialStore) -> None:
        self._study = study
        self._assignment = assignment
        self._place = place
        self._rig = rig
        self._store = store
        self._engine, self._own_study, self._own_config = one_engine(study, assignment.config)
        self._held = contextlib.ExitStack()
        self.live: Live | None = None
        self.loading_s = 0.0
        self._ends_at_s = math.inf

    def ensure(self, deployment: Deployment, at_most_s: float = math.inf) -> Live:
        """The live launch, a new one ready within ``at_most_s`` seconds.

        Raises LaunchError, CapacityError (no cores) and InputError (a secret is missing).
        """
        if self.live is None:
            self._ends_at_s = self._rig.clock.monotonic_s() + at_most_s
            self.live = self._launch_patiently(deployment)
        return self.live

    def close(self) -> None:
        """Ends the load driver and every server process, gives cores and folders back; another launch may follow."""
        self.live = None
        self._held.close()

    def _launch_patiently(self, deployment: Deployment) -> Live:
        if self._rig.reap is not None:
            self._rig.reap()  # another study's leftovers may hold this node's GPUs
        for _ in range(_ATTEMPTS - 1):
            try:
                return self._launch(deployment)
            except LaunchError as error:
                if error.failure is not Failure.INFRASTRUCTURE:
                    raise
        return self._launch(deployment)

    def _launch(self, deployment: Deployment) -> Live:
        launch_id = self._store.begin_launch(self._assignment.trial_id, self._place.node, self._place.accelerator)
        with contextlib.ExitStack() as held:
            work_dir = held.enter_context(work_folder(self._place.tags))
            log_dir = self._place.log_dir
            if log_dir is None:
                log_dir = work_dir / "logs"
                held.enter_context(LogShipper(self._store, self._assignment.trial_id, log_dir))
            log_dir.mkdir(parents=True, exist_ok=True)
            self._fetch_weights(deployment, log_dir / f"{launch_id}-fetch.log")
            server_cores, client_cores, fds = self._lease_cores(held, deployment)
            request = LaunchRequest(
                deployment=deployment,
                launch_id=launch_id,
                log_dir=log_dir,
                work_dir=work_dir,
                tags=self._place.tags,
                start_timeout_s=self._start_timeout_s(),
                cores=server_cores,
                gpu_ids=self._place.gpu_ids,
                inherit_fds=fds,
                gpus_per_node=gpus_per_node(self._own_study),
                other_nodes=self._place.other_nodes,
                meeting_host=self._place.meeting_host if self._place.other_nodes else LOOPBACK,
            )
            started = self._rig.clock.monotonic_s()  # waiting for cores is not loading
            try:
                server = held.enter_context(self._rig.launcher.launch(request, self._engine.diagnose))
                driver = held.enter_context(
                    self._open_driver(deployment, server, (server_cores, client_cores), launch_id)
                )
            finally:
                self.loading_s += self._rig.clock.monotonic_s() - started
            self._store.launched(self._assignment.trial_id, launch_id, server.startup_s, server.engine_version)
            self._held = held.pop_all()
        return Live(launch_id, server, driver)

    def _fetch_weights(self, deployment: Deployment, log: Path) -> None:
        """Counts as loading, and not as start-up: how fast a hub is says nothing about a Config."""
        if self._rig.prefetch is None:
            return
        started = self._rig.clock.monotonic_s()
        timeout_s = min(self._study.timeouts.fetch_s, self._left_s())
        order = FetchOrder(self._own_study, deployment, timeout_s, self._place.tags, log)
        try:
            _fetch_on_all_nodes(order, self._rig.prefetch, self._place.other_nodes)
        finally:
            self.loading_s += self._rig.clock.monotonic_s() - started

    def _start_timeout_s(self) -> float:
        return min(self._study.timeouts.start_s, self._left_s())

    def _left_s(self) -> float:
        return max(0.0, self._ends_at_s - self._rig.clock.monotonic_s())

    def _lease_cores(
        self, held: contextlib.ExitStack, deployment: Deployment
    ) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Cores of the servers and of the load driver, and their locks. Beside GPUs: those near them, where known."""
        if not self._rig.leases_cores:
            return (), (), ()
        here = node_shares(deployment, gpus_per_node(self._own_study))[0].cpus
        wanted = here + self._study.hardware.client_cpus
        if not deployment.gpus:
            lease = self._wait_for_cores(held, wanted)
            return lease.cores[:here], lease.cores[here:], tuple(lease.fds)
        near = cores_near(self._place.gpu_ids)
        try:
            lease = held.enter_context(CoreLease(wanted, timeout_s=0.0, allowed=near, holder=self._core_holder()))
        except CapacityError:
            return near, (), ()  # fewer than are wanted: shared with other trials, but near
        return lease.cores[:here], lease.cores[here:], tuple(lease.fds)

    def _wait_for_cores(self, held: contextlib.ExitStack, wanted: int) -> CoreLease:
        """What others hold meanwhile is told."""
        trial_id, now = self._assignment.trial_id, self._rig.clock.epoch_s()
        wait = CoreWait(self._store, trial_id, self._place.node, wanted, now)
        timeout_s = self._start_timeout_s()
        try:
            return held.enter_context(
                CoreLease(wanted, timeout_s=timeout_s, holder=self._core_holder(), tell=wait.tell)
            )
        finally:
            wait.end()

    def _core_holder(self) -> CoreHolder:
        return core_holder(self._study.name, self._assignment.trial_id, self._place.log_dir, os.getpid())

    def _open_driver(
        self, deployment: Deployment, server: RunningServer, cores: tuple[tuple[int, ...], ...], launch_id: str
    ) -> LoadDriver:
        """``cores`` are the server's and the client's, none where these are not held."""
        target, settings = self._driver_arguments(deployment, server, cores[-1], launch_id)
        driver = self._rig.open_driver(target, settings)
        if self._rig.watch is None:
            return driver
        watched = WatchTarget(
            urls=server.urls,
            metrics=deployment.metrics,
            sources=self._engine.server_metrics,
            headers=target.headers,
            gpu_ids=self._place.gpu_ids,
            gpus=deployment.gpus,
            insecure=target.insecure,
            cores=list(itertools.chain(*cores)) if self._study.launcher.kind == "process" else None,
            heeds_disturbance=self._study.search.heed_disturbance,
        )
        return self._rig.watch(driver, watched)

    def _driver_arguments(
        self, deployment: Deployment, server: RunningServer, cores: tuple[int, ...], launch_id: str
    ) -> tuple[Target, DriverSettings]:
        study = self._study
        launcher = study.launcher
        target = Target(
            urls=server.urls,
            served_name=server.served_name or deployment.served_name,
            features=self._engine.features(self._own_study, self._own_config),
            headers=resolve_headers(study),
            insecure=isinstance(launcher, EndpointLauncher) and launcher.insecure,
            is_known=launcher.kind != "endpoint",
        )
        return target, DriverSettings(
            workload=study.workload,
            request_timeout_s=study.timeouts.request_s,
            seed=self._seed(launch_id),
            cores=cores,
        )

    def _seed(self, launch_id: str) -> int:
        """The study's seed; on a server that was there before, and may know its prompts, one of this launch's own."""
        study = self._study
        if study.launcher.kind != "endpoint" or study.workload.cache == "warm":
            return study.search.seed
        salt = f"{self._place.tags.get(OWNER, '')}/{launch_id}/{study.search.seed}"
        return zlib.crc32(salt.encode())


def _fetch_on_all_nodes(order: FetchOrder, here: Callable[[FetchOrder], None], others: Sequence[OtherNode]) -> None:
    """To all nodes of a trial at a time. Raises, when all have ended, what ``here`` raised, else the first other."""
    with ThreadPoolExecutor(max_workers=max(1, len(others))) as pool:
        waiting = [pool.submit(node.prefetch, order.deployment, order.timeout_s) for node in others]
        here(order)
    for one in waiting:
        one.result()
