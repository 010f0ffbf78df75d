"""Ranks on several nodes live or die together."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence

from autotuner.errors import InfrastructureError, ServerLostError
from autotuner.servers.supervision.share import Share

_EVERY_S = 1.0


class Together:
    """Looks after the shares of a launch, from any thread. One that ends takes the others along.

    A supervisor ends its own node's ranks when one of them ends; nobody there knows of other nodes.
    """

    def __init__(self, shares: Sequence[Share]) -> None:
        self._shares = shares
        self._lock = threading.Lock()
        self._exit_code: int | None = None
        self._lost: ServerLostError | None = None
        self._stopped = threading.Event()
        if len(shares) > 1:
            threading.Thread(target=self._watch, name="ranks", daemon=True).start()

    def exit_code(self) -> int | None:
        """``None`` while all ranks live, else that of the first that ended. Raises ServerLostError."""
        with self._lock:
            if self._exit_code is None and self._lost is None:
                self._look()
            if self._lost is not None:
                raise self._lost
            return self._exit_code

    def stop(self) -> None:
        """Ends the looking, a look under way included; what was seen is kept."""
        with self._lock:
            self._stopped.set()

    def _watch(self) -> None:
        while not self._stopped.wait(_EVERY_S):
            with contextlib.suppress(ServerLostError):
                self.exit_code()

    def _look(self) -> None:
        try:
            states = [share.state().exit_code for share in self._shares]
        except ServerLostError as error:
            self._lost = error
        else:
            self._exit_code = next((code for code in states if code is not None), None)
        if (self._lost is not None or self._exit_code is not None) and len(self._shares) > 1:
            for share in self._shares:
                with contextlib.suppress(InfrastructureError):
                    share.end()
