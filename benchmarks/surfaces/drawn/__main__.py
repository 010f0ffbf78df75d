"""Draws surfaces and writes them, a folder each: ``python -m benchmarks.surfaces.drawn --out DIR --count 5``."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.surfaces.drawn import draw, write_surface


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.surfaces.drawn", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where their folders are made")
    parser.add_argument("--count", type=int, default=5, help="how many (default 5)")
    parser.add_argument("--draw-seed", type=int, default=0, help="what they are drawn from (default 0)")
    given = parser.parse_args()
    for number in range(given.count):
        drawn = draw(given.draw_seed, number)
        print(f"{write_surface(drawn, given.out)}: {drawn.told}")


if __name__ == "__main__":
    main()
