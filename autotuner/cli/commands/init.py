"""Write a commented study file to start from.

  autotuner init --engine llamacpp --model models/tiny.gguf
  autotuner init --model /models/llama-8b.gguf --gpus 1 --out study.yaml
  autotuner init --engine vllm --model meta-llama/Llama-3.1-8B-Instruct --gpus 8 --accelerator H100-80GB
  autotuner init --engine sglang --model Qwen/Qwen3-32B --gpus 4 --slo ttft.p90=300ms --slo tpot.mean=30ms

The same options given to 'autotuner run' make the same study and run it at once.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import autotuner as at
from autotuner.cli.commands.start_arguments import add_start, given
from autotuner.cli.commands.study_arguments import add_address
from autotuner.cli.output import note, print_json
from autotuner.errors import InputError

NAME = "init"
HELP = "write a commented study file for an engine and a model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_start(parser, "the study (llamacpp with models/tiny.gguf, unless told otherwise)")
    add_address(parser)
    parser.add_argument("--out", type=Path, default=Path("study.yaml"), help="file to write (default: %(default)s)")
    parser.add_argument("--force", action="store_true", help="overwrite the file")


def handle(arguments: argparse.Namespace) -> int:
    out: Path = arguments.out
    if out.exists() and not arguments.force:
        raise InputError(f"{out} exists: choose another --out, or --force", key="out", value=str(out))
    wish = at.Wish(**given(arguments), address=arguments.address)
    text = at.study_text(wish, beside=out.parent)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    for doubt in at.doubtful_limits(at.load_study(out).slo):
        note(f"warning: {doubt}")
    if arguments.json:
        print_json({"study": str(out)})
    else:
        print(out)
        note(f"next: autotuner check {out}, then autotuner run {out}")
    return 0
