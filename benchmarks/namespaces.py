"""Raylets in network namespaces of their own, each of which can be cut off and joined again.

    hub (head, driver)  198.18.0.1 ── v0 ── node 0  198.18.0.10
                                   ── v1 ── node 1  198.18.0.11 …

The addresses are those set apart for benchmarks (RFC 2544), and exist in these namespaces alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from autotuner.servers.machine.node_label import ACCELERATOR_LABEL
from benchmarks.raylets import NodeKind, count_nodes, count_placement_groups

HUB_IP = "198.18.0.1"
_PORT = 6379
_RAY = str(Path(sys.executable).with_name("ray"))
_UP_WITHIN_S = 60.0
_MISSED_WITHIN_S = 180.0
_ENDS_ITSELF_WITHIN_S = 20.0
_RAYS_OWN = {"raylet", "log_monitor.py", "ray::DashboardAgent", "ray::RuntimeEnvAgent"}
_OBJECT_STORE_BYTES = 80 * 1024 * 1024


def why_not() -> str:
    """Why this machine can't have namespaces; ``""`` when it can."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return "network namespaces need root and the ip command (iproute2)"
    name = f"at-try-{os.getpid()}"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if tried.returncode:
        return f"no network namespaces here: {tried.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", name], check=False)
    return ""


@dataclass
class NamespacedRaylets:
    """A head in the hub, and nodes that may be cut off. This process must be in the hub."""

    hub: str
    folder: Path
    nodes: list[int] = field(default_factory=list)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    raylets: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"{HUB_IP}:{_PORT}"

    def node_of(self, pid: int) -> int:
        """The node on which a process runs."""
        its = os.stat(f"/proc/{pid}/ns/net").st_ino
        return next(node for node in self.nodes if os.stat(f"/run/netns/{self.hub}n{node}").st_ino == its)

    def cut(self, node: int) -> None:
        """Returns when Ray has declared the node dead: after five missed checks, some of which time out."""
        _ip("link", "set", f"v{node}", "down")
        _wait(
            lambda: count_nodes(self.address) <= len(self.nodes),
            f"node {node} to be missed",
            _MISSED_WITHIN_S,
            every_s=5.0,
        )

    def join(self, node: int) -> None:
        """The raylet learns that it was declared dead, and ends itself and what it runs."""
        _ip("link", "set", f"v{node}", "up")
        _ip("route", "replace", _ip_of(node), "dev", f"v{node}", "src", HUB_IP)

    def start_node(self, node: int, kind: NodeKind) -> None:
        """Starts the node's raylet; one that was there before has some time to end itself."""
        if node in self.raylets:
            with suppress(subprocess.TimeoutExpired):  # it hears of its end when TCP tries again, a minute later or two
                self.raylets[node].wait(_ENDS_ITSELF_WITHIN_S)
            _end_rays_own(_name(node))
        words = ["start", f"--address={self.address}", f"--node-ip-address={_ip_of(node)}", "--block"]
        words += [f"--num-cpus={kind.cpus}", f"--num-gpus={kind.gpus}"]
        words += [f"--labels={ACCELERATOR_LABEL}={kind.accelerator}"] if kind.accelerator else []
        self.raylets[node] = self._ray(_name(node), words)

    def placement_groups(self) -> int:
        return count_placement_groups(self.address)

    def _start_head(self) -> None:
        head = ["start", "--head", f"--port={_PORT}", f"--node-ip-address={HUB_IP}", "--block", "--num-cpus=0"]
        self._ray(None, [*head, "--num-gpus=0", "--include-dashboard=false", f"--temp-dir={self.folder}"])

    def _ray(self, namespace: str | None, words: Sequence[str]) -> subprocess.Popen[bytes]:
        inside = [] if namespace is None else ["ip", "netns", "exec", namespace]
        environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
        memory = f"--object-store-memory={_OBJECT_STORE_BYTES}"
        with (self.folder / "ray.log").open("ab") as log:
            command = [*inside, _RAY, *words, memory]
            self.processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
        return self.processes[-1]


@contextmanager
def namespaces(count: int) -> Iterator[str]:
    """The hub's name; its nodes are joined to it. All are removed with the context."""
    hub = f"at{os.getpid()}"
    with ExitStack() as held:
        _add(held, hub)
        subprocess.run(["ip", "-n", hub, "addr", "add", f"{HUB_IP}/32", "dev", "lo"], check=True)
        for node in range(count):
            name = f"{hub}n{node}"
            _add(held, name)
            peer = ["type", "veth", "peer", "name", "eth0", "netns", name]
            for words in (
                [hub, "link", "add", f"v{node}", *peer],
                [hub, "link", "set", f"v{node}", "up"],
                [name, "addr", "add", f"{_ip_of(node)}/32", "dev", "eth0"],
                [name, "link", "set", "eth0", "up"],
                [hub, "route", "add", _ip_of(node), "dev", f"v{node}", "src", HUB_IP],
                [name, "route", "add", "198.18.0.0/24", "dev", "eth0", "src", _ip_of(node)],
            ):
                subprocess.run(["ip", "-n", *words], check=True)
        yield hub


@contextmanager
def namespaced_raylets(kinds: Sequence[NodeKind]) -> Iterator[NamespacedRaylets]:
    """Starts head and nodes; called inside the hub that ``namespaces`` made for as many nodes."""
    os.environ["RAY_AUTH_MODE"] = "disabled"  # a machine's own token would be asked for, or not, by each process
    with tempfile.TemporaryDirectory(prefix="ray-ns-", dir="/tmp") as folder:  # sockets' names are short
        running = NamespacedRaylets(_here(), Path(folder))
        try:
            running._start_head()
            _wait(_head_is_up, "Ray's head to come up")
            for node, kind in enumerate(kinds):  # several at once would choose the same names for their sockets
                running.start_node(node, kind)
                running.nodes.append(node)
                _wait(lambda: count_nodes(running.address) > len(running.nodes), f"node {node} to join")
            yield running
        finally:
            for process in reversed(running.processes):
                process.terminate()
            for process in running.processes:
                process.wait(60)


def _end_rays_own(namespace: str) -> None:
    """kill -9 of a raylet and of what it leaves when it ends; workers and what they run must end by themselves."""
    pids = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=True).stdout
    for pid in map(int, pids.split()):
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if {Path(word).name for word in process.cmdline()} & _RAYS_OWN:
                process.kill()


def _add(held: ExitStack, name: str) -> None:
    subprocess.run(["ip", "netns", "add", name], check=True)
    held.callback(subprocess.run, ["ip", "netns", "del", name], check=False)
    subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)


def _here() -> str:
    found = subprocess.run(["ip", "netns", "identify"], capture_output=True, text=True, check=True)
    return found.stdout.strip()


def _name(node: int) -> str:
    return f"{_here()}n{node}"


def _ip_of(node: int) -> str:
    return f"198.18.0.{10 + node}"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def _head_is_up() -> bool:
    command = [_RAY, "health-check", f"--address={HUB_IP}:{_PORT}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _wait(condition: Callable[[], bool], what: str, within_s: float = _UP_WITHIN_S, every_s: float = 0.5) -> None:
    ends_at = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > ends_at:
            raise TimeoutError(f"waited {within_s:g} s for {what}")
        time.sleep(every_s)
