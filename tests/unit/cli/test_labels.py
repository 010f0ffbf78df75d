"""autotuner labels: the label of this machine's GPUs, for ``ray start``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autotuner.cli.main import main

H100 = "NVIDIA H100 80GB HBM3, 81559"


def machine(folder: Path, monkeypatch: pytest.MonkeyPatch, *gpus: str) -> None:
    """Gives the machine an nvidia-smi that tells of these GPUs: name and MiB; none at all without any."""
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if gpus:
        lines = "\n".join(f"{number}, GPU-{number}, {gpu}" for number, gpu in enumerate(gpus))
        tool = folder / "nvidia-smi"
        tool.write_text(f'#!/bin/sh\nwhile read line; do echo "$line"; done <<END\n{lines}\nEND\n', encoding="utf-8")
        tool.chmod(0o755)


def test_gpus_of_one_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    machine(tmp_path, monkeypatch, H100, H100)
    assert main(["labels"]) == 0
    assert capsys.readouterr().out == "autotuner/accelerator=H100-80GB\n"
    assert main(["labels", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"autotuner/accelerator": "H100-80GB"}


def test_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    machine(tmp_path, monkeypatch)
    assert main(["labels"]) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert "no GPU" in told.err


@pytest.mark.parametrize(
    ("gpus", "words"), [((H100, "NVIDIA L40S, 46068"), "L40S-48GB"), (("Voodoo 2, 12",), "Voodoo 2")]
)
def test_what_has_no_one_name_is_refused_and_named(
    gpus: tuple[str, ...],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    machine(tmp_path, monkeypatch, *gpus)
    assert main(["labels"]) == 2
    assert words in capsys.readouterr().err
