"""Go on with a study after any death. Ended rungs are never measured again.

autotuner resume studies/quick
"""

from __future__ import annotations

import argparse

import autotuner as at
from autotuner.cli.commands.ending import tell_ending
from autotuner.cli.commands.study_arguments import add_address, add_folder

NAME = "resume"
HELP = "go on with a study that was interrupted or killed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_folder(parser)
    add_address(parser)


def handle(arguments: argparse.Namespace) -> int:
    return tell_ending(at.resume(arguments.folder, address=arguments.address, progress=True), arguments.json)
