"""The Ray session of a study: a cluster that is there already, or one of our own on this machine."""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext

import ray
from ray._common.network_utils import is_localhost
from ray._private import services
from ray.exceptions import AuthenticationError
from ray.job_config import JobConfig

from autotuner.errors import InfrastructureError, InputError
from autotuner.servers.machine.gpus_here import gpus_here
from autotuner.servers.machine.node_label import ACCELERATOR_LABEL
from autotuner.study.hardware_profiles import profile_of_device
from autotuner.tuning.on_ray.lasting_folder import lasting_working_folder
from autotuner.tuning.on_ray.own_ray import loopback_kept, own_folder, own_token
from autotuner.tuning.on_ray.ray_token import check_token, no_token_here, read_settings_anew

STUDY_METADATA = "autotuner_study"  # by these, others who wait for what a study holds are told of it
FOLDER_METADATA = "autotuner_folder"
_CONNECT_S = 10.0
_AUTO = "auto"
_HOST_AND_PORT = re.compile(r"(?P<host>.+):(?P<port>\d+)")
_RAYS_CLIENT = "ray://"
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
def ray_session(address: str | None, study: str = "", folder: str = "") -> Iterator[None]:
    """Connects to ``address``, else to ``RAY_ADDRESS`` (as in a Ray job), else starts Ray here, for this machine alone.

    ``study`` and its output ``folder`` are what other users of the cluster can know of this one.
    Raises InfrastructureError when the cluster does not answer, or does not take the token that is here, and InputError
    for an address of Ray's client.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    for noisy in ("ray", "ray.tune", "ray.data"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    logging.getLogger("ray.tune.execution.tune_controller").addFilter(_without_traceback)
    wanted = address or os.environ.get("RAY_ADDRESS")
    known = {STUDY_METADATA: study, FOLDER_METADATA: folder} if study else {}
    with lasting_working_folder(), _joined(wanted, known) if wanted else _started_here():
        yield


@contextmanager
def _started_here() -> Iterator[None]:
    folder = own_folder()
    with loopback_kept(), own_token():
        with _told("Ray on this machine", None):
            ray.init(
                address="local",
                num_cpus=len(os.sched_getaffinity(0)),
                labels=_own_labels(),
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                _temp_dir=None if folder is None else str(folder),
            )
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def _joined(address: str, known: Mapping[str, str]) -> Iterator[None]:
    """``known``: what other users of the cluster can know of this job."""
    if address.startswith(_RAYS_CLIENT):
        rule = "HOST:PORT of the cluster's control store (6379 unless told otherwise), auto, or a Ray job"
        message = f"{address}: Ray's client does not see a cluster's nodes, on which trials are placed; give {rule}"
        raise InputError(message, key="address", value=address, rule=rule)
    read_settings_anew()
    with _told(f"the Ray cluster at {address}", address):
        found = _HOST_AND_PORT.fullmatch(_found_by_ray() if address == _AUTO else address)
    if found is not None:  # else it is not for us to read
        _check_that_someone_listens(address, found["host"], int(found["port"]))
        check_token(address, f"{found['host']}:{found['port']}", is_found=address == _AUTO)
    with loopback_kept() if found is not None and _is_on_loopback_alone(found) else nullcontext():
        with _told(f"the Ray cluster at {address}", address):
            job = JobConfig(metadata=dict(known))
            ray.init(address=address, job_config=job, log_to_driver=False, logging_level=logging.ERROR)
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def _told(who: str, address: str | None) -> Iterator[None]:
    """What Ray raises, as an error of ours."""
    try:
        yield
    except AuthenticationError as error:
        raise no_token_here(address) from error
    except (OSError, RuntimeError, ValueError) as error:
        raise InfrastructureError(f"can't reach {who}: {error}", key="address", value=address) from error


def _found_by_ray() -> str:
    """The cluster that RAY_ADDRESS names, or that this machine is a node of; Ray asks for the latter in its folder."""
    return str(services.get_ray_address_from_environment(_AUTO, None))


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


def _check_that_someone_listens(address: str, host: str, port: int) -> None:
    """Ray itself would try for minutes."""
    try:
        _connect(host, port)
    except (OSError, OverflowError) as error:
        message = f"can't reach the Ray cluster at {address}: {error}"
        raise InfrastructureError(message, key="address", value=address) from error


def _is_on_loopback_alone(found: re.Match[str]) -> bool:
    """Whether a cluster at 127.0.0.1 has that address, and not the host's own, which Ray would put for it."""
    if not is_localhost(found["host"]):
        return False
    try:
        _connect(ray.util.get_node_ip_address(), int(found["port"]))
    except OSError:
        return True
    return False


def _connect(host: str, port: int) -> None:
    socket.create_connection((host.strip("[]"), port), timeout=_CONNECT_S).close()


def node_resources() -> Sequence[Mapping[str, float]]:
    """Total resources of each live node of the connected cluster."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]
