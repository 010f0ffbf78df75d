"""Print the server logs of a trial, launch by launch; with -f as they come, until the trial ends.

autotuner logs studies/quick 0003
autotuner logs studies/quick 0003 -f
autotuner logs studies/quick 0003 --launch 2 --rank 0
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import autotuner as at
from autotuner.cli.commands.study_arguments import add_database, add_folder
from autotuner.cli.numbers import whole
from autotuner.cli.output import note, print_json
from autotuner.errors import InputError

if TYPE_CHECKING:
    from autotuner.results.log_reader import LogPiece
    from autotuner.results.trial_logs import TrialLog

NAME = "logs"
HELP = "print the server logs of a trial"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_folder(parser)
    parser.add_argument("trial", metavar="TRIAL", help="id of the trial, as 0003 or 0003-c1")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what is added, until the trial ends")
    parser.add_argument(
        "--launch", type=whole("--launch"), metavar="N", help="of this launch alone, from 1 (default: all)"
    )
    parser.add_argument(
        "--rank", type=whole("--rank", least=0), metavar="N", help="of this rank alone, from 0 (default: all)"
    )
    add_database(parser)


def handle(arguments: argparse.Namespace) -> int:
    if arguments.json and arguments.follow:
        raise InputError("--follow and --json don't go together: --json is one document", key="--follow")
    pieces = at.logs(
        arguments.folder,
        arguments.trial,
        launch=arguments.launch,
        rank=arguments.rank,
        follow=arguments.follow,
        database=arguments.database,
    )
    if arguments.json:
        print_json({"trial_id": arguments.trial, "logs": _documents(pieces)})
    elif not _print(pieces):
        note(f"trial {arguments.trial} has no such server log (yet)")
    return 0


def _print(pieces: Iterator[LogPiece]) -> bool:
    """Bytes as they are, under the name of their file where that changes; whether there were any."""
    last, ended_line = None, True
    for piece in pieces:
        if piece.log != last or piece.begins:
            gap = "" if ended_line else "\n"
            sys.stdout.write(f"{gap}== {piece.log.path.name} ==\n")
            last = piece.log
        sys.stdout.flush()
        sys.stdout.buffer.write(piece.data)
        sys.stdout.flush()
        ended_line = piece.data.endswith(b"\n")
    return last is not None


def _documents(pieces: Iterator[LogPiece]) -> list[dict[str, Any]]:
    texts: dict[TrialLog, bytes] = {}
    for piece in pieces:
        texts[piece.log] = texts.get(piece.log, b"") + piece.data
    return [
        {"name": log.path.name, "launch": log.launch, "rank": log.rank, "text": text.decode("utf-8", errors="replace")}
        for log, text in texts.items()
    ]
