"""What a Pareto front costs: hypervolume over GPU-seconds, ours beside NSGA-II and drawn Configs.

    python -m benchmarks.front_cost                        the surfaces of benchmarks/surfaces, 10 seeds
    python -m benchmarks.front_cost --surface STUDY.yaml   any study whose launcher is replay

Each way has as many trials, and no SLOs, which would cut off what a front is to weigh. Hypervolume is of the true
values of the Configs on the front as it was measured, in logarithms, above the worst that any Config has, as a share of
what all Configs have together. "as nsga2" is what a way had to spend until it had what NSGA-II ends with, over all that
NSGA-II spent.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.front_cost.fronts import Goal, Step
from benchmarks.front_cost.rows import Row, make_rows
from benchmarks.front_cost.ways import WAYS
from benchmarks.search_cost.surface import load_surface

SURFACES = Path(__file__).parents[1] / "surfaces"
OBJECTIVES = ("throughput_per_gpu", "ttft_p90")
SEEDS = 10


def measure(file: Path, objectives: Sequence[str], seeds: int, trials: int | None) -> list[Row]:
    goal = Goal.of(load_surface(file), objectives)
    surface = goal.surface
    count = trials or surface.study.search.trials
    traces: dict[str, list[Sequence[Step]]] = {}
    for name, way in WAYS.items():
        traces[name] = []
        for seed in range(seeds):
            traces[name].append(way(goal, count, seed))
            print(f"{surface.name}: {name}: {seed + 1} of {seeds}    ", end="\r", file=sys.stderr, flush=True)
    print(" " * 80, end="\r", file=sys.stderr)
    return make_rows(surface.name, objectives, surface.grid_s, traces)


def print_table(rows: Sequence[Row]) -> None:
    print(f"{'surface':<12} {'way':<10} {'of the front':>12} {'worst':>6} {'cost':>7} {'as nsga2':>9}")
    for row in rows:
        as_nsga2 = "never" if row.over_nsga2 is None else f"{row.over_nsga2:.2f}"
        cells = f"{row.share:>12.3f} {row.worst_share:>6.3f} {row.cost_share:>7.4f} {as_nsga2:>9}"
        print(f"{row.surface:<12} {row.way:<10} {cells}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.front_cost",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    parser.add_argument("--surface", action="append", type=Path, metavar="STUDY.yaml", help="a study that is replayed")
    parser.add_argument("--objective", action="append", help=f"two to four (default {' and '.join(OBJECTIVES)})")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"searches of each way (default {SEEDS})")
    parser.add_argument("--trials", type=int, help="trials of each search (default: the study's search.trials)")
    return parser.parse_args()


def main() -> int:
    given = _arguments()
    rows: list[Row] = []
    for file in given.surface or sorted(SURFACES.glob("*/*.yaml")):
        rows += measure(file, given.objective or OBJECTIVES, given.seeds, given.trials)
    if given.json:
        print(json.dumps({"rows": [asdict(row) for row in rows]}, indent=2))
    else:
        print_table(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
