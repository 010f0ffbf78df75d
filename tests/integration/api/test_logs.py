"""Server logs of a trial as another process reads them: launches, ranks, and what is added meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

import autotuner as at
from autotuner.cli.main import main
from autotuner.errors import FolderError, InputError
from autotuner.results import (
    OutputFolder,
    Phase,
    Store,
    StudyStatus,
    TrialEnd,
    TrialRecord,
    TrialState,
    Usage,
    resolved_yaml,
)
from autotuner.results.log_reader import LogPiece
from tests.tuning_parts import study as make_study

STUDY_ID = "s1"


class Shelf:
    """A study of one running trial, 0003, whose driver lives, and its logs."""

    def __init__(self, path: Path) -> None:
        self.folder = OutputFolder(path)
        study = make_study()
        self.folder.prepare(study, STUDY_ID)
        self.store = Store(self.folder.database_url, self.folder.requests)
        self.store.open_study(resolved_yaml(study, STUDY_ID), STUDY_ID, study.name, now=1.0)
        self.store.add_trial(TrialRecord("0003", Phase.SEARCH, {}, 2.0))
        self.folder.trial_logs("0003").mkdir()

    def say(self, name: str, text: str) -> None:
        with (self.folder.trial_logs("0003") / f"{name}.log").open("a", encoding="utf-8") as log:
            log.write(text)

    def end(self) -> None:
        self.store.end_trial(TrialEnd("0003", TrialState.COMPLETED, 3.0, Usage()))


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    made = Shelf(tmp_path / "study")
    with made.folder.lock():
        yield made
    made.store.close()


def told(pieces: Iterator[LogPiece]) -> list[tuple[int, int | None, str]]:
    return [(piece.log.launch, piece.log.rank, piece.data.decode()) for piece in pieces]


def test_logs_come_launch_by_launch_and_rank_by_rank(shelf: Shelf) -> None:
    for launch in (10, 2):
        for rank in (11, 2):
            shelf.say(f"0003-l{launch}-rank{rank}", f"{launch}/{rank}\n")
        shelf.say(f"0003-l{launch}-supervisor", "")
    shelf.say("0003-l2-supervisor2", "a rank can't be executed\n")
    assert told(at.logs(shelf.folder.path, "0003")) == [
        (2, 2, "2/2\n"),
        (2, 11, "2/11\n"),
        (2, None, "a rank can't be executed\n"),
        (10, 2, "10/2\n"),
        (10, 11, "10/11\n"),
    ]
    assert told(at.logs(shelf.folder.path, "0003", launch=10)) == [(10, 2, "10/2\n"), (10, 11, "10/11\n")]
    assert told(at.logs(shelf.folder.path, "0003", launch=2, rank=11)) == [(2, 11, "2/11\n")]


def test_following_goes_over_relaunches_to_the_end_of_the_trial(shelf: Shelf) -> None:
    shelf.say("0003-l1-rank0", "first\n")
    pieces = at.logs(shelf.folder.path, "0003", follow=True)
    assert told(islice(pieces, 1)) == [(1, 0, "first\n")]
    shelf.say("0003-l1-rank0", "more\n")
    assert told(islice(pieces, 1)) == [(1, 0, "more\n")]
    shelf.say("0003-l2-rank0", "again\n")
    assert told(islice(pieces, 1)) == [(2, 0, "again\n")]
    shelf.end()
    shelf.say("0003-l2-rank0", "shutting down\n")
    assert told(pieces) == [(2, 0, "shutting down\n")]


def test_a_log_that_is_written_anew_is_read_from_its_beginning(shelf: Shelf) -> None:
    shelf.say("0003-l1-rank0", "address already in use, and more\n")
    pieces = at.logs(shelf.folder.path, "0003", follow=True)
    assert next(pieces).begins
    (shelf.folder.trial_logs("0003") / "0003-l1-rank0.log").unlink()
    shelf.say("0003-l1-rank0", "listening\n")
    again = next(pieces)
    assert (again.begins, again.data) == (True, b"listening\n")
    shelf.end()
    assert told(pieces) == []


@pytest.mark.parametrize("what_ends", ["trial", "study", "driver"])
def test_following_ends_with_trial_study_or_driver(tmp_path: Path, what_ends: str) -> None:
    shelf = Shelf(tmp_path / "study")
    with shelf.folder.lock():
        shelf.say("0003-l1-rank0", "first\n")
        pieces = at.logs(shelf.folder.path, "0003", follow=True)
        next(pieces)
        if what_ends == "trial":
            shelf.end()
        elif what_ends == "study":
            shelf.store.end_study(StudyStatus.INTERRUPTED, "interrupted", now=4.0)
        if what_ends != "driver":
            assert list(pieces) == []
    assert list(pieces) == []
    shelf.store.close()


def test_a_trial_that_is_not_there_is_refused_with_the_nearest(
    shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf.store.add_trial(TrialRecord("0012-c1", Phase.CONFIRM, {}, 2.0))
    assert main(["logs", str(shelf.folder.path), "0012", "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert (document["key"], document["value"], document["nearest"]) == ("TRIAL", "0012", "0012-c1")


def test_a_study_without_trials_says_so(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path / "new")
    folder.prepare(make_study(), STUDY_ID)
    with pytest.raises(InputError, match="has none yet") as refused:
        at.logs(folder.path, "0000")
    assert refused.value.nearest is None
    assert not folder.database.exists()
    with pytest.raises(FolderError):
        at.logs(tmp_path, "0000")


def test_the_command_prints_bytes_under_the_name_of_their_file(
    shelf: Shelf, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    folder = shelf.folder.trial_logs("0003")
    (folder / "0003-l1-rank0.log").write_bytes(b"\xff\xfe not UTF-8, no end")
    (folder / "0003-l2-rank0.log").write_bytes(b"fine\n")
    assert main(["logs", str(shelf.folder.path), "0003"]) == 0
    assert capfdbinary.readouterr().out == (
        b"== 0003-l1-rank0.log ==\n\xff\xfe not UTF-8, no end\n== 0003-l2-rank0.log ==\nfine\n"
    )


def test_the_document_has_each_log_as_text(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    shelf.say("0003-l1-rank0", "hällo\n" * 100_000)
    assert main(["logs", str(shelf.folder.path), "0003", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "trial_id": "0003",
        "logs": [{"name": "0003-l1-rank0.log", "launch": 1, "rank": 0, "text": "hällo\n" * 100_000}],
    }


def test_no_log_yet_is_told_and_is_no_error(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs", str(shelf.folder.path), "0003", "--rank", "1"]) == 0
    printed = capsys.readouterr()
    assert (printed.out, "no such server log" in printed.err) == ("", True)


def test_one_document_can_not_be_followed(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs", str(shelf.folder.path), "0003", "-f", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["key"] == "--follow"
    assert main(["status", str(shelf.folder.path), "--watch", "--json"]) == 2
