"""Show which versions of each engine have a flag catalogue, by which studies are judged; with --index, which have none.

autotuner engines
autotuner engines --index
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import autotuner as at
from autotuner.cli.output import print_json, print_table

NAME = "engines"
HELP = "show the engines' flag catalogues, and the versions that have none"
_SHOWN = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    words = "ask the package index (pip's) which versions there are, and tell those without a catalogue"
    parser.add_argument("--index", action="store_true", help=words)


def handle(arguments: argparse.Namespace) -> int:
    found = at.engine_catalogues(index=arguments.index)
    if arguments.json:
        print_json({"engines": [engine.as_dict() for engine in found]})
    elif not arguments.index:
        print_table(("engine", "catalogues"), [(one.engine, ", ".join(one.catalogued)) for one in found])
    else:
        rows = []
        for one in found:
            older = [version for version in one.without if version not in one.newer]
            newest = one.index[0] if one.index else None
            rows.append((one.engine, ", ".join(one.catalogued), newest, _some(one.newer), _some(older)))
        heads = ("engine", "catalogues", "newest on the index", "newer, without one", "older, without one")
        print_table(heads, rows)
    return 0


def _some(versions: Sequence[str]) -> str:
    if not versions:
        return "none"
    more = len(versions) - _SHOWN
    return ", ".join(versions[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
