"""The scheduling priority of a trial's processes."""

from __future__ import annotations

import contextlib
import os

USUAL = 0


def take_usual_priority() -> None:
    """Undoes Ray's own niceness of its workers (15 by default, ``RAY_worker_niceness``), where that is allowed.

    A load driver of low priority is late whenever anything else runs on the node, and servers inherit it too.
    """
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, USUAL)
