"""HeldUp: what a study waits for because others hold it: looked for now and then, kept in the store, told on change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from autotuner.results.waits import Holder, Wait
from autotuner.tuning.decisions.capacity import need_text
from autotuner.tuning.decisions.placement_policy import Need
from autotuner.tuning.events import Waiting
from autotuner.tuning.trial.rig import Clock

_LOOKS_EVERY_S = 2.0


class WaitStore(Protocol):
    def set_wait(self, trial_id: str, wait: Wait | None) -> None: ...

    def waits(self) -> Sequence[Wait]: ...


class HeldUp:
    """Trials tell the store of their own waits; the study's wait for its next trial's place is found here."""

    def __init__(self, store: WaitStore, clock: Clock, tell: Callable[[Waiting], None]) -> None:
        self._store = store
        self._clock = clock
        self._tell = tell
        self._looked_s = clock.monotonic_s()
        self._since: float | None = None  # epoch second; it is told when it is found a second time
        self._own: Wait | None = None
        self._told: tuple[Wait, ...] = ()

    def look(self, find: Callable[[], Need | None], holders: Callable[[Need], Sequence[Holder]]) -> None:
        """``find``: what waits, and would not if nobody else held anything; it and ``holders`` are asked seldom.

        Ray's amounts lag behind its placement groups: what is found once may be a trial of ours that has just ended.
        """
        now = self._clock.monotonic_s()
        if now - self._looked_s < _LOOKS_EVERY_S:
            return
        self._looked_s = now
        own = self._find(find(), holders)
        if own != self._own:
            self._own = own
            self._store.set_wait("", own)
        waits = tuple(self._store.waits())
        if waits != self._told:
            self._told = waits
            self._tell(Waiting(waits))

    def _find(self, need: Need | None, holders: Callable[[Need], Sequence[Holder]]) -> Wait | None:
        if need is None:
            self._since = None
            return None
        if self._since is None:
            self._since = self._clock.epoch_s()
            return None
        return Wait("", need_text(need), self._since, tuple(holders(need)))
