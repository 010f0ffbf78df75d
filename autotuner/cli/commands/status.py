"""Show where a study stands, while it runs and after: from another terminal, only by reading.

autotuner status studies/quick
autotuner status studies/quick --watch
autotuner status studies/quick --json
"""

from __future__ import annotations

import argparse
import sys
import time

import autotuner as at
from autotuner.cli.commands.study_arguments import add_database, add_folder
from autotuner.cli.numbers import above_zero
from autotuner.cli.output import console, print_json
from autotuner.errors import InputError

NAME = "status"
HELP = "show where a study stands"
_WATCH_S = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_folder(parser)
    add_database(parser)
    parser.add_argument(
        "--watch",
        type=above_zero("--watch", 0.1, 3600),
        nargs="?",
        const=_WATCH_S,
        metavar="SECONDS",
        help=f"show it again every SECONDS (default: {_WATCH_S:g}) until the study ends",
    )


def handle(arguments: argparse.Namespace) -> int:
    if arguments.json and arguments.watch is not None:
        raise InputError("--watch and --json don't go together: ask for --json as often as you like", key="--watch")
    if arguments.watch is not None:
        return _watch(arguments)
    progress = at.status(arguments.folder, database=arguments.database)
    if arguments.json:
        print_json(progress.as_dict())
    else:
        from autotuner.report.facts.standing import standing_view

        console().print(standing_view(progress))
    return 0


def _watch(arguments: argparse.Namespace) -> int:
    """On a terminal one picture that is drawn anew; elsewhere one after the other."""
    from rich.live import Live

    from autotuner.report.facts.standing import standing_view

    screen = console()
    is_terminal = sys.stdout.isatty()
    with Live(console=screen, auto_refresh=False, vertical_overflow="visible") as live:
        while True:
            progress = at.status(arguments.folder, database=arguments.database)
            if is_terminal:
                live.update(standing_view(progress), refresh=True)
            else:
                screen.print(standing_view(progress), "")
            if not progress.standing.goes_on:
                return 0
            time.sleep(arguments.watch)
