"""Docker studies: words of docker run, images, mounts; told before anything is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import autotuner as at
from autotuner.engines import Deployment, Mount, one_engine
from autotuner.errors import StudyError
from autotuner.space import Config
from autotuner.study import docker_words
from autotuner.study.model import Study

IMAGE = "vllm/vllm-openai:v0.27.0"
LORA = {"workload": {"scenario": "D(8,8)", "lora": {"adapters": {"a": "/adapters/a", "b": "org/b"}}}}


def keys(**changes: Any) -> dict[str, Any]:
    study = {
        "model": {"id": "/models/llama"},
        "engine": {"name": "vllm", "image": IMAGE},
        "launcher": {"kind": "docker"},
        "hardware": {"accelerators": ["H100-80GB", "L40S-48GB"]},
        "workload": {"scenario": "D(8,8)"},
    }
    return {**study, **changes}


def deployment(config: dict[str, Any] | None = None, **changes: Any) -> Deployment:
    engine, own_study, own_config = one_engine(Study.model_validate(keys(**changes)), Config(config or {}))
    return engine.deployment(own_study, own_config)


def refused(tmp_path: Path, **changes: Any) -> StudyError:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(keys(**{"model": {"id": "org/llama"}, **changes})))
    with pytest.raises(StudyError) as caught:
        at.check(at.load_study(path))
    return caught.value


def test_words_of_docker_run_become_arguments_of_its_sdk() -> None:
    words = ["--ulimit", "memlock=-1", "--ulimit=nofile=1024:2048", "--cap-add", "SYS_NICE", "--cpus", "1.5"]
    assert docker_words.read([*words, "--privileged", "--user", "1000:1000"]) == {
        "ulimits": [{"Name": "memlock", "Soft": -1, "Hard": -1}, {"Name": "nofile", "Soft": 1024, "Hard": 2048}],
        "cap_add": ["SYS_NICE"],
        "nano_cpus": 1_500_000_000,
        "privileged": True,
        "user": "1000:1000",
    }
    assert docker_words.read([]) == {}


@pytest.mark.parametrize(
    ("words", "said", "nearest"),
    [
        (["--ulimits", "memlock=-1"], "--ulimits", "--ulimit"),
        (["--xyzzy", "1"], "--xyzzy", None),
        (["--ulimit", "memlock=much"], "'memlock=much' is not NAME=SOFT[:HARD]", None),
        (["--cpus", "few"], "'few' is not a number of cores", None),
        (["--cap-add"], "expected one argument", None),
        (["ubuntu"], "unrecognized arguments: ubuntu", None),
    ],
)
def test_words_that_are_not_taken_are_refused(words: list[str], said: str, nearest: str | None, tmp_path: Path) -> None:
    error = refused(tmp_path, launcher={"kind": "docker", "extra_args": words})
    assert error.key == "launcher.extra_args"
    assert said in error.message
    assert error.nearest == nearest


def test_an_image_is_needed_and_the_usual_one_named(tmp_path: Path) -> None:
    error = refused(tmp_path, engine={"name": "vllm", "version": "0.27.0"})
    assert (error.key, error.nearest) == ("engine.image", IMAGE)
    llama = {"name": "llamacpp"}
    error = refused(tmp_path, engine=llama, model={"id": str(tmp_path / "m.gguf")}, hardware={})
    assert error.nearest == "ghcr.io/ggml-org/llama.cpp:server-b11549"
    assert "/app/llama-server" in error.message


def test_each_engine_of_several_needs_its_image(tmp_path: Path) -> None:
    engine = {"name": ["vllm", "sglang"], "per_engine": {"vllm": {"image": IMAGE}}}
    assert refused(tmp_path, engine=engine).key == "engine.per_engine.sglang.image"


@pytest.mark.parametrize("name", ["Bad Name", "UPPER", "a//b", "a:b:c", ""])
def test_what_is_no_name_of_an_image_is_refused(name: str, tmp_path: Path) -> None:
    assert refused(tmp_path, engine={"name": "vllm", "image": name}).key == "engine.image"


@pytest.mark.parametrize("name", [IMAGE, "a", "localhost:5000/a/b_c:1.0-x", f"a/b@sha256:{'0' * 64}"])
def test_names_of_images_are_taken(name: str) -> None:
    assert deployment(engine={"name": "vllm", "image": name}).image == name


def test_an_image_for_each_gpu_type(tmp_path: Path) -> None:
    images = {"H100-80GB": "vllm:hopper", "L40S-48GB": "vllm:ada"}
    engine = {"name": "vllm", "image": images}
    for accelerator, image in images.items():
        assert deployment({"accelerator": accelerator}, engine=engine).image == image
    error = refused(tmp_path, engine={"name": "vllm", "image": {"H100-80GB": "vllm:hopper"}})
    assert "L40S-48GB" in error.message
    error = refused(tmp_path, engine={"name": "vllm", "image": {**images, "L40-48GB": "vllm:other"}})
    assert (error.key, error.nearest) == ("engine.image.L40-48GB", "L40S-48GB")


def test_the_model_adapters_and_what_the_study_names_are_mounted() -> None:
    mounts = ["/data:/data", "/cache:/root/.cache:rw", "/etc/ssl:/etc/ssl:ro"]
    found = deployment(launcher={"kind": "docker", "mounts": mounts}, **LORA).mounts
    assert found == (
        Mount("/models/llama", "/models/llama"),
        Mount("/adapters/a", "/adapters/a"),
        Mount("/data", "/data"),
        Mount("/cache", "/root/.cache", read_only=False),
        Mount("/etc/ssl", "/etc/ssl"),
    )
    assert deployment(launcher={"kind": "process"}).mounts == ()
