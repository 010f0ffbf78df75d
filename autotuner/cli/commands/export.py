"""Write deployment files of the best Configs, or the table of measurements.

autotuner export studies/quick --target kubernetes
autotuner export studies/quick --target kubernetes --namespace llm --pvc weights
autotuner export studies/quick --target shell --top 3 --out deploy/
autotuner export studies/quick --target compose --prefer throughput=2,ttft=1
autotuner export studies/quick --target table
"""

from __future__ import annotations

import argparse
from pathlib import Path

import autotuner as at
from autotuner.cli.commands.study_arguments import add_folder
from autotuner.cli.numbers import whole
from autotuner.cli.output import print_json

NAME = "export"
HELP = "write deployment files of the best Configs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_folder(parser)
    parser.add_argument("--target", required=True, help="shell, compose, kubernetes, or table (the measurements)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--top", type=whole("--top"), default=1, metavar="N", help="the N best Configs (default: %(default)s)"
    )
    which.add_argument("--trial", metavar="ID", help="the Config of this trial")
    which.add_argument(
        "--prefer", metavar="OBJECTIVE=WEIGHT,…", help="of several objectives: what is worth the most by these weights"
    )
    parser.add_argument(
        "--image", help="container image, for compose and kubernetes (default: the one of what was measured)"
    )
    parser.add_argument("--namespace", help="namespace of all objects, for kubernetes")
    parser.add_argument("--pvc", metavar="NAME", help="PersistentVolumeClaim for the weights, for kubernetes")
    parser.add_argument("--out", type=Path, help="folder to write into (default: DIR/deploy)")


def handle(arguments: argparse.Namespace) -> int:
    result = at.load_result(arguments.folder)
    out = arguments.out or arguments.folder / "deploy"
    paths = result.export(
        arguments.target,
        out,
        top=arguments.top,
        trial_id=arguments.trial,
        prefer=arguments.prefer,
        image=arguments.image,
        namespace=arguments.namespace,
        pvc=arguments.pvc,
    )
    if arguments.json:
        print_json({"files": [str(path) for path in paths]})
    else:
        for path in paths:
            print(path)
    return 0
