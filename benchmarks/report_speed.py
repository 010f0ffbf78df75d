"""How long the report of a large study takes to build, and how large it is.

Run it: ``python -m benchmarks.report_speed [--json]``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.synthetic_study import Shape, make_study, write_folder

_MOST_S = 10.0
_MOST_MB = 8.0


def measure(trials: int, levels: int) -> dict[str, float]:
    """Seconds to load and to build, and megabytes (10^6 bytes) of the file."""
    shape = Shape(trials=trials, levels=tuple(float(4**i) for i in range(levels)))
    with tempfile.TemporaryDirectory() as name:
        folder = write_folder(Path(name) / "study", make_study(shape), shape)
        began = time.perf_counter()
        from autotuner.report import write_report
        from autotuner.results.result import load_results

        imported = time.perf_counter()
        results = load_results(folder)
        loaded = time.perf_counter()
        size = write_report(results, folder / "report.html").stat().st_size
        built = time.perf_counter()
    return {
        "trials": trials,
        "levels": levels,
        "import_s": imported - began,
        "load_s": loaded - imported,
        "build_s": built - loaded,
        "size_mb": size / 1e6,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--levels", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments.trials, arguments.levels)
    is_good = found["import_s"] + found["load_s"] + found["build_s"] < _MOST_S and found["size_mb"] < _MOST_MB
    if arguments.json:
        print(json.dumps({**found, "within_bounds": is_good}))
        return 0 if is_good else 1
    print(f"report of {arguments.trials} trials × {arguments.levels} load points")
    for part in ("import_s", "load_s", "build_s"):
        print(f"  {part:<10} {found[part]:6.2f}")
    print(f"  all        {found['import_s'] + found['load_s'] + found['build_s']:6.2f}   bound {_MOST_S} s")
    print(f"  size_mb    {found['size_mb']:6.2f}   bound {_MOST_MB} MB")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
