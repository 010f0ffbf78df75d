"""How busy GPUs are kept: trials of 1, 2, 4 and 8 GPUs on nodes of 8, 8 and 4, under four policies, in virtual time.

    python -m benchmarks.utilisation [--json]        then 40 short trials on raylets, ours and plain Ray Tune
    python -m benchmarks.utilisation --virtual       without these: seconds instead of minutes

Sizes are drawn evenly, lengths evenly from 60 to 180 s; no policy knows lengths. In the case ``list`` all trials are
known from the start, as in a grid; in ``searcher`` they are proposed one at a time, and may wait in a line of 8 (of
one under ``fifo``, as plain Ray Tune has it with a searcher). Starting costs nothing.
The bound is max(all work / all GPUs, longest trial); ratios are means over the seeds.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from dataclasses import asdict, dataclass, replace

from autotuner.tuning.decisions.waiting_line import LOOK_AHEAD
from benchmarks.virtual_cluster import POLICIES, VirtualTrial, bound_s, simulate

NODES = (8, 8, 4)
SIZES = (1, 2, 4, 8)
LENGTHS_S = (60.0, 180.0)
SEEDS = 100
COUNTS = (40, 200)
CASES = ("list", "searcher")
MOST_RATIO = 1.12  # ours, of a known list


@dataclass(frozen=True)
class Row:
    """Means over the seeds. ``longest_wait_s`` is that of an 8-GPU trial; ``real_ratio`` of the run on raylets."""

    policy: str
    trials: int
    case: str
    makespan_s: float
    bound_s: float
    ratio: float
    longest_wait_s: float
    real_ratio: float | None = None


def draw(count: int, seed: int) -> list[VirtualTrial]:
    rng = random.Random(1000 * seed + count)
    return [VirtualTrial(rng.choice(SIZES), rng.uniform(*LENGTHS_S)) for _ in range(count)]


def measure(policy: str, count: int, case: str, seeds: int = SEEDS) -> Row:
    look_ahead = None if case == "list" else 1 if policy == "fifo" else LOOK_AHEAD
    makespans, bounds, waits = [], [], []
    for seed in range(seeds):
        trials = draw(count, seed)
        ended = simulate(trials, NODES, POLICIES[policy], look_ahead)
        makespans.append(ended.makespan_s)
        bounds.append(bound_s(trials, NODES))
        waits.append(ended.longest_wait_s)
    ratio = statistics.mean(m / b for m, b in zip(makespans, bounds, strict=True))
    return Row(policy, count, case, statistics.mean(makespans), statistics.mean(bounds), ratio, statistics.mean(waits))


def is_good(rows: list[Row]) -> bool:
    """Ours within its bound for lists, and better than all others everywhere."""
    ours = {(row.trials, row.case): row.ratio for row in rows if row.policy == "autotuner"}
    within = all(ratio <= MOST_RATIO for (_, case), ratio in ours.items() if case == "list")
    return within and all(row.ratio > ours[row.trials, row.case] for row in rows if row.policy != "autotuner")


def _print_table(rows: list[Row]) -> None:
    print(f"{'case':<10}{'trials':>7}  {'policy':<15}{'makespan s':>11}{'bound s':>9}", end="")
    print(f"{'ratio':>7}{'8-GPU wait s':>14}{'real':>7}")
    for row in rows:
        figures = f"{row.makespan_s:>11.0f}{row.bound_s:>9.0f}{row.ratio:>7.3f}{row.longest_wait_s:>14.0f}"
        real = "" if row.real_ratio is None else f"{row.real_ratio:.3f}"
        print(f"{row.case:<10}{row.trials:>7}  {row.policy:<15}{figures}{real:>7}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"draws of trials (default {SEEDS})")
    parser.add_argument("--virtual", action="store_true", help="leave out the 40 short trials on raylets: some minutes")
    given = parser.parse_args()
    rows = [measure(policy, count, case, given.seeds) for case in CASES for count in COUNTS for policy in POLICIES]
    if not given.virtual:
        from benchmarks.real_utilisation import real_ratios

        ratios = real_ratios(draw(COUNTS[0], seed=0), NODES)
        rows = [
            replace(row, real_ratio=ratios.get(row.policy)) if (row.trials, row.case) == (COUNTS[0], "list") else row
            for row in rows
        ]
    if given.json:
        print(json.dumps({"seeds": given.seeds, "nodes": NODES, "rows": [asdict(row) for row in rows]}, indent=2))
    else:
        _print_table(rows)
    return 0 if is_good(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
