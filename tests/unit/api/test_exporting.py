"""What of a study gets into its deployment files: the GPUs, the version and the memory that were measured."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from autotuner.api.exporting import export_configs
from autotuner.api.result import Result, _write_deployment_files
from autotuner.cli.commands.ending import tell_ending
from autotuner.errors import InputError
from autotuner.manifests import ExportOptions
from autotuner.models.facts import ModelFacts
from autotuner.results import OutputFolder, StudyResults
from autotuner.study.known_models import KnownModels
from tests.known_results import Known

GIB = 1024**3
FIGURES = {1.0: {"ttft_p90_ms": 10.0}, 2.0: {"ttft_p90_ms": 20.0}}


def results(
    folder: Path, *, facts: ModelFacts | None = None, config: dict[str, Any] | None = None, **record: Any
) -> StudyResults:
    """A study of one measured trial; ``record`` is laid over its row, what is in ``keys`` over the study."""
    known = Known(keys=record.pop("keys", {}))
    known.trial("0000", FIGURES, FIGURES, config=config, **record)
    OutputFolder(folder).keep_models(KnownModels(facts))
    OutputFolder(folder).database.touch()
    return dataclasses.replace(known.results(), path=folder)


def on_gpus(engine: str = "vllm", **more: Any) -> dict[str, Any]:
    return {
        "model": {"id": "org/model"},
        "engine": {"name": engine, "version": "0.27.0"},
        "space": {"parameters": {"max-num-seqs": [32, 64]}},
        **more,
    }


def pod(found: StudyResults, out: Path, **options: Any) -> dict[str, Any]:
    [path] = export_configs(found, "kubernetes", out, options=ExportOptions(**options))
    deployment = next(o for o in yaml.safe_load_all(path.read_text()) if o["kind"] == "Deployment")
    spec: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return spec


def test_the_nodes_are_of_the_type_that_the_best_ran_on(tmp_path: Path) -> None:
    keys = on_gpus(hardware={"accelerators": ["H100-80GB", "L40S-48GB"]})
    config = {"accelerator": "L40S-48GB", "tp": 2}
    found = pod(results(tmp_path, keys=keys, config=config, accelerator="L40S-48GB"), tmp_path / "out")
    assert found["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-L40S"}
    [container] = found["containers"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "2"}
    assert container["resources"]["requests"]["memory"] == "12Gi"


@pytest.mark.parametrize(
    ("types", "told", "label"),
    [
        (["H100-80GB"], "", "NVIDIA-H100-80GB-HBM3"),
        ([], "NVIDIA L4", "NVIDIA-L4"),
        ([], "NVIDIA RTX 6000 Ada Generation", "NVIDIA-RTX-6000-Ada-Generation"),
    ],
)
def test_a_type_by_the_study_or_by_what_the_driver_said(
    tmp_path: Path, types: list[str], told: str, label: str
) -> None:
    keys = on_gpus(hardware={"accelerators": types})
    found = pod(results(tmp_path, keys=keys, accelerator=told), tmp_path / "out")
    assert found["nodeSelector"] == {"nvidia.com/gpu.product": label}


def test_the_image_is_of_the_version_that_was_measured(tmp_path: Path) -> None:
    found = results(tmp_path, keys=on_gpus(), engine_version="0.27.1")
    assert pod(found, tmp_path / "out")["containers"][0]["image"] == "vllm/vllm-openai:v0.27.1"
    assert pod(found, tmp_path / "out", image="mine:2")["containers"][0]["image"] == "mine:2"


def test_on_a_cpu_the_weights_must_fit_into_memory(tmp_path: Path) -> None:
    facts = ModelFacts(family="llama", weight_bytes=8 * GIB)
    assert pod(results(tmp_path, facts=facts), tmp_path / "out")["containers"][0]["resources"]["requests"] == {
        "cpu": "1",
        "memory": "11Gi",
    }
    unknown = pod(results(tmp_path), tmp_path / "out")
    assert set(unknown["containers"][0]["resources"]["requests"]) == {"cpu"}


def test_a_container_gets_the_memory_that_it_was_measured_with(tmp_path: Path) -> None:
    keys = on_gpus(launcher={"kind": "docker", "memory_gib": 40, "shm_gib": 4})
    keys["engine"]["image"] = "vllm/vllm-openai:v0.27.0"
    found = pod(results(tmp_path, keys=keys), tmp_path / "out")
    assert found["containers"][0]["resources"]["requests"]["memory"] == "40Gi"
    assert {"medium": "Memory", "sizeLimit": "4Gi"} in [volume.get("emptyDir") for volume in found["volumes"]]


def test_namespace_and_claim_are_the_users(tmp_path: Path) -> None:
    found = results(tmp_path, keys=on_gpus())
    [path] = Result(found).export("kubernetes", tmp_path / "out", namespace="llm", pvc="weights")
    objects = list(yaml.safe_load_all(path.read_text()))
    assert {made["metadata"]["namespace"] for made in objects} == {"llm"}
    volumes = objects[0]["spec"]["template"]["spec"]["volumes"]
    assert {"name": "weights", "persistentVolumeClaim": {"claimName": "weights"}} in volumes


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("shell", {"image": "a:1"}),
        ("table", {"image": "a:1"}),
        ("compose", {"namespace": "a"}),
        ("shell", {"pvc": "a"}),
    ],
)
def test_an_option_that_a_target_has_no_place_for_is_refused(
    tmp_path: Path, target: str, options: dict[str, Any]
) -> None:
    [(key, value)] = options.items()
    with pytest.raises(InputError, match=f"the target {target} has no place for it") as caught:
        Result(results(tmp_path)).export(target, tmp_path / "out", **options)
    assert (caught.value.key, caught.value.value) == (key, value)
    assert not (tmp_path / "out").exists()


def test_what_could_not_be_written_is_told_by_target_and_the_rest_is_written(tmp_path: Path) -> None:
    keys = on_gpus(launcher={"kind": "docker"})
    keys["engine"]["image"] = "registry/vllm:latest"
    found = results(tmp_path, keys=keys)
    deploy = OutputFolder(tmp_path).deploy
    _write_deployment_files(found, deploy)
    told = (deploy / "NOT-WRITTEN.txt").read_text().splitlines()
    assert [line.partition(": ")[0] for line in told] == ["compose", "kubernetes"]
    assert all("registry/vllm:latest" in line for line in told)
    assert (deploy / "top1" / "serve.sh").is_file()
    assert Result(found).not_deployable == deploy / "NOT-WRITTEN.txt"


def test_run_says_where_it_stands_that_files_could_not_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = Result(results(tmp_path))
    assert tell_ending(found, as_json=True) == 0
    assert "NOT-WRITTEN" not in capsys.readouterr().err
    deploy = OutputFolder(tmp_path).deploy
    deploy.mkdir()
    (deploy / "NOT-WRITTEN.txt").write_text("kubernetes: no\n")
    assert tell_ending(found, as_json=True) == 0
    assert str(deploy / "NOT-WRITTEN.txt") in "".join(capsys.readouterr().err.split("\n"))
