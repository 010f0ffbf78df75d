"""A Ray cluster of one node, of a test's own: on its own ports, with a token, and ended without a trace."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autotuner.servers.machine.ports import lease_port
from tests.e2e.studies import AUTOTUNER, Workplace, wait_until

RAY = str(Path(sys.executable).with_name("ray"))


@dataclass(frozen=True)
class Head:
    """A Ray cluster of one node with two CPUs.

    It has a token of its own, which it asks everybody for: whether Ray does so by itself depends on the machine.
    """

    place: Workplace
    address: str
    dashboard: str
    metrics: str
    token: str = field(repr=False)

    @property
    def variables(self) -> dict[str, str]:
        """What a client of this cluster needs in its environment."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """``autotuner ARGUMENTS --address …`` on this cluster."""
        return self.place.run(*arguments, "--address", self.address, timeout_s=600, **self.variables)

    def ray(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [RAY, *arguments],
            env={**self.place.environment, **self.variables},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def job(self, verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.ray("job", verb, "--address", self.dashboard, *arguments)

    def submit(self, job: str, *arguments: str | Path, wait: bool = True) -> subprocess.CompletedProcess[str]:
        """``autotuner ARGUMENTS`` as a Ray job; the interpreter's path is absolute, for the head has its own."""
        options = ["--submission-id", job, *([] if wait else ["--no-wait"])]
        return self.job("submit", *options, "--", *AUTOTUNER, *map(str, arguments))

    def listed(self, kind: str) -> list[dict[str, Any]]:
        """What the cluster's state API tells of ``actors``, ``placement_groups`` or ``nodes``."""
        url = f"{self.dashboard}/api/v0/{kind}?limit=1000"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]["result"]
        return found

    def is_up(self) -> bool:
        try:
            return [node["state"] for node in self.listed("nodes")] == ["ALIVE"]
        except OSError:
            return False

    def is_idle(self) -> bool:
        actors = [actor for actor in self.listed("actors") if actor["state"] != "DEAD"]
        groups = [group for group in self.listed("placement_groups") if group["state"] != "REMOVED"]
        return not actors and not groups


@contextmanager
def ray_head(place: Workplace, **variables: str) -> Iterator[Head]:
    """Starts Ray's processes on ports of their own, and ends these alone: ``ray stop`` would end everybody's.

    ``variables`` are set in the node's environment.
    """
    names = ("port", "dashboard-port", "dashboard-agent-listen-port", "ray-client-server-port", "metrics-export-port")
    leases = [lease_port("127.0.0.1") for _ in names]
    ports = {name: lease.port for name, lease in zip(names, leases, strict=True)}
    options = [f"--{name}={port}" for name, port in ports.items()]
    here = ["--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", "--num-cpus=2", "--include-dashboard=true"]
    dashboard = f"http://127.0.0.1:{ports['dashboard-port']}"
    metrics = f"http://127.0.0.1:{ports['metrics-export-port']}/metrics"
    running = Head(place, f"127.0.0.1:{ports['port']}", dashboard, metrics, secrets.token_hex(32))
    with (place.folder / "head.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [RAY, "start", "--head", "--block", "--disable-usage-stats", *here, *options],
            env={**place.environment, **running.variables, **variables, "RAY_process_group_cleanup_enabled": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_until(running.is_up, "the Ray head to answer")
        yield running
    finally:
        place.look()
        process.terminate()
        process.wait(60)
        for lease in leases:
            lease.close()
