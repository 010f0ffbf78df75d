"""``python -m scripts.mutants --seed 7 --count 200``: how many changes to the pure core do the tests notice?

Draws mutants by the seed, runs for each the tests that run its line until one fails, and prints what survived. Ends
with 0 where enough was noticed (``mutants.toml``), 1 where not, 2 where tests fail without any mutant.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from scripts.mutants.asked import Tests
from scripts.mutants.draw import draw
from scripts.mutants.forks import warm_up
from scripts.mutants.mutant import Mutant, mutants_of
from scripts.mutants.plan import Plan
from scripts.mutants.seen import FailingTestsError, see
from scripts.mutants.table import show, tallies
from scripts.mutants.trial import Verdict, try_mutants

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".mutants"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    os.chdir(ROOT)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what runs in forks is ended too
    console, plan = Console(), Plan.read()
    rooms = {
        room.name: [
            m for path in room.paths(ROOT) for m in mutants_of(path) if not options.only or options.only in str(path)
        ]
        for room in plan.rooms
        if not options.room or room.name in options.room
    }
    drawn = draw(rooms, options.seed, options.count, plan.draw_at_least, plan.alike)
    if options.list:
        for name, mutants in rooms.items():
            console.print(f"{name}: {len(mutants)} mutants, {len(drawn[name])} drawn", highlight=False)
        return 0
    warm_up(plan.warm)
    try:
        tests = Tests(ROOT, see(ROOT, plan.test_files(ROOT), CACHE, options.jobs))
    except FailingTestsError as error:
        print(error, file=sys.stderr)
        return 2
    verdicts = _tried([m for mutants in drawn.values() for m in mutants], tests, options)
    counts = tallies(plan, drawn, verdicts)
    show(console, counts, [m for mutants in drawn.values() for m in mutants if not verdicts[m].is_noticed])
    return 0 if all(count.is_enough for count in counts) else 1


def _tried(mutants: Sequence[Mutant], tests: Tests, options: argparse.Namespace) -> dict[Mutant, Verdict]:
    verdicts = {}
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("mutants", total=len(mutants))
        for mutant, verdict, ended in try_mutants(mutants, tests, options.jobs, Path(folder)):
            verdicts[mutant] = verdict
            if options.verbose:
                took = "no test runs it" if ended is None else f"{ended.seconds:.1f} s"
                print(f"{verdict} {mutant} ({took})", *mutant.diff, sep="\n    ", file=sys.stderr, flush=True)
            progress.advance(task)
    return verdicts


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scripts.mutants", description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0, help="which mutants are drawn (default: 0)")
    parser.add_argument("--count", type=int, default=200, help="how many are drawn, about (default: 200)")
    parser.add_argument("--room", action="append", help="only this room of mutants.toml; may be given several times")
    parser.add_argument("--only", metavar="TEXT", help="only modules whose path holds this")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at once (default: one a core)")
    parser.add_argument("--verbose", action="store_true", help="say what became of each mutant as it comes")
    parser.add_argument("--list", action="store_true", help="only say how many there are")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
