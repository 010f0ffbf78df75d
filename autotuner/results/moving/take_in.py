"""A copy of a study's folder, put where the study is to lie on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from autotuner.errors import FolderError
from autotuner.results.folder import OutputFolder
from autotuner.results.storage.store import Store


def refuse_other(folder: OutputFolder, study_id: str, name: str) -> None:
    """Raises FolderError where a copy of the study ``study_id`` must not be put into ``folder``."""
    if folder.path.exists() and not folder.path.is_dir():
        raise FolderError(f"{folder.path} is a file", key="--out", value=str(folder.path))
    there = folder.study_id
    is_taken = there is None and folder.path.is_dir() and any(folder.path.iterdir())
    if is_taken or there not in (None, study_id):
        held = "files of others" if there is None else f"another study, {folder.load_study().name!r}"
        raise FolderError(
            f"{folder.path} holds {held}: choose another folder for {name!r} (--out)",
            key="--out",
            value=str(folder.path),
            rule="a new folder, or one of the same study",
        )


def take_in(copy: OutputFolder, folder: OutputFolder) -> None:
    """Moves the files of ``copy``, on the same file system, into ``folder``, over older ones; others stay.

    Raises FolderError where ``folder`` holds another study, rungs that the copy has not, or is in use.
    """
    refuse_other(folder, copy.study_id or "", copy.load_study().name)
    with folder.lock():
        _refuse_newer(copy, folder)
        for path in sorted(path for path in copy.path.rglob("*") if path.is_file()):
            if path != copy.database:
                _move(path, folder.path / path.relative_to(copy.path))
        if copy.database.is_file():  # last: its rows tell which files there are
            # What a killed driver left half written would be rolled back into the new database.
            folder.database.with_name(f"{folder.database.name}-journal").unlink(missing_ok=True)
            _move(copy.database, folder.database)
        folder.lock_file.unlink()  # it names this process, which is no driver


def _move(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(path, target)


def _refuse_newer(copy: OutputFolder, folder: OutputFolder) -> None:
    """A study that was gone on with here has rungs that the copy lacks: they would be lost."""
    missing = _ended(folder) - _ended(copy)
    if missing:
        raise FolderError(
            f"{folder.path} has {len(missing)} rungs that the fetched study lacks: it was run or resumed here; choose "
            "another folder (--out)",
            key="--out",
            value=str(folder.path),
            rule="no rung that would be lost",
        )


def _ended(folder: OutputFolder) -> set[tuple[str, int, float]]:
    if not folder.database.is_file():
        return set()
    with Store(folder.database_url, folder.requests, read_only=True) as store:
        record = store.find_study(folder.study_id or "")
        return set() if record is None else {(r.trial_id, r.rung, r.ended_at) for r in store.scores()}
