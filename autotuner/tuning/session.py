"""The Ray session of a study: a cluster that is there already, or one of our own on this machine."""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import ray

from autotuner.errors import InfrastructureError
from autotuner.servers.gpus_here import gpus_here
from autotuner.servers.node_label import ACCELERATOR_LABEL
from autotuner.study.hardware_profiles import profile_of_device

_CONNECT_S = 10.0
_HOST_AND_PORT = re.compile(r"(?:ray://)?(?P<host>.+):(?P<port>\d+)")
_QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # we set CUDA_VISIBLE_DEVICES for every server ourselves
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # else load drivers are late whenever anything else runs here
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # results go into the study's own store
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a rung that is repeated elsewhere, or cut, has no score
    "TUNE_FORCE_TRIAL_CLEANUP_S": "60",  # an actor that does not end is killed; its supervisor sees to the server
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # and a resumed study never reads Ray's snapshot
    "TUNE_RESULT_BUFFER_LENGTH": "1",
    "TUNE_WARN_THRESHOLD_S": "10",
}


@contextmanager
def ray_session(address: str | None) -> Iterator[None]:
    """Connects to ``address``, else to ``RAY_ADDRESS`` (as in a Ray job), else starts Ray here.

    Raises InfrastructureError when the cluster does not answer.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    for noisy in ("ray", "ray.tune", "ray.data"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    logging.getLogger("ray.tune.execution.tune_controller").addFilter(_without_traceback)
    wanted = address or os.environ.get("RAY_ADDRESS")
    if wanted:
        _check_that_someone_listens(wanted)
    try:
        if wanted:
            ray.init(address=wanted, log_to_driver=False, logging_level=logging.ERROR)
        else:
            ray.init(
                address="local",
                num_cpus=len(os.sched_getaffinity(0)),
                labels=_own_labels(),
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        where = f"the Ray cluster at {wanted}" if wanted else "Ray on this machine"
        raise InfrastructureError(f"can't reach {where}: {error}", key="address", value=wanted) from error
    try:
        yield
    finally:
        ray.shutdown()


def _own_labels() -> dict[str, str]:
    """The GPU type of this machine, where all its GPUs are of a known one."""
    profiles = {profile_of_device(gpu.name, gpu.memory_gib) for gpu in gpus_here()}
    known = [profile.name for profile in profiles if profile is not None]
    return {ACCELERATOR_LABEL: known[0]} if len(profiles) == len(known) == 1 else {}


def _without_traceback(record: logging.LogRecord) -> bool:
    """A trial's actor that died is repeated, and told in a line; the traceback is for ``--debug``."""
    if not logging.getLogger().isEnabledFor(logging.DEBUG):
        record.exc_info = None
    return True


def _check_that_someone_listens(address: str) -> None:
    """Ray itself would try for minutes. Addresses such as ``auto`` are Ray's to find."""
    found = _HOST_AND_PORT.fullmatch(address)
    if found is None:
        return
    try:
        socket.create_connection((found["host"].strip("[]"), int(found["port"])), timeout=_CONNECT_S).close()
    except (OSError, OverflowError) as error:
        message = f"can't reach the Ray cluster at {address}: {error}"
        raise InfrastructureError(message, key="address", value=address) from error


def node_resources() -> Sequence[Mapping[str, float]]:
    """Total resources of each live node of the connected cluster."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]
