"""An output folder in the hands of a study's driver: of a new run, or of one that goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from autotuner.results.fetched import take_over
from autotuner.results.folder import OutputFolder
from autotuner.study import Study, study_id


@contextmanager
def open_folder(folder: OutputFolder, study: Study) -> Iterator[None]:
    """Prepares the folder for a new run of ``study`` and holds it; FolderError as from ``prepare`` and ``lock``."""
    folder.check(study, study_id(study))  # before the lock, which makes the folder
    with folder.lock():
        folder.prepare(study, study_id(study))
        yield


@contextmanager
def resume_folder(folder: OutputFolder) -> Iterator[Study]:
    """Holds a folder that has a study, and hands that back.

    Raises FolderError for a copy of one that may still run where it was fetched from.
    """
    study = folder.load_study()
    with folder.lock():
        take_over(folder)
        folder.prepare(study, folder.study_id or "", resume=True)
        yield study
