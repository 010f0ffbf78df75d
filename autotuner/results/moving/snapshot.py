"""A study's folder as one archive, taken while the study may be running, and an archive as a folder again."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from autotuner.errors import FolderError, InfrastructureError
from autotuner.results.folder import OutputFolder
from autotuner.results.storage.database import copy_sqlite
from autotuner.results.storage.store import Store

_RAY = "ray"  # where Ray Tune keeps its own files while a study runs


def write_snapshot(folder: OutputFolder, target: BinaryIO) -> None:
    """Writes the folder to ``target`` as a gzipped tar.

    The database is copied first, in one transaction, then the files: a rung's files are written before its row, so each
    ended rung of the copy has its own. A log that grows is cut where it ended when its turn came. Raises
    FolderError for a folder that is no study's.
    """
    from autotuner.servers.supervision.work_folder import work_folder  # late: loads all launchers

    folder.load_study()
    with (
        work_folder() as place,
        tarfile.open(fileobj=target, mode="w:gz", compresslevel=6) as archive,
    ):
        if folder.database.is_file():
            copy = place / folder.database.name
            copy_sqlite(folder.database, copy)
            archive.add(copy, arcname=folder.database.name)
        for path in _files(folder):
            _add(archive, path, str(path.relative_to(folder.path)))


def read_snapshot(archive: BinaryIO, path: Path) -> OutputFolder:
    """The folder that an archive of ``write_snapshot`` becomes at ``path``, its database read once as a check.

    Raises InfrastructureError for an archive that is spoiled.
    """
    try:
        with tarfile.open(fileobj=archive, mode="r:gz") as packed:
            packed.extractall(path, filter="data")
        folder = OutputFolder(path)
        folder.load_study()
        if folder.database.is_file():
            with Store(folder.database_url, folder.requests, read_only=True) as store:
                store.read_study(folder.study_id)
                store.scores()
    except (tarfile.TarError, OSError, EOFError, FolderError) as error:
        raise InfrastructureError(f"the study's archive can't be unpacked: {error}") from error
    return folder


def _files(folder: OutputFolder) -> Iterator[Path]:
    """All but the database, what is hidden (the driver's lock, files being written), Ray's, and whose copy it is."""
    for path in sorted(folder.path.rglob("*")):
        parts = path.relative_to(folder.path).parts
        is_left_out = parts[0] in (_RAY, folder.fetched_json.name) or any(part.startswith(".") for part in parts)
        is_database = parts[0].startswith(folder.database.name)  # its journal too
        if not is_left_out and not is_database and path.is_file() and not path.is_symlink():
            yield path


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    try:
        with path.open("rb") as file:
            about = archive.gettarinfo(arcname=name, fileobj=file)
            archive.addfile(about, file)
    except FileNotFoundError:
        return  # taken away meanwhile
