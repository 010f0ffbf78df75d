"""Copies of a study's folder: taken while it is written, and put in their place elsewhere."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from autotuner.errors import FolderError, InfrastructureError
from autotuner.metrics import LoadKind, LoadLevel, PointRun, RequestRecord
from autotuner.results import OutputFolder, Phase, RungRecord, Store, TrialRecord, Usage, resolved_yaml
from autotuner.results.fetched import FetchedCopy, note_fetched
from autotuner.results.moving.snapshot import read_snapshot, write_snapshot
from autotuner.results.moving.take_in import take_in
from tests.tuning_parts import score, study

LEVEL = LoadLevel(LoadKind.CONCURRENCY, 1)
RUNS = (PointRun(LEVEL, (RequestRecord(0, False, 0.0, 0.1, 0.2, 0.5, 0.5, 8, 4, 4),)),)


class Place:
    """A study's folder and its writer."""

    def __init__(self, path: Path, study_id: str = "s1") -> None:
        self.folder = OutputFolder(path)
        given = study()
        self.folder.prepare(given, study_id)
        self.store = Store(self.folder.database_url, self.folder.requests)
        self.store.open_study(resolved_yaml(given, study_id), study_id, given.name, now=1.0)
        self.store.add_trial(TrialRecord("0000", Phase.BASELINE, {}, started_at=1.0))

    def add_rung(self, number: int) -> None:
        record = RungRecord("0000", number, "0000-l1", score(1.0), (), 2.0 + number, Usage(), RUNS)
        self.store.add_rung(record)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path / "study")
    yield made
    made.store.close()


def archived(folder: OutputFolder) -> io.BytesIO:
    archive = io.BytesIO()
    write_snapshot(folder, archive)
    archive.seek(0)
    return archive


def copied(folder: OutputFolder, path: Path) -> OutputFolder:
    return read_snapshot(archived(folder), path)


def rungs(folder: OutputFolder) -> list[int]:
    with Store(folder.database_url, folder.requests, read_only=True) as store:
        store.read_study(folder.study_id)
        assert len(store.runs("0000")) == len(store.scores()), "a rung without its raw requests"
        return [rung.rung for rung in store.scores()]


def test_a_copy_has_all_but_what_is_the_drivers_own(place: Place, tmp_path: Path) -> None:
    place.add_rung(0)
    log = place.folder.trial_logs("0000") / "0000-l1-rank0.log"
    log.parent.mkdir()
    log.write_text("ready\n", encoding="utf-8")
    note_fetched(place.folder, FetchedCopy("an-earlier-job", "SUCCEEDED", None, 1.0))
    (place.folder.path / "ray" / "run").mkdir(parents=True)
    (place.folder.path / "ray" / "run" / "state.json").write_text("{}", encoding="utf-8")
    with place.folder.lock():
        copy = copied(place.folder, tmp_path / "copy")
    files = {str(path.relative_to(copy.path)) for path in copy.path.rglob("*") if path.is_file()}
    assert {"study.yaml", "results.sqlite", "requests/0000-r0.parquet", "logs/0000/0000-l1-rank0.log"} <= files
    assert not any(name.startswith((".", "ray")) for name in files)
    assert copy.study_id == "s1"
    assert rungs(copy) == [0]


def test_copies_of_a_study_that_is_being_written_are_whole(place: Place, tmp_path: Path) -> None:
    ended = threading.Event()
    written, counts = 0, list[int]()

    def write() -> None:
        nonlocal written
        while not ended.is_set():
            place.add_rung(written)
            written += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while len(set(counts)) < 5:
            counts.append(len(rungs(copied(place.folder, tmp_path / f"copy-{len(counts)}"))))
    finally:
        ended.set()
        writer.join()
    assert counts == sorted(counts)
    assert counts[-1] <= written


def test_a_spoiled_archive_is_refused(place: Place, tmp_path: Path) -> None:
    archive = archived(place.folder).getvalue()
    with pytest.raises(InfrastructureError, match="can't be unpacked"):
        read_snapshot(io.BytesIO(archive[: len(archive) // 2]), tmp_path / "copy")


def test_a_newer_copy_takes_the_place_of_an_older_one_and_leaves_other_files(place: Place, tmp_path: Path) -> None:
    target = OutputFolder(tmp_path / "here" / "study")
    target.path.parent.mkdir()
    place.add_rung(0)
    take_in(copied(place.folder, tmp_path / "first"), target)
    (target.path / "notes.txt").write_text("mine", encoding="utf-8")
    # What a driver that was killed half-way through a write leaves must not be rolled back into the new database.
    target.database.with_name("results.sqlite-journal").write_bytes(b"\xd9\xd5\x05\xf9 \xa1c\xd7" + bytes(504))
    place.add_rung(1)
    take_in(copied(place.folder, tmp_path / "second"), target)
    assert rungs(target) == [0, 1]
    assert (target.path / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert not target.lock_file.exists()


def test_rungs_that_a_copy_lacks_are_never_lost(place: Place, tmp_path: Path) -> None:
    place.add_rung(0)
    copy = copied(place.folder, tmp_path / "copy")
    place.add_rung(1)
    with pytest.raises(FolderError, match="1 rungs that the fetched study lacks"):
        take_in(copy, place.folder)
    assert rungs(place.folder) == [0, 1]


@pytest.mark.parametrize("what", ["another study", "files of others"])
def test_a_folder_of_something_else_is_refused(place: Place, tmp_path: Path, what: str) -> None:
    copy = copied(place.folder, tmp_path / "copy")
    if what == "another study":
        other = Place(tmp_path / "other", "s2")
        other.store.close()
        target = other.folder
    else:
        target = OutputFolder(tmp_path / "other")
        target.path.mkdir()
        (target.path / "thesis.txt").write_text("mine", encoding="utf-8")
    before = sorted(target.path.rglob("*"))
    with pytest.raises(FolderError, match=what):
        take_in(copy, target)
    assert sorted(target.path.rglob("*")) == before


def test_a_folder_in_use_is_refused(place: Place, tmp_path: Path) -> None:
    copy = copied(place.folder, tmp_path / "copy")
    with place.folder.lock(), pytest.raises(FolderError, match="in use"):
        take_in(copy, place.folder)
