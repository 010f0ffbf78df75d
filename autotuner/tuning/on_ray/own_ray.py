"""Ray for one study on this machine: it listens on the loopback interface alone, asks for a token of this run's own,
and keeps its files and sockets, which Ray leaves open to all, in a folder of the user's.

Ray has no option for the first: it puts the host's own address for 127.0.0.1, and a node with another address than that
listens on every interface. Where clusters are not allowed, as on macOS, it stays on the loopback interface by itself.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ray._private import ray_constants

from autotuner.servers.machine.lock_file import lock_folder
from autotuner.tuning.on_ray.ray_token import AUTH_MODE, AUTH_TOKEN, AUTH_TOKEN_FILE, read_settings_anew

_LONGEST_SOCKET_BYTES = 107
_A_SOCKET_OF_RAYS = "/session_2026-11-30_06-07-37_739786_4194304/sockets/plasma_store"


@contextmanager
def loopback_kept() -> Iterator[None]:
    """Within it Ray takes 127.0.0.1 as it is, and a Ray that is started has that address."""
    before = ray_constants.ENABLE_RAY_CLUSTER  # of the variable, which is read when Ray is imported
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        with _environment({ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR: "0"}):  # for the processes that it starts
            yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def own_token() -> Iterator[None]:
    """A token for the Ray that is started within, which its processes inherit; none where the caller has named a token,
    or wants none (RAY_AUTH_MODE=disabled). Ray's own would lie in the home folder, for all to read."""
    is_unwanted = os.environ.get(AUTH_MODE, "token").lower() != "token"
    if is_unwanted or os.environ.get(AUTH_TOKEN) or os.environ.get(AUTH_TOKEN_FILE):
        yield
        return
    try:
        with _environment({AUTH_MODE: "token", AUTH_TOKEN: secrets.token_hex(32)}):
            read_settings_anew()
            yield
    finally:
        read_settings_anew()


def own_folder() -> Path | None:
    """The folder of Ray's files: below the temporary folder, or /tmp where sockets' names would get too long.

    ``None`` where RAY_TMPDIR names one. Raises InfrastructureError where somebody else has taken its name.
    """
    if "RAY_TMPDIR" in os.environ:
        return None
    folder = lock_folder("ray")
    is_short = len(os.fsencode(f"{folder}{_A_SOCKET_OF_RAYS}")) <= _LONGEST_SOCKET_BYTES
    return folder if is_short else lock_folder("ray", Path("/tmp"))  # noqa: S108  # nobody else's folder is taken


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
