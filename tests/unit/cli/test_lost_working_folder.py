"""A working folder that was deleted, as Ray deletes a job's copy: relative paths are refused, all else goes on."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from autotuner.cli.main import main
from autotuner.errors import InputError
from autotuner.models.find import find_model_facts
from autotuner.results import OutputFolder
from autotuner.study import load_study
from autotuner.tuning.on_ray.lasting_folder import lasting_working_folder

STUDY = "{name: s, model: {id: org/model}, engine: {name: vllm}, workload: {scenario: 'D(8,8)'}}"


@pytest.fixture
def lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stays, while the working folder is gone."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    return tmp_path


def test_absolute_paths_and_ids_need_no_working_folder(lost: Path) -> None:
    (lost / "study.yaml").write_text(STUDY, encoding="utf-8")
    assert load_study(lost / "study.yaml").study.model.id == "org/model"
    assert OutputFolder(lost / "out").path == lost / "out"
    assert find_model_facts("org/no-such-model") is None


@pytest.mark.usefixtures("lost")
def test_a_relative_path_is_refused() -> None:
    with pytest.raises(InputError, match="out: the working folder was deleted; give an absolute path") as caught:
        OutputFolder(Path("out"))
    assert (caught.value.key, caught.value.value) == ("path", "out")


@pytest.mark.usefixtures("lost")
@pytest.mark.parametrize("command", [["init", "--model", "tiny.gguf"], ["report", "out"], ["run", "study.yaml"]])
def test_commands_say_what_is_wrong(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert "internal" not in document["message"]
    assert document["rule"]


@pytest.mark.usefixtures("lost")
def test_ray_runs_in_a_folder_that_stays() -> None:
    with lasting_working_folder():
        assert os.listdir(Path.cwd()) == []


def test_a_jobs_folder_may_go_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps({"metadata": {"job_submission_id": "job"}}))
    copy = tmp_path / "copy"
    copy.mkdir()
    monkeypatch.chdir(copy)
    with lasting_working_folder():
        assert Path.cwd() != copy
    assert Path.cwd() == copy
    with lasting_working_folder():
        copy.rmdir()
        assert os.listdir(Path.cwd()) == []


def test_elsewhere_the_working_folder_is_as_the_user_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with lasting_working_folder():
        assert Path.cwd() == tmp_path
