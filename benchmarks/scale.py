"""Whether a study of hundreds of trials on a cluster costs more at its end than at its beginning.

    python -m benchmarks.scale [--json]
    python -m benchmarks.scale --trials 60           quick: marks and windows a fifth as large

``--trials`` empty servers of 8 logical GPUs run on 64 of them over 4 raylets, through the product's own runner,
searcher (TPE) and store: about 8 minutes on two cores that do nothing else. The overhead of a trial is what is left of
the time from its hand-out to its end without its server's start and its load; of a window of trials it is the median,
since some must start a worker first. (In a quick run most of the first window must.) The driver's CPU time for a trial
is told beside it; what grows there is the searcher's choice. Then a store of 10^5 measurements is read as for a report.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from autotuner.results import load_results
from autotuner.results.records import TrialRecord, TrialState
from benchmarks.raylets import raylets
from benchmarks.scale_study import NODES, Mark, Watch, run_empty_trials
from benchmarks.synthetic_study import Shape, make_study, write_folder

TRIALS = 300
WINDOWS = 6  # 50 trials of 300
MOST_MEMORY = 1.15  # driver's resident memory, trial 300 against trial 50
MOST_OVERHEAD = 1.3  # the last 50 trials against the first 50
MOST_QUERY_S = 5.0
READS = 3  # of which the quickest counts: what else the machine does is not the store's
STORE = Shape(
    trials=1250, levels=tuple(float(n) for n in range(1, 21)), rungs=4, failing=0, stopped=0, confirm=0, gpus=4
)


@dataclass(frozen=True)
class Row:
    """``bound`` is what ``value`` may be at most; ``None`` for what is told beside it."""

    metric: str
    value: float
    bound: float | None = None

    @property
    def ok(self) -> bool:
        return self.bound is None or self.value <= self.bound


def measure_trials(trials: int) -> list[Row]:
    """One study on a cluster of its own. The windows, and the early mark of memory, are a sixth of its trials."""
    watch = Watch(trials)
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        with raylets(NODES) as cluster:
            out = run_empty_trials(Path(name), trials, cluster.address, [watch])
        records = load_results(out.path).trial_records
    completed = sum(trial.state is TrialState.COMPLETED for trial in records)
    window = trials // WINDOWS
    marks, early, late = watch.marks, watch.marks[window - 1], watch.marks[-1]
    overhead = _overhead_s(marks, records)
    first, last = statistics.median(overhead[:window]), statistics.median(overhead[-window:])
    cpu_first, cpu_last = _cpu_s(marks[:window]), _cpu_s(marks[-window:])
    return [
        Row("trials_not_completed", trials - completed, 0.0),
        Row("workers_started", watch.workers),
        Row("wall_s_per_trial", (late.at_s - early.at_s) / (trials - window)),
        Row(f"driver_mib_at_{window}", early.mib),
        Row(f"driver_mib_at_{trials}", late.mib),
        Row("driver_memory_ratio", late.mib / early.mib, MOST_MEMORY),
        Row(f"overhead_s_first_{window}", first),
        Row(f"overhead_s_last_{window}", last),
        Row("overhead_ratio", last / first, MOST_OVERHEAD),
        Row(f"driver_cpu_s_first_{window}", cpu_first),
        Row(f"driver_cpu_s_last_{window}", cpu_last),
    ]


def _overhead_s(marks: Sequence[Mark], records: Sequence[TrialRecord]) -> list[float]:
    """Of each trial, in the order in which they ended."""
    server_s = {trial.trial_id: (trial.startup_s or 0.0) + trial.usage.measuring_s for trial in records}
    return [mark.trial_s - server_s[mark.trial_id] for mark in marks]


def _cpu_s(marks: Sequence[Mark]) -> float:
    """The driver's own work for one trial."""
    return (marks[-1].cpu_s - marks[0].cpu_s) / (len(marks) - 1)


def measure_store(shape: Shape) -> list[Row]:
    """A store of a study that was never run, read as for its report."""
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        folder = write_folder(Path(name) / "study", make_study(shape), shape)
        took_s = []
        for _ in range(READS):
            began = time.perf_counter()
            results = load_results(folder)
            took_s.append(time.perf_counter() - began)
    found = sum(len(rung.measurements) for rungs in results.rung_records.values() for rung in rungs)
    return [Row("store_measurements", found), Row("store_query_s", min(took_s), MOST_QUERY_S)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=TRIALS, help=f"at least {2 * WINDOWS} (default {TRIALS})")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    given = parser.parse_args()
    if given.trials < 2 * WINDOWS:
        parser.error(f"--trials: at least {2 * WINDOWS}")
    rows = [*measure_trials(given.trials), *measure_store(STORE)]
    if given.json:
        print(json.dumps({"trials": given.trials, "rows": [{**asdict(row), "ok": row.ok} for row in rows]}, indent=2))
    else:
        _print_table(rows)
    return 0 if all(row.ok for row in rows) else 1


def _print_table(rows: Sequence[Row]) -> None:
    print(f"{'metric':<26}{'value':>12}{'bound':>8}")
    for row in rows:
        bound = "" if row.bound is None else f"{row.bound:g}"
        print(f"{row.metric:<26}{row.value:>12.3f}{bound:>8}{'' if row.ok else '  broken'}".rstrip())


if __name__ == "__main__":
    sys.exit(main())
