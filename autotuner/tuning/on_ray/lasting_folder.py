"""A working folder that stays while Ray runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from autotuner.servers.machine.lock_file import lock_folder
from autotuner.tuning.on_ray.job_folder import own_job_id


@contextmanager
def lasting_working_folder() -> Iterator[None]:
    """Leaves a working folder that is gone, or a Ray job's, for an empty one of the user's; goes back afterwards.

    Ray and Ray Tune look at it at any moment, and fail where it was deleted; a job's is a copy, which Ray takes away.
    All paths are absolute by now.
    """
    try:
        before = os.getcwd()
    except FileNotFoundError:
        before = ""
    if before and own_job_id() is None:
        yield
        return
    os.chdir(lock_folder("empty"))
    try:
        yield
    finally:
        with suppress(OSError):  # it may be gone
            os.chdir(before)
