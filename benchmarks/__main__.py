"""Runs the benchmarks one after another and writes their tables into docs/benchmarks.md, with date and machine.

make benchmarks
python -m benchmarks --only check_speed --only report_speed
python -m benchmarks --except chaos --except scale
python -m benchmarks --old       which tables are older than the code that they speak of
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.docs_page import PAGE, Measured, when_measured, with_table
from benchmarks.machine import describe
from benchmarks.registry import BENCHMARKS, Benchmark

_BROKEN_BOUND = 1  # a benchmark's exit code beside a table; others have none
LastChange = Callable[[Sequence[str]], datetime | None]


def measure(benchmark: Benchmark) -> Measured | None:
    """Runs it in a process of its own; ``None``: it made no table. What it tells on stderr is seen."""
    machine, began, start = describe(), datetime.now(UTC), time.monotonic()
    done = subprocess.run(benchmark.command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, _BROKEN_BOUND) or not done.stdout.strip():
        return None
    minutes = (time.monotonic() - start) / 60
    words = " ".join(benchmark.words)
    return Measured(benchmark.name, words, done.stdout, machine, began, minutes, done.returncode == 0)


def write_tables(
    page: Path, benchmarks: Iterable[Benchmark], run: Callable[[Benchmark], Measured | None] = measure
) -> list[str]:
    """Measures each and writes its table at once, so that what comes later may fail; the names of those that did, or
    that are not within their bounds."""
    wrong = []
    for benchmark in benchmarks:
        print(f"{benchmark.name}: about {benchmark.takes_min:g} min", file=sys.stderr)
        measured = run(benchmark)
        if measured is None:
            wrong.append(f"{benchmark.name}: made no table")
            continue
        page.write_text(with_table(page.read_text(encoding="utf-8"), measured), encoding="utf-8")
        print(measured.table.rstrip())
        if not measured.within_bounds:
            wrong.append(f"{benchmark.name}: not within its bounds")
    return wrong


def old_tables(page: str, last_change: LastChange) -> Mapping[str, str]:
    """Tables that were measured before the code they speak of last changed, or that don't say when: name → why."""
    measured = when_measured(page)
    found = {}
    for benchmark in BENCHMARKS:
        when, changed = measured.get(benchmark.name), last_change(benchmark.speaks_of)
        if when is None:
            found[benchmark.name] = "does not say when it was measured"
        elif changed is not None and changed > when:
            found[benchmark.name] = f"measured {when:%Y-%m-%d %H:%M}, the code changed {changed:%Y-%m-%d %H:%M} UTC"
    return found


def last_commit(paths: Sequence[str]) -> datetime | None:
    """When one of these last changed, by git; ``None`` where there is no history."""
    command = ["git", "log", "-1", "--format=%ct", "--", *paths]
    done = subprocess.run(command, cwd=PAGE.parents[1], capture_output=True, text=True, check=False)
    seconds = done.stdout.strip()
    return datetime.fromtimestamp(int(seconds), UTC) if done.returncode == 0 and seconds else None


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [benchmark.name for benchmark in BENCHMARKS]
    parser.add_argument("--only", action="append", choices=names, help="this one alone; may be repeated")
    parser.add_argument("--except", action="append", choices=names, dest="left_out", default=[], help="all but this")
    parser.add_argument("--old", action="store_true", help="measure nothing: tell which tables are old")
    given = parser.parse_args()
    if given.old:
        old = old_tables(PAGE.read_text(encoding="utf-8"), last_commit)
        for name, why in old.items():
            print(f"{name}: {why}")
        return 1 if old else 0
    chosen = [one for one in BENCHMARKS if one.name in (given.only or names) and one.name not in given.left_out]
    wrong = write_tables(PAGE, chosen)
    for text in wrong:
        print(text, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
