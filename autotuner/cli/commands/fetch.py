"""Fetch the folder of a study that runs, or ran, as a Ray job: through the dashboard alone, while it runs or after.

autotuner fetch raysubmit_4PyAvb2GkX6hVbYM --address http://HEAD:8265
autotuner fetch raysubmit_4PyAvb2GkX6hVbYM --address http://HEAD:8265 --out studies/first
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import autotuner as at
from autotuner.cli.output import note, print_json

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "fetch"
HELP = "bring the folder of a Ray job's study to this machine"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", metavar="JOB", help="submission id of the job that ran 'autotuner run' or 'resume'")
    parser.add_argument("--address", help="Ray's dashboard, as http://HEAD:8265 (default: that of this machine)")
    parser.add_argument("--out", type=Path, help="output folder (default: ./studies/NAME)")
    parser.add_argument(
        "--command", metavar="WORDS", help="how Autotuner starts on the cluster (default: as in the job's entrypoint)"
    )
    parser.add_argument("--send", action="store_true", help=argparse.SUPPRESS)  # what fetch runs on the cluster


def handle(arguments: argparse.Namespace) -> int:
    if arguments.send:
        from autotuner.api.fetching import send

        send(arguments.job)
        return 0
    with _progress() as told:
        fetched = at.fetch(arguments.job, arguments.address, arguments.out, command=arguments.command, progress=told)
    if arguments.json:
        print_json(fetched.as_dict())
        return 0
    ended = "" if fetched.exit_code is None else f", exit code {fetched.exit_code}"
    print(f"study {fetched.name} of job {fetched.job} ({fetched.job_status}{ended}) is in {fetched.path}")
    return 0


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """On a terminal a bar, elsewhere lines; both on standard error."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("fetching"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("fetching", total=None)
        yield lambda received, size: bar.update(task, completed=received, total=size)


class _Lines:
    """A line for every tenth that has come."""

    def __init__(self) -> None:
        self._told = 0

    def __call__(self, received: int, size: int) -> None:
        tenths = 10 * received // max(size, 1)
        if tenths > self._told:
            self._told = tenths
            note(f"fetched {received / 1e6:.1f} of {size / 1e6:.1f} MB")
