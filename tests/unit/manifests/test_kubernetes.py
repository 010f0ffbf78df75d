"""Kubernetes objects: on which nodes, with which memory and image, where the weights are."""

from __future__ import annotations

from typing import Any

import pytest

from autotuner.engines.checks.images import version_of_image
from autotuner.engines.deployment import Mount
from autotuner.errors import InputError
from autotuner.manifests import render
from autotuner.manifests.images import tag_of
from tests.unit.manifests.test_render import HOSTILE, context, deployment, kubernetes_objects, one


def pod(made: Any, **changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = kubernetes_objects(one("kubernetes", made, context(**changes)))["Deployment"]["spec"][
        "template"
    ]["spec"]
    return found


def test_a_pod_goes_to_nodes_of_the_type_that_was_measured() -> None:
    found = pod(deployment(gpus=2), gpu_products=("NVIDIA H100 80GB HBM3",))
    assert found["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
    assert "affinity" not in found


def test_a_type_with_several_names_is_any_of_them() -> None:
    found = pod(deployment(gpus=1), gpu_products=("NVIDIA A100-SXM4-80GB", "NVIDIA A100 80GB PCIe"))
    assert "nodeSelector" not in found
    [term] = found["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    values = ["NVIDIA-A100-SXM4-80GB", "NVIDIA-A100-80GB-PCIe"]
    assert term["matchExpressions"] == [{"key": "nvidia.com/gpu.product", "operator": "In", "values": values}]


def test_without_gpus_any_node_will_do() -> None:
    found = pod(deployment(), gpu_products=("NVIDIA L4",))
    assert not {"nodeSelector", "affinity"} & set(found)
    assert "not known: choose nodes" in one("kubernetes", deployment(gpus=1))
    assert "not known: choose nodes" not in one("kubernetes", deployment())


def test_memory_is_requested_where_it_is_known() -> None:
    resources = pod(deployment(cpus=4), memory_gib=21)["containers"][0]["resources"]
    assert resources == {"requests": {"cpu": "4", "memory": "21Gi"}}
    unknown = one("kubernetes", deployment(cpus=4))
    assert "set resources.requests.memory" in unknown


def test_gpus_servers_have_shared_memory_for_their_processes() -> None:
    found = pod(deployment(gpus=2), shm_gib=8)
    assert {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}} in found["volumes"]
    assert {"name": "shm", "mountPath": "/dev/shm"} in found["containers"][0]["volumeMounts"]
    assert "volumes" not in pod(deployment(model="org/model"))


def test_all_objects_are_in_the_namespace() -> None:
    made = deployment("{files}/a", files={"a": "x"}, gpus=1)
    objects = kubernetes_objects(one("kubernetes", made, context(namespace="llm-serving")))
    assert {kind: found["metadata"]["namespace"] for kind, found in objects.items()} == {
        "ConfigMap": "llm-serving",
        "Deployment": "llm-serving",
        "Service": "llm-serving",
    }
    assert all("namespace" not in found["metadata"] for found in kubernetes_objects(one("kubernetes", made)).values())


def test_a_local_model_comes_from_the_claim_under_its_own_name() -> None:
    made = deployment("--model", "/data/models/llama", model="/data/models/llama")
    found = pod(made, claim="weights.v1")
    assert found["volumes"] == [{"name": "weights", "persistentVolumeClaim": {"claimName": "weights.v1"}}]
    [mount] = found["containers"][0]["volumeMounts"]
    assert mount == {"name": "weights", "mountPath": "/data/models/llama", "subPath": "llama", "readOnly": True}
    text = one("kubernetes", made, context(claim="weights.v1"))
    assert "PersistentVolumeClaim weights.v1 must hold llama, which is mounted at /data/models/llama" in text


def test_the_claim_takes_the_place_of_the_mount_that_has_the_model_alone() -> None:
    mounts = (Mount("/srv/models", "/models", read_only=False), Mount("/etc/certs", "/certs"))
    found = pod(deployment(model="/models/x/tiny.gguf", mounts=mounts), claim="weights")
    sources = [volume.get("hostPath", volume.get("persistentVolumeClaim")) for volume in found["volumes"]]
    assert sources == [{"path": "/etc/certs"}, {"claimName": "weights"}]
    by_path = {mount["mountPath"]: mount for mount in found["containers"][0]["volumeMounts"]}
    assert by_path["/models"] == {"name": "weights", "mountPath": "/models", "subPath": "models", "readOnly": False}


@pytest.mark.parametrize(("env", "folder"), [({}, "/weights"), ({"HF_HOME": "/cache"}, "/cache")])
def test_a_hubs_model_is_fetched_into_the_claim(env: dict[str, str], folder: str) -> None:
    found = pod(deployment(model="org/model", env=env), claim="weights")
    [container] = found["containers"]
    assert container["env"] == [{"name": "HF_HOME", "value": folder}]
    assert container["volumeMounts"] == [{"name": "weights", "mountPath": folder, "readOnly": False}]


@pytest.mark.parametrize("text", [text for text in HOSTILE if text not in ("plain", "yes", "null", "1e3", "0o17")])
def test_a_namespace_or_claim_that_kubernetes_would_not_take_is_refused(text: str) -> None:
    for key, changes in (("namespace", {"namespace": text}), ("pvc", {"claim": text})):
        with pytest.raises(InputError) as caught:
            render("kubernetes", deployment(image="i:1"), context(**changes))
        assert (caught.value.key, caught.value.value) == (key, text)
    with pytest.raises(InputError, match="namespace"):
        render("kubernetes", deployment(image="i:1"), context(namespace="a.b"))


@pytest.mark.parametrize("text", ["yes", "null", "1e3", "0o17"])
def test_a_name_that_yaml_would_read_as_something_else_stays_a_name(text: str) -> None:
    made = deployment(model="org/m", image="i:1")
    objects = kubernetes_objects(one("kubernetes", made, context(namespace=text, claim=text)))
    assert objects["Deployment"]["metadata"]["namespace"] == text


# ── images ────────────────────────────────────────────────────────────────────────────────────


def image(engine: str, measured: str, *, named: str | None = None, gpus: int = 1, override: str | None = None) -> str:
    made = deployment(engine=engine, engine_version="1.2.3", gpus=gpus, image=named)
    found = pod(made, engine_version=measured, image=override)["containers"][0]["image"]
    return str(found)


@pytest.mark.parametrize(
    ("engine", "measured", "gpus", "expected"),
    [
        ("vllm", "0.27.1", 1, "vllm/vllm-openai:v0.27.1"),
        ("vllm", "0.32.0+cpu", 0, "public.ecr.aws/q9t5s3a7/vllm-cpu-release-repo:v0.32.0"),
        ("sglang", "0.5.23.post1", 1, "lmsysorg/sglang:v0.5.23.post1"),
        ("trtllm", "1.3.0rc20", 1, "nvcr.io/nvidia/tensorrt-llm/release:1.3.0rc20"),
        ("llama.cpp", "b11549-9a1c3f0", 0, "ghcr.io/ggml-org/llama.cpp:server-b11549"),
        ("llamacpp", "xllamacpp-2026.10.11549", 1, "ghcr.io/ggml-org/llama.cpp:server-cuda-b11549"),
        ("vllm", "", 1, "vllm/vllm-openai:v1.2.3"),
        ("vllm", "0.27.1.dev12+g57e9301", 1, "vllm/vllm-openai:v1.2.3"),
    ],
)
def test_the_usual_image_is_of_the_version_that_was_measured(
    engine: str, measured: str, gpus: int, expected: str
) -> None:
    assert image(engine, measured, gpus=gpus) == expected


@pytest.mark.parametrize(("measured", "said"), [("", "did not say its version"), ("mock", "said 'mock'")])
def test_that_the_measured_version_is_not_known_is_told(measured: str, said: str) -> None:
    text = one("kubernetes", deployment(engine="vllm"), context(engine_version=measured))
    assert f"The server that was measured {said}" in text


@pytest.mark.parametrize("tag", ["vllm/vllm-openai:latest", "vllm/vllm-openai"])
def test_a_floating_tag_is_pinned_to_what_was_measured(tag: str) -> None:
    assert image("vllm", "0.27.1", named=tag) == "vllm/vllm-openai:v0.27.1"
    assert image("vllm", "0.27.1", override=tag) == "vllm/vllm-openai:v0.27.1"


@pytest.mark.parametrize("target", ["compose", "kubernetes"])
@pytest.mark.parametrize("named", ["my.registry:5000/vllm", "my.registry:5000/vllm:latest"])
def test_a_floating_tag_of_which_nothing_is_known_is_refused(target: str, named: str) -> None:
    made = deployment(engine="vllm", image=named)
    with pytest.raises(InputError, match="name it with a tag or digest") as caught:
        render(target, made, context(engine_version="0.27.1"))
    assert (caught.value.key, caught.value.value) == ("image", named)
    assert "mine:1" in one(target, made, context(engine_version="0.27.1", image="mine:1"))


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("a/b:1", "1"),
        ("a/b", ""),
        ("host:5000/b", ""),
        ("host:5000/b:latest", "latest"),
        ("a/b@sha256:0f", "sha256:0f"),
        ("a/b:latest@sha256:0f", "sha256:0f"),
    ],
)
def test_what_pins_an_image(name: str, tag: str) -> None:
    assert tag_of(name) == tag


@pytest.mark.parametrize(
    ("engine", "said", "version"),
    [
        ("llamacpp", "11549", "b11549"),
        ("llamacpp", "b11549", "b11549"),
        ("llamacpp", "mock", None),
        ("llamacpp", "", None),
        ("vllm", "v0.27.0", "0.27.0"),
        ("sglang", "latest", None),
    ],
)
def test_versions_in_the_words_of_image_tags(engine: str, said: str, version: str | None) -> None:
    assert version_of_image(engine, said) == version
