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
from dataclasses import dataclass
from pathlib import Path

import psutil

from autotuner.servers.tags import TRIAL
from benchmarks import dockerd, namespaces
from benchmarks.chaos_study import StudyUnderFire, wait_for
from benchmarks.namespaces import NamespacedRaylets
from benchmarks.raylets import NodeKind, Raylets

NODE = NodeKind(1, "H100-80GB", cpus=16)
_LATEST_S = 8.0  # after the first server is up
_DISK_FULL_S = 5.0
_CUT_OFF_S = 40.0  # Ray declares a node dead after five missed checks, 3 s and more apart
_ENDS_ITSELF_WITHIN_S = 15.0


class NobodyThere(Exception):  # noqa: N818  # no error: the study was over before the fault came
    """The study had no victim left."""


@dataclass
class Scene:
    """What a fault may touch. ``rng`` sets its moment and its victim."""

    study: StudyUnderFire
    cluster: Raylets | NamespacedRaylets
    rng: random.Random
    daemon: dockerd.Dockerd | None = None

    def wait_for_a_moment(self) -> None:
        """Somewhere in the first seconds after a server is measured."""
        if not self.study.wait_for_servers():
            raise NobodyThere
        time.sleep(self.rng.uniform(0.0, _LATEST_S))

    def victim(self, found: Callable[[], list[psutil.Process]]) -> psutil.Process:
        processes = wait_for(found, 30.0)
        if not processes:
            raise NobodyThere
        self.study.take_snapshot()
        chosen: psutil.Process = self.rng.choice(sorted(processes, key=lambda process: int(process.pid)))
        return chosen

    def victims_node(self) -> str:
        """The first digits of the id of a node that serves."""
        server = self.victim(self.study.servers)
        try:
            trial = server.environ()[TRIAL]
        except psutil.Error:
            raise NobodyThere from None
        [node] = [row["node"] for row in self.study.rows("SELECT * FROM trials") if row["trial_id"] == trial]
        return str(node).rpartition("/")[2]


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
        victim = scene.victim(scene.study.servers)
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.send_signal(number)

    return inject


def _hang_server(scene: Scene) -> None:
    """SIGSTOP for the server and all that it started."""
    scene.wait_for_a_moment()
    victim = scene.victim(scene.study.servers)
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in (*victim.children(recursive=True), victim):
            process.suspend()


def _kill_actor(scene: Scene) -> None:
    scene.wait_for_a_moment()
    with contextlib.suppress(psutil.NoSuchProcess):
        scene.victim(scene.study.actors).kill()


def _kill_raylet(scene: Scene) -> None:
    """kill -9 of a node's raylet and of Ray's other processes there; another node joins in its place."""
    assert isinstance(scene.cluster, Raylets)
    scene.wait_for_a_moment()
    node_id = scene.victims_node()
    scene.cluster.kill(next(node for node in scene.cluster.nodes if node.node_id.startswith(node_id)))
    scene.cluster.add(NODE)


def _kill_driver(scene: Scene) -> None:
    scene.wait_for_a_moment()
    process = scene.study.process
    if process is None or process.poll() is not None:
        raise NobodyThere
    scene.study.take_snapshot()
    process.kill()
    process.wait()
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
    scene.victim(scene.study.servers)
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
    """A node without network for longer than Ray waits for one, then back; its raylet, declared dead, is replaced."""
    cluster = scene.cluster
    assert isinstance(cluster, NamespacedRaylets)
    scene.wait_for_a_moment()
    node = cluster.node_of(scene.victim(scene.study.servers).pid)
    cluster.cut(node)
    time.sleep(_CUT_OFF_S)
    scene.study.take_snapshot()
    cluster.join(node)
    time.sleep(_ENDS_ITSELF_WITHIN_S)
    cluster.start_node(node, NODE)


def _kill_daemon(scene: Scene) -> None:
    """kill -9 of the docker daemon that all nodes share here; it is started again at once."""
    assert scene.daemon is not None
    scene.wait_for_a_moment()
    scene.victim(scene.study.servers)
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
