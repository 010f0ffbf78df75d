"""Pause: why the conductor hands out no trial."""

from __future__ import annotations

from enum import StrEnum


class Pause(StrEnum):
    """Why ``next()`` hands out no trial."""

    WAIT = "wait"  # until a running trial ends, or something gets free
    FINISHED = "finished"
    NO_PLACE = "no_place"  # no node is left that could hold what is left to do
