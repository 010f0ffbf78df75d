"""What a program prints that ends well in time. Nothing of it is left."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from autotuner.errors import ServerLostError
from autotuner.servers.supervision.rank_starter import inherited_env
from autotuner.servers.supervision.supervision import RankProcess, Supervision
from autotuner.servers.supervision.work_folder import work_folder

_POLL_S = 0.02
_MOST_BYTES = 8 * 2**20  # a help text has some 200 kB


def said(make: Callable[[Path, Path], RankProcess], timeout_s: float, grace_s: float) -> str | None:
    """The output of the program that ``make`` gives for a folder of its own and a log; ``None`` where it fails.

    What is still there after ``timeout_s`` seconds has ``grace_s`` more from SIGTERM to SIGKILL.
    """
    with work_folder() as folder:
        log = folder / "said.log"
        rank = make(folder, log)
        supervision = Supervision(
            [rank], launch_id="version", env=inherited_env(), log=folder / "supervisor.log", grace_s=grace_s
        )
        try:
            exit_code = _wait(supervision, log, timeout_s)
        except ServerLostError:
            return None
        finally:
            supervision.stop()
        return log.read_text(encoding="utf-8", errors="replace") if exit_code == 0 else None


def _wait(supervision: Supervision, log: Path, timeout_s: float) -> int | None:
    ends_at = time.monotonic() + timeout_s
    while (code := supervision.exit_code()) is None and time.monotonic() < ends_at:
        with contextlib.suppress(FileNotFoundError):
            if log.stat().st_size > _MOST_BYTES:
                return None
        time.sleep(_POLL_S)
    return code
