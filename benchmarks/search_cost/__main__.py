"""What a search costs: GPU-seconds until the best Config is in hand (a), and until the study has ended (b).

    python -m benchmarks.search_cost                        every surface of benchmarks/surfaces, 20 seeds
    python -m benchmarks.search_cost --surface STUDY.yaml   any study whose launcher is replay
    python -m benchmarks.search_cost --drawn 10             surfaces drawn at random, from families that are wide

Shares are of what measuring the whole grid costs, start-ups included; without GPUs a server counts as one. (a) ends
when the incumbent's true score (over all that was recorded of it) is within 2 % of the best feasible one's, (b) with
the last trial, confirmations included. Every way has as many trials; autotuner is the study's own default. Other ways
end when their trials do and recommend what they measured as the best.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.search_cost.plot import plot
from benchmarks.search_cost.rows import Row, make_row, total
from benchmarks.search_cost.searches import OURS, Pool, all_ways, default_jobs, pool_of, searches
from benchmarks.search_cost.surface import Surface, load_surface
from benchmarks.surfaces.drawn import draw, write_surface

SURFACES = Path(__file__).parents[1] / "surfaces"
SEEDS = 20


def measure(
    file: Path, surface: Surface, names: Sequence[str], seeds: int, trials: int | None, pool: Pool
) -> list[Row]:
    """A row a way; ``trials``: by default the study's own number."""
    rows = []
    count = trials or surface.study.search.trials
    for name in names:
        traces = []
        for trace in searches(file, surface, name, count, seeds, pool):
            traces.append(trace)
            print(f"{surface.name}: {name}: {len(traces)} of {seeds}    ", end="\r", file=sys.stderr, flush=True)
        rows.append(make_row(surface, name, traces))
    print(" " * 80, end="\r", file=sys.stderr)
    return rows


def print_table(rows: Sequence[Row]) -> None:
    head = ("surface", "slo", "way", "a", "a p90", "found", "b", "b p90", "near", "worst", "/ default")
    _print_cells([head, *map(_cells, rows)], texts=3)


def print_total(rows: Sequence[Row]) -> None:
    head = ("all surfaces", "a", "never", "found", "b", "near", "worst")
    cells = [
        (
            one.way,
            _share(one.a_share),
            f"{one.never}/{one.surfaces}",
            f"{one.found}/{one.seeds}",
            _share(one.b_share),
            f"{one.near}/{one.seeds}",
            f"{one.min_recommended:.2f}",
        )
        for one in total(rows)
    ]
    _print_cells([head, *cells], texts=1)


def _print_cells(cells: Sequence[tuple[str, ...]], texts: int) -> None:
    """The first ``texts`` columns to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    for row in cells:
        left = "  ".join(cell.ljust(width) for cell, width in zip(row[:texts], widths, strict=False))
        right = "  ".join(cell.rjust(width) for cell, width in zip(row[texts:], widths[texts:], strict=True))
        print(f"{left}  {right}".rstrip(), flush=True)


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


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.search_cost",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    parser.add_argument("--surface", action="append", type=Path, metavar="STUDY.yaml", help="a study that is replayed")
    parser.add_argument("--drawn", type=int, metavar="N", default=0, help="N surfaces drawn at random")
    parser.add_argument("--draw-seed", type=int, metavar="S", default=0, help="what they are drawn from (default 0)")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"searches of each way (default {SEEDS})")
    parser.add_argument("--trials", type=int, help="trials of each search (default: the study's search.trials)")
    parser.add_argument("--way", action="append", choices=sorted(all_ways()), help="this way alone; may be repeated")
    jobs = default_jobs()
    parser.add_argument(
        "--jobs", type=_positive, default=jobs, help=f"seeds at a time (default {jobs}); no figure changes"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="what share of seeds has found the best by when")
    return parser.parse_args()


def _positive(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return int(text)


def _files(given: argparse.Namespace, folder: Path) -> Iterator[Path]:
    """The surfaces asked for, those of the repository where none is; drawn ones are written into ``folder``."""
    yield from given.surface or ()
    for number in range(given.drawn):
        one = draw(given.draw_seed, number)
        if not given.json:
            print(f"{one.name}: {one.told}")
        yield write_surface(one, folder)
    if not given.surface and not given.drawn:
        yield from sorted(SURFACES.glob("*/*.yaml"))


def main() -> int:
    given = _arguments()
    names = [name for name in all_ways() if given.way is None or name in given.way]
    rows: list[Row] = []
    surfaces = 0
    with tempfile.TemporaryDirectory(prefix="drawn-") as folder, pool_of(given.jobs) as pool:
        for file in _files(given, Path(folder)):
            surface = load_surface(file)
            found = measure(file, surface, names, given.seeds, given.trials, pool)
            rows += found
            surfaces += 1
            if not given.json:
                print(f"{surface.count} Configs; the whole grid costs {surface.grid_s:.0f} GPU-seconds")
                print_table(found)
    if given.plot:
        given.plot.write_text(plot(rows, OURS), encoding="utf-8")
    if given.json:
        print(json.dumps(_document(given.seeds, rows), indent=2))
    elif surfaces > 1:
        print_total(rows)
    return 0


def _document(seeds: int, rows: Sequence[Row]) -> dict[str, object]:
    return {"seeds": seeds, "rows": [asdict(row) for row in rows], "total": [asdict(one) for one in total(rows)]}


if __name__ == "__main__":
    sys.exit(main())
