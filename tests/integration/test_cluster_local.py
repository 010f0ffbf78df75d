"""The cluster of cluster/local: nodes with logical GPUs in one command, and gone in another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil

from tests.e2e.studies import wait_until

SCRIPT = Path(__file__).parents[2] / "cluster" / "local" / "ray-local"
_NODES = """
import json, sys, ray
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
print(json.dumps([[n["Labels"].get("autotuner/accelerator"), n["Resources"].get("GPU")] for n in ray.nodes()]))
"""


def test_a_cluster_comes_up_in_one_command_and_goes_in_another(tmp_path: Path) -> None:
    folder = Path("/tmp") / f"rl-{os.getpid()}"  # sockets' names are short
    environment = {
        **os.environ,
        "RAY": str(Path(sys.executable).with_name("ray")),
        "RAY_LOCAL_DIR": str(folder),
        "RAY_AUTH_MODE": "disabled",
    }

    def local(*words: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", str(SCRIPT), *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)

    try:
        up = local("up", "--cpus", "4", "2xH100-80GB", "1xL40S-48GB")
        assert up.returncode == 0, up.stderr
        address = up.stdout.splitlines()[0].removeprefix("export RAY_ADDRESS=")
        asked = [sys.executable, "-c", _NODES, address]
        answer = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=120, check=True)
        found = json.loads(answer.stdout.splitlines()[-1])
        assert sorted(found, key=str) == sorted([["H100-80GB", 2.0], ["L40S-48GB", 1.0], [None, None]], key=str)
        assert local("up").returncode == 2, "one at a time in a folder"
        groups = (folder / "groups").read_text(encoding="ascii").splitlines()
        started = [psutil.Process(int(line.split()[0])) for line in groups]
    finally:
        down = local("down")
    assert down.returncode == 0, down.stderr
    wait_until(lambda: not any(process.is_running() for process in started), "its processes to end", 30)
    assert not folder.exists()
