"""The label by which a Ray node tells its GPU type."""

from __future__ import annotations

ACCELERATOR_LABEL = "autotuner/accelerator"  # its value: a name of search_spaces/hardware
