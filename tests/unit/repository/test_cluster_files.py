"""The files of cluster/: each is what its reader expects, and tells GPU types by names that are known."""

from __future__ import annotations

import copy
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from autotuner.servers.machine.node_label import ACCELERATOR_LABEL
from autotuner.study.hardware_profiles import find_profile, hardware_profiles, profile_of_device

CLUSTER = Path(__file__).parents[3] / "cluster"
RAY_UP = sorted((CLUSTER / "ray-up").glob("*.yaml"))
KUBERAY = sorted((CLUSTER / "kuberay").glob("*.yaml"))
LOCAL = CLUSTER / "local" / "ray-local"
SLURM = CLUSTER / "slurm" / "autotuner.sbatch"
KNOWN = {profile.name for profile in hardware_profiles()}
IMAGES = "your-registry.example/"
_NEEDED_FOR_NODES = {"aws": "boto3", "gcp": "google-api-python-client"}  # by Ray, to start them


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_there_are_files_for_each_way_to_a_cluster() -> None:
    assert [path.stem for path in RAY_UP] == ["aws", "gcp", "on-premises"]
    assert [path.stem for path in KUBERAY] == ["raycluster", "rayjob"]


# ── ray up ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", RAY_UP, ids=lambda path: path.stem)
def test_ray_up_files_meet_rays_own_schema(path: Path) -> None:
    config = prepare_config(load(path))
    validate_config(config)
    with pytest.raises(Exception, match="surprise"):
        validate_config({**config, "surprise": 1})


@pytest.mark.parametrize("path", RAY_UP, ids=lambda path: path.stem)
def test_ray_up_installs_all_into_the_environment_that_ray_is_started_from(path: Path) -> None:
    config = prepare_config(load(path))  # what a file leaves out, Ray fills in: into the machine's own Python
    setup = [*config["head_setup_commands"], *config["worker_setup_commands"]]
    installs = [line for line in setup if "pip install" in line and not line.endswith("install uv)")]
    assert installs
    assert all("--python ~/autotuner/bin/python" in line for line in installs)
    assert any("autotuner-llm" in line for line in config["worker_setup_commands"])
    needed = _NEEDED_FOR_NODES.get(config["provider"]["type"])
    assert needed is None or any(needed in line for line in config["head_setup_commands"])
    assert any("PATH=~/autotuner/bin:" in line for line in setup)


@pytest.mark.parametrize("path", RAY_UP, ids=lambda path: path.stem)
def test_ray_up_starts_the_head_without_gpus_and_workers_with_their_label(path: Path) -> None:
    config = load(path)
    [_, head] = config["head_start_ray_commands"]
    assert {"--num-gpus=0", "--num-cpus=0", "--autoscaling-config=~/ray_bootstrap_config.yaml"} <= set(head.split())
    [_, worker] = config["worker_start_ray_commands"]
    assert "labels=$(autotuner labels) && " in worker
    assert '--labels="$labels"' in worker


@pytest.mark.parametrize("path", RAY_UP, ids=lambda path: path.stem)
def test_ray_up_nodes_are_all_there_when_a_study_starts(path: Path) -> None:
    config = load(path)
    if config["provider"]["type"] == "local":
        workers = len(config["provider"]["worker_ips"])
        assert (config["min_workers"], config["max_workers"]) == (workers, workers)
        return
    kinds = dict(config["available_node_types"])
    assert kinds.pop(config["head_node_type"])["resources"] == {"CPU": 0, "GPU": 0}
    assert len(kinds) >= 3
    for kind in kinds.values():
        assert kind["labels"].keys() == {ACCELERATOR_LABEL}
        assert kind["labels"][ACCELERATOR_LABEL] in KNOWN
        assert kind["resources"]["GPU"] >= 1
        assert kind["min_workers"] == kind["max_workers"] >= 1
    assert config["max_workers"] == sum(kind["max_workers"] for kind in kinds.values())


# ── KubeRay ───────────────────────────────────────────────────────────────────────────────────


def kuberay_schema() -> Any:
    return load(Path(__file__).with_name("cluster_schemas") / "kuberay-1.5.yaml")


def cluster_spec(document: Any) -> Any:
    return document["spec"].get("rayClusterSpec", document["spec"])


@pytest.mark.parametrize("path", KUBERAY, ids=lambda path: path.stem)
def test_kuberay_takes_the_files(path: Path) -> None:
    document = load(path)
    jsonschema.Draft202012Validator.check_schema(kuberay_schema())
    jsonschema.validate(document, kuberay_schema())
    spoilt = copy.deepcopy(document)
    cluster_spec(spoilt)["workerGroupSpecs"][0]["rayStartParams"]["labels"] = "autotuner/accelerator=H100-80GB"
    with pytest.raises(jsonschema.ValidationError):  # as KubeRay does
        jsonschema.validate(spoilt, kuberay_schema())


@pytest.mark.parametrize("path", KUBERAY, ids=lambda path: path.stem)
def test_kuberay_pods_are_pods(path: Path) -> None:
    spec = cluster_spec(load(path))
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": group["template"]["spec"]}
        kubernetes_validate.validate(pod, "1.31", strict=True)
        [container] = group["template"]["spec"]["containers"]
        assert container["image"].startswith(IMAGES), "the engine is in an image of the user's own"


@pytest.mark.parametrize("path", KUBERAY, ids=lambda path: path.stem)
def test_kuberay_workers_reserve_the_gpus_that_ray_is_told_of_and_bear_their_type(path: Path) -> None:
    spec = cluster_spec(load(path))
    head = spec["headGroupSpec"]
    assert head["rayStartParams"]["num-gpus"] == "0"
    assert "nvidia.com/gpu" not in head["template"]["spec"]["containers"][0]["resources"]["limits"]
    types = set()
    for group in spec["workerGroupSpecs"]:
        pod = group["template"]["spec"]
        assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == group["rayStartParams"]["num-gpus"]
        name = group["labels"][ACCELERATOR_LABEL]
        # The product's label on Kubernetes nodes is NVML's name with dashes; the node must have what Ray is told.
        profile = profile_of_device(pod["nodeSelector"]["nvidia.com/gpu.product"].replace("-", " "))
        product = find_profile(pod["nodeSelector"]["nvidia.com/gpu.product"]) if profile is None else profile
        assert product.name == name
        types.add(name)
    assert len(types) == len(spec["workerGroupSpecs"]) >= 3


def test_the_job_runs_on_the_cluster_of_the_other_file() -> None:
    cluster, job = (load(path) for path in KUBERAY)
    assert job["spec"]["rayClusterSpec"] == cluster["spec"]
    assert job["spec"]["entrypoint"].startswith("autotuner run /data/")


# ── scripts ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", [LOCAL, SLURM], ids=lambda path: path.name)
def test_scripts_are_sound(path: Path) -> None:
    subprocess.run(["bash", "-n", str(path)], check=True)
    checked = subprocess.run(["shellcheck", str(path)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
