"""Whether the driver grows with the number of trials: its resident memory at trial 20 and at trial 200.

Run it: ``python -m benchmarks.driver_memory [--json]``. It launches a real server for each trial: some minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import psutil

from autotuner.tuning.events import Event, TrialEnded
from benchmarks.small_study import run_small_study, small_study

EARLY, LATE = 20, 200
MOST_RATIO = 1.10


class _MemoryWatch:
    """Resident memory in MiB of this process after each ended trial."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self.mib: list[float] = []

    def on_event(self, event: Event) -> None:
        if isinstance(event, TrialEnded):
            self.mib.append(self._process.memory_info().rss / 2**20)
            if len(self.mib) % 20 == 0:
                print(f"trial {len(self.mib)}: {self.mib[-1]:.0f} MiB", file=sys.stderr)

    def close(self) -> None:
        """An Observer has to."""


def measure() -> dict[str, float]:
    watch = _MemoryWatch()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run_small_study(small_study(folder, LATE, rungs=1), folder, [watch])
    early, late = watch.mib[EARLY - 1], watch.mib[LATE - 1]
    return {"early_mib": early, "late_mib": late, "ratio": late / early}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure()
    within = found["ratio"] <= MOST_RATIO
    if arguments.json:
        print(json.dumps({**found, "bound": MOST_RATIO, "within_bounds": within}))
        return 0 if within else 1
    print("resident memory of the driver")
    print(f"  trial {EARLY:<4} {found['early_mib']:7.1f} MiB")
    print(f"  trial {LATE:<4} {found['late_mib']:7.1f} MiB")
    print(f"  ratio      {found['ratio']:7.3f}   bound {MOST_RATIO}")
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
