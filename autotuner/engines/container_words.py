"""Lines that the docker launcher adds to a server's log, and what they say of its end. Pure."""

from __future__ import annotations

KILLED_FOR_MEMORY = "autotuner: the container was killed at its memory limit"
NOT_STARTED = "autotuner: the container can't be started"
