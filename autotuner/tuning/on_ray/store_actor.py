"""The store's writer as an actor on the driver's node, and the trial's face of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from autotuner.metrics.request import PointRun
from autotuner.results import OutputFolder, resolved_yaml
from autotuner.results.account import Account
from autotuner.results.records import (
    FailureRecord,
    QuarantineRecord,
    RungRecord,
    StudyStatus,
    TrialEnd,
    TrialRecord,
    Usage,
)
from autotuner.results.waits import Wait
from autotuner.servers.replay.clock import VirtualClock
from autotuner.study.model import Study
from autotuner.tuning.store_service import StoreService

_CALL_TIMEOUT_S = 120.0


def start_store(
    folder: OutputFolder,
    study: Study,
    study_id: str,
    began_at: float | None = None,
    virtual: VirtualClock | None = None,
) -> Any:
    """Starts the store actor on this very node and waits until it answers; returns its handle.

    ``began_at``: when this life of the study began, in epoch seconds; by default now. ``virtual``: as in StoreService.
    """
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor_class = ray.remote(num_cpus=0, max_concurrency=1, scheduling_strategy=here)(StoreService)
    text = resolved_yaml(study, study_id)
    handle = actor_class.remote(str(folder.path), text, study_id, study.name, began_at, virtual=virtual)
    ray.get(handle.ping.remote(), timeout=_CALL_TIMEOUT_S)
    return handle


class RemoteStore:
    """TrialStore over the actor: a call returns after the write has been committed."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def begin_trial(self, record: TrialRecord) -> TrialRecord:
        stored: TrialRecord = self._call("begin_trial", record)
        return stored

    def hand_out(self, record: TrialRecord) -> None:
        self._call("hand_out", record)

    def pause(self, trial_id: str, held_s: float) -> None:
        self._call("pause", trial_id, held_s)

    def go_on(self, trial_id: str, held_s: float) -> None:
        self._call("go_on", trial_id, held_s)

    def note_alive(self) -> None:
        self._call("note_alive")

    def account(self) -> Account:
        account: Account = self._call("account")
        return account

    def take_back(self, trial_id: str, held_s: float) -> Usage:
        usage: Usage = self._call("take_back", trial_id, held_s)
        return usage

    def begin_launch(self, trial_id: str, node: str, accelerator: str) -> str:
        return str(self._call("begin_launch", trial_id, node, accelerator))

    def set_config(self, trial_id: str, launch_id: str, config: Mapping[str, Any]) -> None:
        self._call("set_config", trial_id, launch_id, config)

    def launched(self, trial_id: str, launch_id: str, startup_s: float, engine_version: str) -> None:
        self._call("launched", trial_id, launch_id, startup_s, engine_version)

    def rungs(self, trial_id: str | None = None) -> Sequence[RungRecord]:
        """Ended rungs of one trial, or of all."""
        stored: Sequence[RungRecord] = self._call("rungs", trial_id)
        return stored

    def runs(self, trial_id: str) -> Sequence[tuple[int, PointRun]]:
        stored: Sequence[tuple[int, PointRun]] = self._call("runs", trial_id)
        return stored

    def add_rung(self, record: RungRecord) -> None:
        self._call("add_rung", record)

    def end_trial(self, end: TrialEnd) -> None:
        self._call("end_trial", end)

    def note_failure(self, record: FailureRecord) -> None:
        self._call("note_failure", record)

    def add_quarantine(self, node: str, reason: str) -> None:
        self._call("add_quarantine", node, reason)

    def quarantines(self) -> Sequence[QuarantineRecord]:
        stored: Sequence[QuarantineRecord] = self._call("quarantines")
        return stored

    def set_wait(self, trial_id: str, wait: Wait | None) -> None:
        self._call("set_wait", trial_id, wait)

    def waits(self) -> Sequence[Wait]:
        stored: Sequence[Wait] = self._call("waits")
        return stored

    def set_usage(self, trial_id: str, usage: Usage, node: str) -> None:
        self._call("set_usage", trial_id, usage, node)

    def append_log(self, trial_id: str, name: str, offset: int, data: bytes) -> int:
        try:
            return int(self._call("append_log", trial_id, name, offset, data))
        except RayError as error:  # of the actor, of its node, or of what it did
            raise OSError(str(error)) from error

    def trials(self) -> Sequence[TrialRecord]:
        stored: Sequence[TrialRecord] = self._call("trials")
        return stored

    def reopen_trial(self, trial_id: str) -> None:
        self._call("reopen_trial", trial_id)

    def end_study(self, status: StudyStatus, stop_reason: str) -> None:
        self._call("end_study", status, stop_reason)

    def _call(self, method: str, *arguments: Any) -> Any:
        return ray.get(getattr(self._handle, method).remote(*arguments), timeout=_CALL_TIMEOUT_S)
