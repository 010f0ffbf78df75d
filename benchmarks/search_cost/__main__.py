"""What a search costs: GPU-seconds until the best Config is in hand (a), and until the study has ended (b).

    python -m benchmarks.search_cost                        every surface of benchmarks/surfaces, 20 seeds
    python -m benchmarks.search_cost --surface STUDY.yaml   any study whose launcher is replay

Shares are of what measuring the whole grid costs, start-ups included; without GPUs a server counts as one. (a) ends
when the incumbent's true score (over all that was recorded of it) is within 2 % of the best feasible one's, (b) with
the last trial, confirmations included. Every way has as many trials; autotuner is the study's own default. Other ways
end when their trials do and recommend what they measured as the best.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.search_cost.ours import autotuner
from benchmarks.search_cost.rows import Row, make_row
from benchmarks.search_cost.surface import Surface, load_surface
from benchmarks.search_cost.ways import Way, ways

SURFACES = Path(__file__).parents[1] / "surfaces"
SEEDS = 20
OURS = "autotuner"


def all_ways() -> dict[str, Way]:
    return {**ways(), OURS: autotuner}


def measure(surface: Surface, names: Sequence[str], seeds: int, trials: int | None) -> list[Row]:
    """A row a way; ``trials``: by default the study's own number."""
    known = all_ways()
    rows = []
    for name in names:
        count = trials or surface.study.search.trials
        traces = []
        for seed in range(seeds):
            print(f"{surface.name}: {name}: seed {seed + 1} of {seeds}", end="\r", file=sys.stderr, flush=True)
            traces.append(known[name](surface, count, seed))
        rows.append(make_row(surface, name, traces))
    print(" " * 80, end="\r", file=sys.stderr)
    return rows


def print_table(rows: Sequence[Row]) -> None:
    head = ("surface", "slo", "way", "a", "a p90", "found", "b", "b p90", "near", "worst", "/ default")
    cells = [head, *map(_cells, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        left = "  ".join(cell.ljust(width) for cell, width in zip(row[:3], widths, strict=False))
        right = "  ".join(cell.rjust(width) for cell, width in zip(row[3:], widths[3:], strict=True))
        print(f"{left}  {right}".rstrip())


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.surface,
        row.slo,
        row.way,
        _share(row.a_share),
        _share(row.a_p90_share),
        f"{row.found}/{row.seeds}",
        _share(row.b_share),
        _share(row.b_p90_share),
        f"{row.near}/{row.seeds}",
        f"{row.min_recommended:.2f}",
        "–" if row.recommended_over_default is None else f"{row.recommended_over_default:.2f}",
    )


def _share(share: float | None) -> str:
    return "never" if share is None else f"{share:.4f}"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.search_cost",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    parser.add_argument("--surface", action="append", type=Path, metavar="STUDY.yaml", help="a study that is replayed")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"searches of each way (default {SEEDS})")
    parser.add_argument("--trials", type=int, help="trials of each search (default: the study's search.trials)")
    parser.add_argument("--way", action="append", choices=sorted(all_ways()), help="this way alone; may be repeated")
    given = parser.parse_args()
    files = given.surface or sorted(SURFACES.glob("*/*.yaml"))
    names = [name for name in all_ways() if given.way is None or name in given.way]
    rows: list[Row] = []
    for file in files:
        surface = load_surface(file)
        found = measure(surface, names, given.seeds, given.trials)
        rows += found
        if not given.json:
            if len(rows) == len(found):
                print(f"{surface.count} Configs; the whole grid costs {surface.grid_s:.0f} GPU-seconds")
            print_table(found)
    if given.json:
        print(json.dumps({"seeds": given.seeds, "rows": [asdict(row) for row in rows]}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
