"""FetchedCopy: what a folder that was fetched says of itself: of which job it is a copy, and as of when."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from autotuner.errors import FolderError
from autotuner.results.folder import OutputFolder, write_text

if TYPE_CHECKING:
    from pathlib import Path

_ENDED = frozenset(("SUCCEEDED", "FAILED", "STOPPED"))  # Ray's words for a job


@dataclass(frozen=True)
class FetchedCopy:
    """``job_status`` is Ray's, from before the copy was taken; ``at`` in seconds since the epoch."""

    job: str
    job_status: str
    address: str | None
    at: float

    @property
    def is_whole(self) -> bool:
        """Whether the job had ended when the copy was taken: there is no more of it to come."""
        return self.job_status in _ENDED

    def fetch_again(self, folder: Path) -> str:
        """The command that brings the rest."""
        where = f" --address {self.address}" if self.address else ""
        return f"autotuner fetch {self.job}{where} --out {shlex.quote(str(folder))}"


def note_fetched(folder: OutputFolder, copy: FetchedCopy) -> None:
    write_text(folder.fetched_json, json.dumps(asdict(copy), indent=2) + "\n")


def fetched_copy(folder: OutputFolder) -> FetchedCopy | None:
    """``None`` for the folder that the study itself writes, or one that was gone on with."""
    try:
        return FetchedCopy(**json.loads(folder.fetched_json.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise FolderError(f"{folder.fetched_json} can't be read: {error}") from error


def take_over(folder: OutputFolder) -> None:
    """Makes a copy the study's own folder, to go on with it there. Raises FolderError while its job may still write."""
    copy = fetched_copy(folder)
    if copy is None:
        return
    if not copy.is_whole:
        rule = f"the end of job {copy.job}; then fetch again, which brings the rest: {copy.fetch_again(folder.path)}"
        raise FolderError(
            f"{folder.path} is a copy of a study that job {copy.job} ran when it was fetched ({copy.job_status}): "
            f"going on with it takes {rule}",
            key="DIR",
            value=str(folder.path),
            rule=rule,
        )
    folder.fetched_json.unlink()
