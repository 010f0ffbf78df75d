"""Rig: the launcher, the load driver and the clock of a trial, which only make sense together.

A simulated or a replayed study swaps all three at once and runs through the same trial code.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from autotuner.benchmark import DriverSettings, LoadDriver, Target, open_driver
from autotuner.engines import Engine, EngineAnswer
from autotuner.servers import Launcher, ask_version, make_launcher, reap
from autotuner.servers.replay import launcher as replay
from autotuner.servers.replay.clock import VirtualClock
from autotuner.servers.replay.lookup import find_lookup
from autotuner.servers.telemetry import WatchTarget, watch_driver
from autotuner.servers.weights.prefetch import FetchOrder, prefetch
from autotuner.study.model import ReplayLauncher, Study


class Clock(Protocol):
    def epoch_s(self) -> float:
        """Seconds since the epoch: for records that people read."""
        ...

    def monotonic_s(self) -> float:
        """Seconds that never jump: for durations and deadlines."""
        ...


class AskVersion(Protocol):
    def __call__(self, engine: Engine, study: Study, *, gpu_ids: Sequence[str] = ()) -> EngineAnswer | None: ...


class SystemClock:
    def epoch_s(self) -> float:
        return time.time()

    def monotonic_s(self) -> float:
        return time.monotonic()


@dataclass(frozen=True)
class Rig:
    """``leases_cores`` says whether trials without GPUs hold real cores of this machine while they run.

    ``watch`` lays telemetry around a load driver, ``ask_version`` asks a node's own engine for its version, ``reap``
    ends what dead studies left on the node and ``prefetch`` brings weights there; ``None`` where there is nothing real.
    """

    launcher: Launcher
    open_driver: Callable[[Target, DriverSettings], LoadDriver]
    clock: Clock
    leases_cores: bool
    watch: Callable[[LoadDriver, WatchTarget], LoadDriver] | None = None
    ask_version: AskVersion | None = None
    reap: Callable[[], object] | None = None
    prefetch: Callable[[FetchOrder], None] | None = None


def make_rig(study: Study, epoch_s: float | None = None) -> Rig:
    """The rig of the study's launcher kind; a virtual clock begins at ``epoch_s``, by default now."""
    if isinstance(study.launcher, ReplayLauncher):
        return replay_rig(study, VirtualClock(time.time() if epoch_s is None else epoch_s))
    return Rig(
        launcher=make_launcher(study),
        open_driver=open_driver,
        clock=SystemClock(),
        leases_cores=study.launcher.starts_servers,
        watch=watch_driver,
        ask_version=ask_version if study.launcher.starts_servers else None,
        reap=reap if study.launcher.starts_servers else None,
        prefetch=prefetch,
    )


def replay_rig(study: Study, clock: VirtualClock) -> Rig:
    """Recorded measurements in place of servers and requests. Raises StudyError for a table that can't be read."""
    launcher = replay.ReplayLauncher(find_lookup(study), clock, study.search.seed)
    return Rig(launcher=launcher, open_driver=launcher.open_driver, clock=clock, leases_cores=False)
