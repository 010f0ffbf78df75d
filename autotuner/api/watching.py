"""status and logs: a running study seen from another process. Both only read."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterator
from pathlib import Path

from autotuner.errors import InputError
from autotuner.results import OutputFolder, StudyStatus, TrialRecord
from autotuner.results.driver import DriverState, find_driver
from autotuner.results.find_progress import study_progress
from autotuner.results.log_reader import LogPiece, LogReader
from autotuner.results.progress import StudyProgress
from autotuner.results.storage.store import Store

_EVERY_S = 0.5
_LAST_WORDS = 4  # times to look for what servers say while they are being ended


def status(path: str | Path, *, database: str | None = None) -> StudyProgress:
    """Where the study in an output folder stands, while it runs and after.

    ``database`` is the URL of its results where they are not in the folder. Raises FolderError for a folder that is
    no study's.
    """
    return study_progress(path, database=database)


def logs(
    path: str | Path,
    trial_id: str,
    *,
    launch: int | None = None,
    rank: int | None = None,
    follow: bool = False,
    database: str | None = None,
) -> Iterator[LogPiece]:
    """The server logs of a trial, launch by launch; with ``follow`` what is added too, until the trial has ended.

    ``launch`` counts from 1, ``rank`` from 0: of one launch or rank alone. ``database`` as in ``status``. Raises
    InputError for a trial that there is not.
    """
    folder = OutputFolder(Path(path))
    folder.load_study()  # refuses what is no study's folder
    _refuse_unknown(folder, trial_id, [trial.trial_id for trial in _stored(folder, database)[1]])
    reader = LogReader(folder.trial_logs(trial_id), launch=launch, rank=rank)
    return _follow(folder, trial_id, database, reader) if follow else reader.read()


def _follow(folder: OutputFolder, trial_id: str, database: str | None, reader: LogReader) -> Iterator[LogPiece]:
    quiet = 0
    while quiet < _LAST_WORDS:
        goes_on = _goes_on(folder, trial_id, database)
        quiet = 0 if goes_on else quiet + 1
        for piece in reader.read():
            quiet = 0
            yield piece
        time.sleep(_EVERY_S)


def _goes_on(folder: OutputFolder, trial_id: str, database: str | None) -> bool:
    """Whether the trial may still write: neither it nor its study has ended, nor its driver died."""
    driver = find_driver(folder)
    status, trials = _stored(folder, database)
    runs = any(trial.trial_id == trial_id and not trial.state.is_terminal for trial in trials)
    return runs and status is StudyStatus.RUNNING and driver.state is not DriverState.DEAD


def _stored(folder: OutputFolder, database: str | None) -> tuple[StudyStatus | None, list[TrialRecord]]:
    """The study's status and its trials; nothing while they are not stored yet."""
    if database is None and not folder.database.is_file():
        return None, []
    with Store(database or folder.database_url, folder.requests, read_only=True) as store:
        record = store.find_study(folder.study_id or "")
        return (record.status, store.trials()) if record else (None, [])


def _refuse_unknown(folder: OutputFolder, trial_id: str, known: list[str]) -> None:
    if trial_id in known:
        return
    nearest = next(iter(difflib.get_close_matches(trial_id, known, n=1, cutoff=0.0)), None)  # a name, no number
    rule = f"a trial of {folder.path}" + ("" if known else ", which has none yet")
    hint = f"; the nearest is {nearest}" if nearest else ""
    raise InputError(
        f"TRIAL: {trial_id!r} is not {rule}{hint}", key="TRIAL", value=trial_id, rule=rule, nearest=nearest
    )
