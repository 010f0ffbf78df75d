"""Write a commented study file to start from.

autotuner init --engine llamacpp --model models/tiny.gguf
autotuner init --model /models/llama-8b.gguf --gpus 1 --out study.yaml
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import autotuner as at
from autotuner.cli.output import note, print_json
from autotuner.errors import InputError

NAME = "init"
HELP = "write a commented study file for an engine and a model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--engine", default="llamacpp", help="inference engine (default: %(default)s)")
    parser.add_argument("--model", default="models/tiny.gguf", help="hub id or local path (default: %(default)s)")
    parser.add_argument("--gpus", type=int, default=0, help="GPUs that one server gets (default: none)")
    parser.add_argument("--name", help="name of the study (default: the model's)")
    parser.add_argument("--out", type=Path, default=Path("study.yaml"), help="file to write (default: %(default)s)")
    parser.add_argument("--force", action="store_true", help="overwrite the file")


def handle(arguments: argparse.Namespace) -> int:
    out: Path = arguments.out
    if out.exists() and not arguments.force:
        raise InputError(f"{out} exists: choose another --out, or --force", key="out", value=str(out))
    model = _seen_from(out.parent, arguments.model)
    text = at.init_study(engine=arguments.engine, model=model, gpus=arguments.gpus, name=arguments.name)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    if arguments.json:
        print_json({"study": str(out)})
    else:
        print(out)
        note(f"next: autotuner check {out}, then autotuner run {out}")
    return 0


def _seen_from(folder: Path, model: str) -> str:
    """A local path as the study file must name it: relative to itself. A hub id stays."""
    path = Path(model)
    is_local = path.exists() or path.suffix == ".gguf"
    return os.path.relpath(path, folder) if is_local and not path.is_absolute() else model
