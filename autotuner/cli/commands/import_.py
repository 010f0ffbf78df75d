"""Make a study from a file of another tool: an inference-autotuner task, an aiconfigurator experiment file or
result folder, an auto-tuning-vllm study. What has no equivalent is listed, and stands as a comment in the study.

autotuner import task.json --out study.yaml
autotuner import experiments.yaml --experiment exp_agg
autotuner import results/Qwen3-32B_h200_sxm_vllm/ --out study.yaml --json
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import autotuner as at
from autotuner.cli.output import note, print_json
from autotuner.errors import InputError

NAME = "import"
HELP = "make a study from a file of another tool"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="file, or result folder, of the other tool")
    parser.add_argument("--out", type=Path, help="study file to write (default: print it)")
    parser.add_argument("--force", action="store_true", help="overwrite the study file")
    parser.add_argument(
        "--from",
        dest="format_name",
        help="inference-autotuner, aiconfigurator or auto-tuning-vllm (default: told by the file)",
    )
    parser.add_argument(
        "--experiment", help="which experiment of an aiconfigurator file (default: the first that is agg)"
    )


def handle(arguments: argparse.Namespace) -> int:
    out: Path | None = arguments.out
    if out is not None and out.exists() and not arguments.force:
        raise InputError(f"{out} exists: choose another --out, or --force", key="out", value=str(out))
    imported = at.import_study(arguments.file, arguments.format_name, arguments.experiment)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(imported.text, encoding="utf-8")
    if arguments.json:
        print_json(
            {
                "study": imported.study,
                "format": imported.format,
                "not_converted": [vars(item) for item in imported.not_converted],
            }
        )
    elif out is not None:
        print(out)
    else:
        sys.stdout.write(imported.text)
    _tell(imported, out)
    return 0


def _tell(imported: at.ImportedStudy, out: Path | None) -> None:
    if imported.not_converted:
        note("not converted:")
    for line in imported.told():
        note(f"  {line}")
    if out is not None:
        note(f"next: autotuner check {out}")
