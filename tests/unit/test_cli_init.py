"""``autotuner init``: the study it writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from autotuner.cli.main import main
from autotuner.study import load_study


def init(*arguments: str) -> int:
    return main(["init", *arguments])


def test_the_model_is_named_as_the_study_file_sees_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.gguf").write_bytes(b"GGUF")
    assert init("--model", "models/a.gguf", "--out", "studies/deep/study.yaml") == 0
    assert load_study("studies/deep/study.yaml").study.model.id == str(tmp_path / "models" / "a.gguf")


def test_gpus_are_asked_for(tmp_path: Path) -> None:
    out = tmp_path / "study.yaml"
    assert init("--model", "/models/a.gguf", "--gpus", "2", "--out", str(out)) == 0
    study = load_study(out).study
    assert (study.hardware.gpus_per_server, study.engine.args["n-gpu-layers"]) == (2, 99)


def test_a_hostile_name_stays_a_text(tmp_path: Path) -> None:
    out = tmp_path / "study.yaml"
    assert init("--model", '/models/a: [b] "c" # {{ d }}.gguf', "--name", "plain", "--out", str(out)) == 0
    assert load_study(out).study.model.id == '/models/a: [b] "c" # {{ d }}.gguf'


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "study.yaml"
    out.write_text("mine")
    assert init("--out", str(out)) == 2
    assert out.read_text() == "mine"
    assert "--force" in capsys.readouterr().err
    assert init("--out", str(out), "--force") == 0
    assert out.read_text() != "mine"
