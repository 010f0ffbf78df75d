"""Every benchmark, in the order of docs/benchmarks.md: what runs it, how long that takes, which code it speaks of."""

from __future__ import annotations

import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Benchmark:
    """``name`` is its module, and the name of its table in the docs. ``takes_min``: minutes on two cores, about.

    ``arguments`` are those that the table was made with; ``speaks_of`` are the folders and files whose change makes
    its figures old.
    """

    name: str
    takes_min: float
    speaks_of: tuple[str, ...]
    arguments: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """How people run it from a checkout."""
        return ("python", "-m", f"benchmarks.{self.name}", *self.arguments)

    @property
    def command(self) -> tuple[str, ...]:
        """The same by this very Python."""
        return (sys.executable, *self.words[1:])


_STUDY_PATH = ("autotuner/study", "autotuner/space", "autotuner/engines", "autotuner/cli", "autotuner/api/checking.py")
_TRIAL_PATH = (
    "autotuner/tuning",
    "autotuner/servers",
    "autotuner/results/storage/store.py",
    "autotuner/benchmark/client",
)
_SEARCH_PATH = ("autotuner/tuning", "autotuner/scoring", "autotuner/servers/replay", "benchmarks/search_cost")

BENCHMARKS: tuple[Benchmark, ...] = (
    Benchmark("load_driver", 2, ("autotuner/benchmark",)),
    Benchmark("check_speed", 1, _STUDY_PATH),
    Benchmark("trial_overhead", 2, _TRIAL_PATH),
    Benchmark("driver_memory", 6, ("autotuner/tuning", "autotuner/results")),
    Benchmark("report_speed", 0.5, ("autotuner/report", "autotuner/results")),
    Benchmark("utilisation", 8, ("autotuner/tuning",)),
    Benchmark("scale", 8, ("autotuner/tuning", "autotuner/results")),
    Benchmark("search_cost", 60, _SEARCH_PATH, ("--seeds", "5")),
    Benchmark("front_cost", 8, (*_SEARCH_PATH, "benchmarks/front_cost"), ("--seeds", "5")),
    Benchmark("chaos", 90, ("autotuner/tuning", "autotuner/servers", "autotuner/results")),
)
