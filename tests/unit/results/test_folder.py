from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autotuner.errors import FolderError
from autotuner.results import OutputFolder, resume_folder
from autotuner.study.model import Study


def make_study(**changes: object) -> Study:
    body = {
        "name": "laptop",
        "model": {"id": "/m/tiny.gguf"},
        "engine": {"name": "llamacpp", "env": {"HF_TOKEN": {"from_env": "MY_TOKEN"}, "ODD": "a: b # c\n'\""}},
        "workload": {"scenario": "D(10,5)", "load": {"concurrency": [1, 8]}},
        "space": {"parameters": {"x": {"choices": {"none": None, "a": {"b": [1, 2.5, True]}}}}},
    }
    return Study.model_validate({**body, **changes})


@pytest.fixture
def folder(tmp_path: Path) -> OutputFolder:
    return OutputFolder(tmp_path / "out")


def test_study_yaml_is_read_back_and_shows_every_default(folder: OutputFolder) -> None:
    study = make_study()
    folder.prepare(study, "id-1")
    assert folder.load_study() == study
    assert folder.study_id == "id-1"
    text = folder.study_yaml.read_text()
    assert "steepness: 0.1" in text
    assert "from_env: MY_TOKEN" in text


def test_prepare_may_be_repeated_until_there_are_results(folder: OutputFolder) -> None:
    folder.prepare(make_study(), "id-1")
    folder.prepare(make_study(), "id-1")
    folder.database.touch()
    with pytest.raises(FolderError, match="autotuner resume"):
        folder.prepare(make_study(), "id-1")
    folder.prepare(make_study(), "id-1", resume=True)


def test_the_folder_of_another_study_is_refused(folder: OutputFolder) -> None:
    folder.prepare(make_study(name="first"), "id-1")
    folder.database.touch()
    for resume in (False, True):
        with pytest.raises(FolderError, match="another study, 'first'"):
            folder.prepare(make_study(name="second"), "id-2", resume=resume)
    assert folder.load_study().name == "first"


def test_a_study_file_of_the_users_is_not_overwritten(folder: OutputFolder) -> None:
    folder.path.mkdir()
    folder.study_yaml.write_text("name: mine\n")
    with pytest.raises(FolderError, match="another folder"):
        folder.prepare(make_study(), "id-1")
    assert folder.study_yaml.read_text() == "name: mine\n"


def test_resuming_nothing_and_files_are_refused(folder: OutputFolder) -> None:
    with pytest.raises(FolderError), resume_folder(folder):
        pass
    assert not folder.path.exists()
    folder.path.write_text("a file")
    with pytest.raises(FolderError, match="is a file"):
        folder.prepare(make_study(), "id-1")


_HOLDER = """
import sys
from pathlib import Path
from autotuner.results import OutputFolder
with OutputFolder(Path(sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_drivers_cannot_hold_one_folder(folder: OutputFolder) -> None:
    argv = [sys.executable, "-c", _HOLDER, str(folder.path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(FolderError, match=f"process {holder.pid}"), folder.lock():
            pass
        holder.kill()
    with folder.lock():
        pass


def test_importing_results_is_cheap() -> None:
    code = "import sys, autotuner.results; print([m for m in ('pandas', 'pyarrow', 'sqlalchemy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_folder_that_came_to_nothing_is_taken_back(folder: OutputFolder) -> None:
    folder.prepare(make_study(), "id-1")
    folder.discard_unused()
    assert not folder.path.exists()


def test_nothing_but_our_own_is_taken_back(folder: OutputFolder) -> None:
    folder.prepare(make_study(), "id-1")
    (folder.path / "notes.txt").write_text("mine")
    folder.discard_unused()
    assert [path.name for path in folder.path.iterdir()] == ["notes.txt"]


def test_a_folder_with_results_is_kept(folder: OutputFolder) -> None:
    folder.prepare(make_study(), "id-1")
    folder.database.write_bytes(b"results")
    folder.discard_unused()
    assert folder.study_yaml.is_file()


def test_it_is_its_users_alone(folder: OutputFolder) -> None:
    folder.prepare(make_study(), "id-1")
    assert [path.stat().st_mode & 0o777 for path in (folder.path, folder.requests, folder.logs)] == [0o700] * 3


def test_of_a_folder_that_was_there_requests_and_logs_are_its_users_alone(folder: OutputFolder) -> None:
    folder.path.mkdir(mode=0o755)
    with folder.lock():
        folder.prepare(make_study(), "id-1")
    assert folder.path.stat().st_mode & 0o777 == 0o755
    assert [path.stat().st_mode & 0o777 for path in (folder.requests, folder.logs)] == [0o700] * 2


@contextmanager
def closed_to_us(path: Path) -> Iterator[None]:
    """As another user sees it: root becomes one, everybody else loses the right."""
    is_root = os.geteuid() == 0
    path.chmod(0o700 if is_root else 0)
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        path.chmod(0o700)


def test_nobody_else_looks_into_it_and_nodes_of_another_user_keep_their_logs_to_be_sent(folder: OutputFolder) -> None:
    folder.prepare(make_study(), "id-1")
    assert folder.takes_logs_of("id-1")
    assert not folder.takes_logs_of("id-2")
    with closed_to_us(folder.path):
        assert not folder.takes_logs_of("id-1")
        with pytest.raises(FolderError, match="somebody else's"):
            folder.load_study()
    folder.logs.chmod(0)
    with closed_to_us(folder.logs):
        assert not folder.takes_logs_of("id-1")
