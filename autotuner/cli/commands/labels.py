"""Print the label by which a Ray node on this machine tells its GPU type.

ray start --address=HEAD:6379 --labels="$(autotuner labels)"
"""

from __future__ import annotations

import argparse
import sys

from autotuner.cli.output import print_json

NAME = "labels"
HELP = "print the Ray labels of this machine's GPUs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def handle(arguments: argparse.Namespace) -> int:
    from autotuner.api.labelling import node_labels  # here: --help must not load it

    found = node_labels()
    if arguments.json:
        print_json(found)
    elif found:
        print(",".join(f"{name}={value}" for name, value in found.items()))
    else:
        print("no GPU on this machine: nothing to label", file=sys.stderr)
    return 0
