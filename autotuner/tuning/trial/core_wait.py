"""A trial's wait for cores that others have leased: told to the store for as long as it lasts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from autotuner.results.waits import Holder, Wait
from autotuner.servers.machine.core_holder import CoreHolder
from autotuner.tuning.trial.trial_store import TrialStore


class CoreWait:
    """What a CoreLease tells, as the store takes it. ``end()`` is idempotent and must be called."""

    def __init__(self, store: TrialStore, trial_id: str, node: str, cores: int, since: float) -> None:
        """``since``: epoch second from which the trial waits."""
        self._store = store
        self._trial_id = trial_id
        self._node = node
        self._wants = f"{cores} CPU"
        self._since = since
        self._is_told = False

    def tell(self, holders: Mapping[CoreHolder | None, int]) -> None:
        self._is_told = True
        found = tuple(self._holder(holder, cores) for holder, cores in holders.items())
        self._store.set_wait(self._trial_id, Wait(self._trial_id, self._wants, self._since, found))

    def end(self) -> None:
        if self._is_told:
            self._is_told = False
            self._store.set_wait(self._trial_id, None)

    def _holder(self, holder: CoreHolder | None, cores: int) -> Holder:
        if holder is None:
            return Holder(self._node, cpus=cores)
        pid = holder.pid or None
        return Holder(self._node, 0, cores, holder.study, holder.trial_id, holder.folder, pid=pid)


def core_holder(study_name: str, trial_id: str, log_dir: Path | None, pid: int) -> CoreHolder:
    """Of a trial whose logs go to ``log_dir``, two levels below its study's folder."""
    return CoreHolder(study_name, trial_id, "" if log_dir is None else str(log_dir.parent.parent), pid)
