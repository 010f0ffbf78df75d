"""The files of cluster/: each is what its reader expects, and tells GPU types by names that are known."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from autotuner.servers.node_label import ACCELERATOR_LABEL
from autotuner.study.hardware_profiles import hardware_profiles

CLUSTER = Path(__file__).parents[2] / "cluster"
RAY_UP = sorted((CLUSTER / "ray-up").glob("*.yaml"))
KUBERAY = sorted((CLUSTER / "kuberay").glob("*.yaml"))
SCRIPTS = [CLUSTER / "local" / "ray-local", CLUSTER / "slurm" / "autotuner.sbatch"]
KNOWN = {profile.name for profile in hardware_profiles()}


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", RAY_UP, ids=lambda path: path.stem)
def test_ray_up_files_meet_rays_own_schema(path: Path) -> None:
    config = prepare_config(load(path))
    validate_config(config)
    with pytest.raises(Exception, match="surprise"):
        validate_config({**config, "surprise": 1})


@pytest.mark.parametrize("path", RAY_UP, ids=lambda path: path.stem)
def test_ray_up_workers_say_their_gpu_type(path: Path) -> None:
    config = load(path)
    assert any('--labels="$(~/autotuner/bin/autotuner labels)"' in line for line in config["worker_start_ray_commands"])
    for name, kind in config.get("available_node_types", {}).items():
        if "GPU" in kind["resources"]:
            assert kind["labels"][ACCELERATOR_LABEL] in KNOWN, name
            assert kind["min_workers"] >= 1, "a study sees only nodes that are there"


def cluster_spec(path: Path) -> dict[str, Any]:
    document = load(path)
    assert document["apiVersion"] == "ray.io/v1"
    spec: dict[str, Any] = document["spec"]
    if document["kind"] == "RayJob":
        assert spec["entrypoint"].startswith("autotuner run ")
        spec = spec["rayClusterSpec"]
    else:
        assert document["kind"] == "RayCluster"
    return spec


@pytest.mark.parametrize("path", KUBERAY, ids=lambda path: path.stem)
def test_kuberay_pods_are_pods_and_reserve_the_gpus_that_ray_is_told_of(path: Path) -> None:
    spec = cluster_spec(path)
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    for group in groups:
        assert all(isinstance(value, str) for value in group["rayStartParams"].values()), "KubeRay takes texts"
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": group["template"]["spec"]}
        kubernetes_validate.validate(pod, "1.30", strict=True)
    for group in spec["workerGroupSpecs"]:
        assert {"groupName", "replicas", "minReplicas", "maxReplicas"} <= group.keys()
        [container] = group["template"]["spec"]["containers"]
        params = group["rayStartParams"]
        assert container["resources"]["limits"]["nvidia.com/gpu"] == params["num-gpus"]
        key, _, value = params["labels"].partition("=")
        assert (key, value in KNOWN) == (ACCELERATOR_LABEL, True)
    assert spec["headGroupSpec"]["rayStartParams"]["num-gpus"] == "0"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_sound(path: Path) -> None:
    checked = subprocess.run(["shellcheck", str(path)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    subprocess.run(["bash", "-n", str(path)], check=True)


def test_the_local_cluster_says_how_it_is_used() -> None:
    told = subprocess.run(["bash", str(SCRIPTS[0])], capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert "ray-local up" in told.stdout
    types = re.findall(r"\d+x([\w-]+)", told.stdout)
    assert set(types) <= KNOWN
