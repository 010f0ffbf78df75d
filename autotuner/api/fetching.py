"""fetch: the folder of a study that runs, or ran, as a Ray job, brought to this machine through Ray's dashboard alone.

A short job on the study's node writes the folder's archive into its log as text; the log is read here while it grows.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from autotuner.errors import InfrastructureError, InputError
from autotuner.results import OutputFolder
from autotuner.results.fetched import FetchedCopy, note_fetched
from autotuner.results.moving.archive_lines import ArchiveReceiver, archive_lines
from autotuner.results.moving.snapshot import read_snapshot, write_snapshot
from autotuner.results.moving.take_in import refuse_other, take_in

if TYPE_CHECKING:
    from autotuner.tuning.on_ray.ray_jobs import RayJob, RayJobs

_COMMAND = re.compile(
    r"(?P<command>.*?(?:\bautotuner\.cli\.main|(?<![\w./-])(?:[\w./-]*/)?autotuner))\s+(?:run|resume)\b"
)
_TRIES = 3  # to read the log: a connection may break
_KEPT_FOR_S = 3600.0  # an archive in a log, if nobody comes to say that it arrived


@dataclass(frozen=True)
class Fetched:
    """Where the study lies now. ``job_status`` and ``exit_code`` are the job's; ``None`` while it runs."""

    path: Path
    study_id: str
    name: str
    job: str
    job_status: str
    exit_code: int | None
    archive_bytes: int

    def as_dict(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "study_id": self.study_id,
            "name": self.name,
            "job": self.job,
            "job_status": self.job_status,
            "exit_code": self.exit_code,
            "archive_bytes": self.archive_bytes,
        }


def fetch(
    job: str,
    address: str | None = None,
    out: str | Path | None = None,
    *,
    command: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Fetched:
    """Brings the study's folder of a Ray job to ``out`` (default ``./studies/NAME``); the study may be running.

    ``address`` is the dashboard's, as ``http://HEAD:8265``. ``command`` starts Autotuner on the cluster; by default as
    the job's entrypoint does. ``progress`` is told bytes received and in all. An older copy of the same study is
    brought up to date. Raises InputError for a job that ran no study, FolderError for a folder that holds another
    study or has more of this one, InfrastructureError when the cluster does not answer or the archive comes spoiled.
    """
    from autotuner.tuning.on_ray.ray_jobs import RayJobs

    jobs = RayJobs(address)
    found = jobs.find(job)  # its status from before the copy is taken
    fetched_at = time.time()
    starts_with = command or _command(found)
    with tempfile.TemporaryFile() as archive:
        about = _receive(jobs, found, starts_with, archive, progress, out)
        folder = _folder(out, about)
        folder.path.parent.mkdir(parents=True, exist_ok=True)
        archive.seek(0)
        with tempfile.TemporaryDirectory(dir=folder.path.parent, prefix=f".{folder.path.name}-") as place:
            take_in(read_snapshot(archive, Path(place)), folder)
    note_fetched(folder, FetchedCopy(found.job_id, found.status, address, fetched_at))
    return Fetched(
        path=folder.path,
        study_id=str(about["study_id"]),
        name=str(about["name"]),
        job=found.job_id,
        job_status=found.status,
        exit_code=found.exit_code,
        archive_bytes=int(about["size_bytes"]),
    )


def send(job: str) -> None:
    """The other end of ``fetch``, run by it on the node of ``job``: the archive into standard output, which is a log.

    Then waits to be told by SIGTERM that it has arrived, and empties that log. Raises InputError for a job of no study.
    """
    from autotuner.tuning.on_ray.job_folder import job_folder

    arrived = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: arrived.set())
    folder = OutputFolder(job_folder(job))
    about = {"study_id": folder.study_id, "name": folder.load_study().name, "folder": str(folder.path)}
    with tempfile.TemporaryFile() as archive:
        write_snapshot(folder, archive)
        for line in archive_lines(archive, about):
            sys.stdout.write(line)
            sys.stdout.flush()  # one write a line: standard error goes into the same file
    descriptor = sys.stdout.fileno()
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        arrived.wait(_KEPT_FOR_S)
        os.ftruncate(descriptor, 0)


def _command(job: RayJob) -> str:
    found = _COMMAND.match(job.entrypoint)
    if found is None:
        rule = "a job that runs `autotuner run` or `autotuner resume`; else say how Autotuner starts there (--command)"
        raise InputError(
            f"job {job.job_id!r} runs {job.entrypoint!r}; give {rule}", key="JOB", value=job.entrypoint, rule=rule
        )
    return found["command"]


def _folder(out: str | Path | None, about: Any) -> OutputFolder:
    return OutputFolder(Path(out) if out is not None else Path("studies") / Path(str(about["name"])).name)


def _receive(
    jobs: RayJobs,
    job: RayJob,
    command: str,
    archive: BinaryIO,
    progress: Callable[[int, int], None] | None,
    out: str | Path | None,
) -> Any:
    """The archive, and what was said about it; a folder that can't take it is refused before it has come."""
    receiver = ArchiveReceiver(archive)
    is_allowed = False

    def take(text: str) -> bool:
        nonlocal is_allowed
        receiver.feed(text)
        if receiver.about is not None:
            if not is_allowed:
                refuse_other(_folder(out, receiver.about), receiver.about["study_id"], receiver.about["name"])
                is_allowed = True
            if progress is not None:
                progress(receiver.received_bytes, int(receiver.about["size_bytes"]))
        return receiver.is_complete

    with jobs.beside(job, f"{command} fetch --send {shlex.quote(job.job_id)}", "autotuner-fetch") as sender:
        for attempt in range(1, _TRIES + 1):
            receiver.restart()
            try:
                jobs.read_log(sender, take)
            except InfrastructureError:
                if attempt == _TRIES:
                    raise
            if receiver.is_complete:
                return receiver.about
        rays = jobs.find(sender).message
    said = next((line for line in reversed(receiver.said) if line.startswith("autotuner: ")), None)
    why = (said or rays.strip() or "its log ended early").removeprefix("autotuner: ")
    raise InfrastructureError(
        f"the study of job {job.job_id!r} could not be fetched: {why}", key="JOB", value=job.job_id
    )
