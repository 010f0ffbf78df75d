"""TrialStore: what a running trial reads and writes. The store actor answers it over Ray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from autotuner.metrics.request import PointRun
from autotuner.results.records import FailureRecord, RungRecord, TrialEnd, TrialRecord, Usage
from autotuner.results.waits import Wait


class TrialStore(Protocol):
    """Every write has been committed when the call returns."""

    def begin_trial(self, record: TrialRecord) -> TrialRecord:
        """Adds the trial, or finds it again after a death; returns what is stored."""
        ...

    def begin_launch(self, trial_id: str, node: str, accelerator: str) -> str:
        """A launch id that this trial never had before."""
        ...

    def launched(self, trial_id: str, launch_id: str, startup_s: float, engine_version: str) -> None: ...

    def set_config(self, trial_id: str, launch_id: str, config: Mapping[str, Any]) -> None:
        """The Config that this launch runs with in place of the trial's own, which is kept beside it."""
        ...

    def rungs(self, trial_id: str) -> Sequence[RungRecord]:
        """The trial's ended rungs in order, without their raw requests."""
        ...

    def runs(self, trial_id: str) -> Sequence[tuple[int, PointRun]]:
        """The raw load point runs of the ended rungs."""
        ...

    def add_rung(self, record: RungRecord) -> None: ...

    def end_trial(self, end: TrialEnd) -> None: ...

    def note_failure(self, record: FailureRecord) -> None:
        """Keeps a failure that ends no trial: it is repeated elsewhere."""
        ...

    def set_wait(self, trial_id: str, wait: Wait | None) -> None:
        """What the trial waits for now, told anew when who holds it changes; ``None``: for nothing any more."""
        ...

    def set_usage(self, trial_id: str, usage: Usage, node: str) -> None:
        """Of a trial that was taken from this node, nothing is kept."""
        ...

    def append_log(self, trial_id: str, name: str, offset: int, data: bytes) -> int:
        """Keeps ``data`` as the bytes from ``offset`` of a server log, for a node that does not see the study's folder.

        Offset 0 begins the file anew. Returns up to where the file is known now: before ``offset``, and then nothing
        was written, when something is missing. Raises OSError when it could not be done; the same may be
        sent again.
        """
        ...
