"""``cluster/local/ray-local`` in a folder of a test's own."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

SCRIPT = Path(__file__).parents[1] / "cluster" / "local" / "ray-local"


@dataclass
class LocalCluster:
    """``exports``: what a shell takes over of the cluster that is up. ``dashboard``: its address, where it has one."""

    environment: dict[str, str]
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="rl-", dir="/tmp")) / "up")  # short names
    exports: dict[str, str] = field(default_factory=dict)
    dashboard: str = ""

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        ray = str(Path(sys.executable).with_name("ray"))
        environment = {**self.environment, "RAY": ray, "RAY_LOCAL_DIR": str(self.folder)}
        command = ["bash", str(SCRIPT), *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)

    def up(self, *nodes: str) -> None:
        started = self("up", *nodes)
        assert started.returncode == 0, started.stderr
        words = [word for line in started.stdout.splitlines() for word in shlex.split(line, comments=True)]
        self.exports = dict(word.split("=", 1) for word in words if "=" in word)
        self.dashboard = next((word for word in started.stdout.split() if word.startswith("http://")), "")

    @property
    def address(self) -> str:
        return self.exports["RAY_ADDRESS"]

    def groups(self) -> list[int]:
        """The process group of each node."""
        lines = (self.folder / "groups").read_text(encoding="ascii").splitlines()
        return [int(line.split()[0]) for line in lines]

    def processes(self) -> list[psutil.Process]:
        """All that its nodes have started."""
        nodes = [psutil.Process(pid) for pid in self.groups()]
        return [*nodes, *(child for node in nodes for child in node.children(recursive=True))]


@contextmanager
def local_cluster(environment: Mapping[str, str]) -> Iterator[LocalCluster]:
    """None is up at first; whatever is up at the end is ended."""
    cluster = LocalCluster({name: value for name, value in environment.items() if not name.startswith("RAY_")})
    try:
        yield cluster
    finally:
        cluster("down")
        shutil.rmtree(cluster.folder.parent, ignore_errors=True)
