"""The faults that chaos injects. Each takes a running study and does its harm; what must be mended, it mends.

A fault waits for its victim, so that an injection that met nobody is not counted.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks import dockerd, namespaces
from benchmarks.chaos_study import StudyUnderFire, actor_of, wait_for
from benchmarks.namespaces import NamespacedRaylets
from benchmarks.raylets import NodeKind, Raylets

NODE = NodeKind(1, "H100-80GB", cpus=4)  # Ray starts a worker for each, at once
_LATEST_S = 8.0  # after the first server is up
_SERVER_WITHIN_S = 90.0
_DISK_FULL_S = 5.0


class NobodyThere(Exception):  # noqa: N818  # no error: the study was over before the fault came
    """The study had no victim left."""


class Victim(NamedTuple):
    server: psutil.Process
    trial_id: str


@dataclass
class Scene:
    """What a fault may touch. ``rng`` sets its moments and victims; no trial is chosen twice (``met``)."""

    study: StudyUnderFire
    cluster: Raylets | NamespacedRaylets
    rng: random.Random
    daemon: dockerd.Dockerd | None = None
    met: set[str] = field(default_factory=set)

    def wait_for_a_moment(self) -> None:
        """Somewhere in the first seconds after a server is measured."""
        self._unmet_servers()
        time.sleep(self.rng.uniform(0.0, _LATEST_S))

    def victim(self) -> Victim:
        """A server that is measured."""
        servers = self._unmet_servers()
        self.study.take_snapshot()
        chosen = self.rng.choice(sorted(servers))
        self.met.add(servers[chosen])
        try:
            return Victim(psutil.Process(chosen), servers[chosen])
        except psutil.NoSuchProcess:
            return self.victim()

    def everyone(self) -> None:
        """All servers that are measured now are victims."""
        self.met.update(self._unmet_servers().values())
        self.study.take_snapshot()

    def _unmet_servers(self) -> dict[int, str]:
        """Waits for servers that are measured and that no fault has met: process → trial."""

        def unmet() -> dict[int, str]:
            trials = self.study.measured_trials() - self.met
            found = {pid: trial for pid, trial in self.study.servers().items() if trial in trials}
            if not found and self.study.has_ended:
                raise NobodyThere
            return found

        found: dict[int, str] = wait_for(unmet, _SERVER_WITHIN_S)
        if not found:
            raise NobodyThere
        return found


@dataclass(frozen=True)
class Fault:
    """``inject`` does it once; ``around`` prepares the study's surroundings; ``unavailable`` says why it can't be."""

    name: str
    inject: Callable[[Scene], None]
    around: Callable[[Scene], contextlib.AbstractContextManager[None]] = lambda _: contextlib.nullcontext()
    unavailable: Callable[[], str] = lambda: ""
    in_namespaces: bool = False
    in_containers: bool = False


def _signal_server(number: int) -> Callable[[Scene], None]:
    def inject(scene: Scene) -> None:
        scene.wait_for_a_moment()
        victim = scene.victim().server
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.send_signal(number)

    return inject


def _hang_server(scene: Scene) -> None:
    """SIGSTOP for the server and all that it started."""
    scene.wait_for_a_moment()
    victim = scene.victim().server
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in (*victim.children(recursive=True), victim):
            process.suspend()


def _kill_actor(scene: Scene) -> None:
    scene.wait_for_a_moment()
    actor = actor_of(scene.victim().server)
    if actor is None:
        raise NobodyThere
    with contextlib.suppress(psutil.NoSuchProcess):
        actor.kill()


def _kill_raylet(scene: Scene) -> None:
    """kill -9 of a node's raylet and of Ray's other processes there; another node joins in its place."""
    assert isinstance(scene.cluster, Raylets)
    scene.wait_for_a_moment()
    node_id = scene.study.node_of(scene.victim().trial_id)
    scene.cluster.kill(next(node for node in scene.cluster.nodes if node.node_id.startswith(node_id)))
    scene.cluster.add(NODE)


def _kill_driver(scene: Scene) -> None:
    scene.wait_for_a_moment()
    scene.everyone()
    scene.study.kill()
    scene.study.resume()


@contextmanager
def _small_disk(scene: Scene) -> Iterator[None]:
    """The study's logs on a file system of their own."""
    logs = scene.study.out.path / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(logs)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(logs)], check=True)


def _fill_disk(scene: Scene) -> None:
    """No space for logs for some seconds, in which a server may start, log or end."""
    scene.wait_for_a_moment()
    scene.everyone()
    filler = scene.study.out.path / "logs" / "filler"
    with contextlib.suppress(OSError), filler.open("wb") as file:
        while True:
            file.write(os.urandom(4096))
            file.flush()
    time.sleep(_DISK_FULL_S)
    filler.unlink()


def _cannot_mount() -> str:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return "mounting a file system needs root"
    return ""


def _cut_node_off(scene: Scene) -> None:
    """A node without network until Ray declares it dead, then back; its raylet, ended, is replaced."""
    cluster = scene.cluster
    assert isinstance(cluster, NamespacedRaylets)
    scene.wait_for_a_moment()
    node = cluster.node_of(scene.victim().server.pid)
    cluster.cut(node)
    scene.study.take_snapshot()
    cluster.join(node)
    cluster.start_node(node, NODE)


def _kill_daemon(scene: Scene) -> None:
    """kill -9 of the docker daemon that all nodes share here; it is started again at once."""
    assert scene.daemon is not None
    scene.wait_for_a_moment()
    scene.everyone()
    scene.daemon.kill()
    scene.daemon.start()


FAULTS = (
    Fault("kill_server", _signal_server(signal.SIGKILL)),
    Fault("kill_actor", _kill_actor),
    Fault("kill_raylet", _kill_raylet),
    Fault("kill_driver", _kill_driver),
    Fault("hung_server", _hang_server),
    Fault("server_stops_reading", _signal_server(signal.SIGUSR1)),
    Fault("full_disk", _fill_disk, around=_small_disk, unavailable=_cannot_mount),
    Fault("lost_docker_daemon", _kill_daemon, unavailable=dockerd.why_not, in_containers=True),
    Fault("node_cut_off", _cut_node_off, unavailable=namespaces.why_not, in_namespaces=True),
)


def make_model(folder: Path) -> Path:
    """The tiny random model that the servers serve."""
    model = folder / "tiny.gguf"
    maker = Path(__file__).parents[1] / "examples" / "laptop" / "make_model.py"
    subprocess.run([sys.executable, str(maker), "--out", str(model)], check=True, capture_output=True)
    return model
