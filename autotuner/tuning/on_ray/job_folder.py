"""Which folder a Ray job's study writes: noted on the job's own node, so that ``fetch`` finds it later.

Ray's jobs API can't be told anything after a job was submitted. The note is a file in a folder of the user's under the
node's temporary folder, ``autotuner-UID/jobs/JOB.json``.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from autotuner.errors import AutotunerError, InputError
from autotuner.servers.machine.lock_file import lock_folder

_log = logging.getLogger(__name__)
_JOB_CONFIG = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # ray._private.runtime_env.constants
_JOB_ID = "job_submission_id"
_RAYS_COPIES = "runtime_resources"  # where Ray unpacks a job's working directory


def own_job_id() -> str | None:
    """The submission id of the Ray job that this process is the driver of; ``None`` outside of jobs."""
    try:
        job_id = json.loads(os.environ.get(_JOB_CONFIG, "{}"))["metadata"][_JOB_ID]
    except (ValueError, TypeError, KeyError):
        return None
    return str(job_id)


def note_job_folder(folder: Path) -> None:
    """Notes the study's folder of the Ray job that this process drives; does nothing outside of jobs."""
    job_id = own_job_id()
    if job_id is None:
        return
    try:
        _note(job_id).write_text(json.dumps({"folder": str(folder)}), encoding="utf-8")
    except (AutotunerError, OSError) as error:
        _log.warning("the study's folder can't be noted for `autotuner fetch %s`: %s", job_id, error)


def job_folder(job_id: str) -> Path:
    """The folder noted on this node. Raises InputError where there is no note of such a job, or no folder any more."""
    rule = "a Ray job on this node that runs or ran a study, and whose folder is still there"
    try:
        folder = Path(json.loads(_note(job_id).read_text(encoding="utf-8"))["folder"])
    except OSError:
        raise InputError(
            f"no study of job {job_id!r} is known on its node", key="JOB", value=job_id, rule=rule
        ) from None
    if not folder.is_dir():
        raise InputError(f"the folder of job {job_id!r} is gone: {folder}", key="JOB", value=job_id, rule=rule)
    return folder


def is_rays_copy(folder: Path) -> bool:
    """Whether a folder lies in a job's copy of its working directory, which Ray deletes some time after the job."""
    return own_job_id() is not None and _RAYS_COPIES in folder.parts


def _note(job_id: str) -> Path:
    return lock_folder("jobs") / f"{job_id.replace(os.sep, '_')}.json"
