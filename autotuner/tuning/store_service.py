"""StoreService: the one writer of a study's store, and what it refuses."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autotuner.errors import Failure, InfrastructureError
from autotuner.metrics.request import PointRun
from autotuner.results import OutputFolder, Store
from autotuner.results.account import Account
from autotuner.results.records import (
    FailureRecord,
    LifeRecord,
    QuarantineRecord,
    RungRecord,
    StudyStatus,
    TrialEnd,
    TrialRecord,
    Usage,
)
from autotuner.results.waits import Wait
from autotuner.servers.replay.clock import VirtualClock

MEASURED_TWICE = "was measured again, though it had ended: the first measurement stays"


class StoreService:
    """Its methods are called one at a time, so that writes never meet.

    A trial is written of from one node. Another one that began it earlier, was cut off from the cluster and comes back
    is refused with InfrastructureError: what it has to say is of a trial that goes on elsewhere.
    """

    def __init__(
        self,
        out_dir: str,
        study_yaml: str,
        study_id: str,
        name: str,
        began_at: float | None = None,
        *,
        virtual: VirtualClock | None = None,
    ) -> None:
        """``began_at``: when this life of the study began, in epoch seconds; by default now.

        ``virtual``: time is what trials say it is; from here on it is this service's own.
        """
        self._virtual = virtual
        self._folder = OutputFolder(Path(out_dir))
        self._store = Store(self._folder.database_url, self._folder.requests)
        self._store.open_study(study_yaml, study_id, name, now=self._epoch_s() if began_at is None else began_at)
        self._nodes: dict[str, str] = {}  # trial → the one that it is written of from
        self._over: set[str] = set()  # launches of trials that were taken from their nodes

    def hand_out(self, record: TrialRecord) -> None:
        self._follow(record.started_at)
        self._store.add_trial(record)
        self._store.take_hold(record.trial_id, record.held, now=record.started_at)

    def pause(self, trial_id: str, held_s: float) -> None:
        self._store.let_go(trial_id, held_s, now=self._epoch_s())

    def go_on(self, trial_id: str, held_s: float) -> None:
        self._store.hold_again(trial_id, held_s, now=self._epoch_s())

    def begin_trial(self, record: TrialRecord) -> TrialRecord:
        self._nodes[record.trial_id] = record.node
        self._store.begin_trial(record)
        return self._trial(record.trial_id, now=record.started_at)

    def take_back(self, trial_id: str, held_s: float) -> Usage:
        """Nobody may write of a trial until it is begun anew; returns what it has used.

        ``held_s``: seconds since it was handed out, of which a process that died has not told.
        """
        self._nodes[trial_id] = ""
        self._store.let_go(trial_id, held_s, now=self._epoch_s())
        self._store.set_wait(trial_id, None)
        trial = self._trial(trial_id)
        self._over.add(trial.launch_id)  # its actor may yet end a rung, before another launch is begun
        return trial.usage

    def begin_launch(self, trial_id: str, node: str, accelerator: str) -> str:
        self._refuse_others(trial_id, node)
        last = self._trial(trial_id).launch_id
        number = int(last.rpartition("-l")[2]) + 1 if last else 1
        launch_id = f"{trial_id}-l{number}"
        self._store.update_launch(trial_id, launch_id, node=node, accelerator=accelerator)
        return launch_id

    def set_config(self, trial_id: str, launch_id: str, config: Mapping[str, Any]) -> None:
        trial = self._launched_last(trial_id, launch_id)
        self._store.set_config(trial_id, config, asked=trial.config)

    def launched(self, trial_id: str, launch_id: str, startup_s: float, engine_version: str) -> None:
        trial = self._launched_last(trial_id, launch_id)
        self._store.update_launch(
            trial_id,
            launch_id,
            node=trial.node,
            accelerator=trial.accelerator,
            startup_s=startup_s,
            engine_version=engine_version,
        )

    def rungs(self, trial_id: str | None = None) -> Sequence[RungRecord]:
        return self._store.rungs(trial_id)

    def runs(self, trial_id: str) -> Sequence[tuple[int, PointRun]]:
        return self._store.runs(trial_id)

    def add_rung(self, record: RungRecord) -> None:
        """The first measurement of a rung stays; that GPUs were busy with another one is told as a failure."""
        self._follow(record.ended_at)
        self._launched_last(record.trial_id, record.launch_id)
        if not self._store.add_rung(record):
            message = f"rung {record.rung} {MEASURED_TWICE}"  # no failure of the rung, which is a good one
            self.note_failure(FailureRecord(record.trial_id, Failure.INFRASTRUCTURE, message, self._epoch_s()))

    def end_trial(self, end: TrialEnd) -> None:
        self._follow(end.ended_at)
        if end.node:
            self._refuse_others(end.trial_id, end.node)
        self._store.end_trial(end)

    def note_failure(self, record: FailureRecord) -> None:
        self._store.note_failure(record)

    def add_quarantine(self, node: str, reason: str) -> None:
        self._store.add_quarantine(node, reason, now=self._epoch_s())

    def quarantines(self) -> list[QuarantineRecord]:
        return self._store.quarantines()

    def set_wait(self, trial_id: str, wait: Wait | None) -> None:
        self._store.set_wait(trial_id, wait)

    def waits(self) -> list[Wait]:
        return self._store.waits()

    def set_usage(self, trial_id: str, usage: Usage, node: str) -> None:
        if self._is_written_from(trial_id, node):
            self._store.set_usage(trial_id, usage)

    def reopen_trial(self, trial_id: str) -> None:
        self._store.reopen_trial(trial_id)

    def append_log(self, trial_id: str, name: str, offset: int, data: bytes) -> int:
        folder = self._folder.trial_logs(trial_id)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / Path(name).name
        if offset == 0:
            path.unlink(missing_ok=True)  # who follows it sees that another file has the name
        held = path.stat().st_size if path.exists() else 0
        if held < offset:
            return held
        with path.open("r+b" if held else "wb") as file:
            file.seek(offset)
            file.write(data)
        return offset + len(data)

    def trials(self) -> Sequence[TrialRecord]:
        return self._store.trials()

    def note_alive(self) -> None:
        self._store.note_alive(now=self._epoch_s())

    def lives(self) -> Sequence[LifeRecord]:
        return self._store.lives()

    def account(self) -> Account:
        return self._store.account(now=self._epoch_s())

    def end_study(self, status: StudyStatus, stop_reason: str) -> None:
        self._store.end_study(status, stop_reason, now=self._epoch_s())

    def ping(self) -> bool:
        return True

    def _epoch_s(self) -> float:
        return time.time() if self._virtual is None else self._virtual.epoch_s()

    def _follow(self, epoch_s: float) -> None:
        if self._virtual is not None:
            self._virtual.advance_to(epoch_s)

    def _is_written_from(self, trial_id: str, node: str) -> bool:
        return self._nodes.get(trial_id, node) == node

    def _launched_last(self, trial_id: str, launch_id: str) -> TrialRecord:
        """The trial, if this is its launch. Raises InfrastructureError for one that it was taken from."""
        trial = self._trial(trial_id)
        if launch_id in self._over or launch_id != trial.launch_id:
            raise InfrastructureError(f"launch {launch_id} is over: trial {trial_id} was taken from it")
        return trial

    def _refuse_others(self, trial_id: str, node: str) -> None:
        if not self._is_written_from(trial_id, node):
            raise InfrastructureError(f"trial {trial_id} was taken from {node}: it goes on elsewhere")

    def _trial(self, trial_id: str, now: float | None = None) -> TrialRecord:
        record = self._store.trial(trial_id, now=now)
        if record is None:
            raise InfrastructureError(f"the store has no trial {trial_id}")
        return record
