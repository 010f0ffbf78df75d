"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_study(parser: argparse.ArgumentParser, optional: bool = False) -> None:
    parser.add_argument("study", type=Path, nargs="?" if optional else None, help="the study file (YAML)")
    parser.add_argument(
        "--set",
        dest="overrides",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="override a key of the study, as search.trials=8; may be repeated",
    )


def add_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--address", help="Ray cluster: auto or HOST:PORT (default: Ray is started on this machine)")


def add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="output folder of a study")


def add_database(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--database", metavar="URL", help="where the results are (default: DIR/results.sqlite)")
