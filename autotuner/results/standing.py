"""Standing: how a study stands, in one word: of what is stored of it, and of whether its driver lives."""

from __future__ import annotations

from enum import StrEnum

from autotuner.results.driver import DriverState
from autotuner.results.fetched import FetchedCopy
from autotuner.results.records import StudyStatus


class Standing(StrEnum):
    """How a study stands.

    NOT_BEGUN ──▶ STARTING ──▶ RUNNING ──▶ COMPLETED or INTERRUPTED
                                       └─▶ DRIVER_DEAD: killed; ``resume`` goes on
    UNKNOWN: not ended, and its driver ran on a host that can't be asked from here.
    COPY: fetched from a cluster while its job ran; whether that goes on is not known here.
    """

    NOT_BEGUN = "not_begun"
    STARTING = "starting"
    RUNNING = "running"
    UNKNOWN = "unknown"
    COPY = "copy"
    DRIVER_DEAD = "driver_dead"
    COMPLETED = "completed"
    INTERRUPTED = "interrupted"

    @property
    def goes_on(self) -> bool:
        """Whether something may still come, so that watching makes sense."""
        return self in (Standing.STARTING, Standing.RUNNING, Standing.UNKNOWN)


def find_standing(status: StudyStatus | None, driver: DriverState, copy: FetchedCopy | None) -> Standing:
    """``status``: as it is stored, ``None`` while nothing is; ``copy``: what a fetched folder says of itself."""
    if copy is not None and not copy.is_whole and status in (None, StudyStatus.RUNNING):
        return Standing.COPY
    match status:
        case None:
            return Standing.STARTING if driver is DriverState.ALIVE else Standing.NOT_BEGUN
        case StudyStatus.RUNNING:
            return {
                DriverState.ALIVE: Standing.RUNNING,
                DriverState.DEAD: Standing.DRIVER_DEAD,
                DriverState.UNKNOWN: Standing.UNKNOWN,
            }[driver]
        case _:
            return Standing(status.value)
