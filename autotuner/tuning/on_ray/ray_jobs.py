"""Ray's jobs, asked and started at the dashboard's HTTP address: it is all that other machines can reach."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from autotuner.errors import InfrastructureError, InputError
from autotuner.tuning.on_ray.ray_token import read_settings_anew, refusal

# Of a job's runtime_env: what its Python is made of.
_KEPT = ("py_modules", "pip", "uv", "conda", "py_executable", "image_uri")
_KEPT_VARIABLES = ("PATH", "PYTHONPATH", "TMPDIR")  # where it finds Autotuner, and Autotuner its notes; no secrets
_POLL_S = 0.5
_ENDS_WITHIN_S = 30.0  # Ray gives a stopped job 3 s
_SEEN_WITHIN_S = 2.5  # Ray looks after its jobs once a second: one that is deleted before it saw the end comes back
_SILENT_S = 300.0  # at most, between two pieces of a log


@dataclass(frozen=True)
class RayJob:
    """``exit_code`` is the driver's, ``None`` while it runs and for a job that was stopped; ``message`` is Ray's."""

    job_id: str
    status: str
    entrypoint: str
    node_id: str | None
    runtime_env: Mapping[str, Any]
    exit_code: int | None
    message: str


class RayJobs:
    """The jobs of the cluster whose dashboard is at ``address``, by default that of this machine.

    Every method raises InfrastructureError when the dashboard does not answer, or does not take the token that is here.
    """

    def __init__(self, address: str | None) -> None:
        self._address = address
        read_settings_anew()
        with self._told():
            self._client = JobSubmissionClient(address)

    def find(self, job_id: str) -> RayJob:
        """A job by its submission id or by Ray's own. Raises InputError where there is none that was submitted."""
        rule = "the id of a submitted job: `ray job list` shows them"
        with self._told():
            try:
                found = self._client.get_job_info(job_id)
            except RuntimeError as error:
                if "does not exist" not in str(error):
                    raise
                found = None
        if found is None or not found.submission_id:
            raise InputError(f"there is no job {job_id!r}; give {rule}", key="JOB", value=job_id, rule=rule)
        return RayJob(
            job_id=found.submission_id,
            status=str(found.status.value),
            entrypoint=found.entrypoint,
            node_id=found.driver_node_id,
            runtime_env=found.runtime_env or {},
            exit_code=found.driver_exit_code,
            message=found.message or "",
        )

    @contextmanager
    def beside(self, job: RayJob, command: str, name: str) -> Iterator[str]:
        """A job that runs ``command`` on the node of another job, with the same Python; stopped and deleted at exit.

        Its working directory is empty: that of a job which has ended may be gone.
        """
        where = {} if job.node_id is None else {"entrypoint_label_selector": {"ray.io/node-id": job.node_id}}
        with self._told():
            job_id = self._client.submit_job(
                entrypoint=command,
                submission_id=f"{name}-{uuid.uuid4().hex[:12]}",
                runtime_env=_its_python(job.runtime_env),
                **where,
            )
        try:
            yield job_id
        finally:
            with suppress(RuntimeError, OSError):  # it ends by itself, later
                self._end(job_id)

    def read_log(self, job_id: str, take: Callable[[str], bool]) -> None:
        """Hands ``take`` the job's log in pieces, from its beginning, until it says ``True`` or the job ends."""

        async def read() -> None:
            pieces = self._client.tail_job_logs(job_id)
            try:
                while True:
                    async with asyncio.timeout(_SILENT_S):
                        piece = await anext(pieces, None)
                    if piece is None or take(piece):
                        return
            finally:
                await pieces.aclose()

        with self._told():
            asyncio.run(read())

    def _end(self, job_id: str) -> None:
        self._client.stop_job(job_id)
        ends_at = time.monotonic() + _ENDS_WITHIN_S
        while not self._client.get_job_status(job_id).is_terminal():
            if time.monotonic() > ends_at:
                return
            time.sleep(_POLL_S)
        time.sleep(_SEEN_WITHIN_S)
        self._client.delete_job(job_id)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except AuthenticationError as error:
            where = self._address or "on this machine"
            raise refusal(f"Ray's dashboard at {where}", self._address) from error
        except (RuntimeError, OSError, ValueError, aiohttp.ClientError) as error:
            where = self._address or "on this machine (give --address http://HEAD:8265)"
            said = str(error).strip().splitlines() or [type(error).__name__]
            message = f"Ray's dashboard at {where} did not do it: {said[-1]}"
            raise InfrastructureError(message, key="address", value=self._address) from error


def _its_python(runtime_env: Mapping[str, Any]) -> dict[str, Any]:
    """What of a job's runtime_env another one needs to start the same Python and Autotuner."""
    variables = runtime_env.get("env_vars") or {}
    kept = {name: variables[name] for name in _KEPT_VARIABLES if name in variables}
    found = {key: value for key, value in runtime_env.items() if key in _KEPT}
    return {**found, "env_vars": kept} if kept else found
