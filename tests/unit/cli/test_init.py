"""``autotuner init``: the study it writes; ``autotuner run`` makes the same one where it is given no file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import autotuner as at
from autotuner.api.sizing import found_on_nodes
from autotuner.cli.main import main
from autotuner.study import Study, load_study


def init(*arguments: str) -> int:
    return main(["init", *arguments])


def test_the_model_is_named_as_the_study_file_sees_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.gguf").write_bytes(b"GGUF")
    assert init("--model", "models/a.gguf", "--out", "studies/deep/study.yaml") == 0
    assert load_study("studies/deep/study.yaml").study.model.id == str(tmp_path / "models" / "a.gguf")


def test_gpus_are_asked_for(tmp_path: Path) -> None:
    out = tmp_path / "study.yaml"
    assert init("--model", "/models/a.gguf", "--gpus", "2", "--out", str(out)) == 0
    study = load_study(out).study
    assert (study.hardware.gpus_per_server, study.engine.args["n-gpu-layers"]) == (2, 99)


def test_a_hostile_name_stays_a_text(tmp_path: Path) -> None:
    out = tmp_path / "study.yaml"
    assert init("--model", '/models/a: [b] "c" # {{ d }}.gguf', "--name", "plain", "--out", str(out)) == 0
    assert load_study(out).study.model.id == '/models/a: [b] "c" # {{ d }}.gguf'


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "study.yaml"
    out.write_text("mine")
    assert init("--out", str(out)) == 2
    assert out.read_text() == "mine"
    assert "--force" in capsys.readouterr().err
    assert init("--out", str(out), "--force") == 0
    assert out.read_text() != "mine"


# ── engines on GPUs ───────────────────────────────────────────────────────────────────────────


MODELS = Path(__file__).parents[1] / "models" / "model_configs"


def model_folder(folder: Path, name: str) -> str:
    """A model of which only config.json is here."""
    (folder / name).mkdir(exist_ok=True)
    shutil.copy(MODELS / f"{name}.json", folder / name / "config.json")
    return name


def written(out: Path) -> Study:
    return load_study(out).study


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, on a machine without GPUs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "bin").mkdir()
    return tmp_path


def with_gpus(place: Path, *rows: str) -> None:
    """Gives the machine an nvidia-smi that tells of these GPUs: index, uuid, name, MiB."""
    tool = place / "bin" / "nvidia-smi"
    tool.write_text("#!/bin/sh\ncat <<'END'\n" + "\n".join(rows) + "\nEND\n")
    tool.chmod(0o755)
    (place / "bin" / "cat").symlink_to("/bin/cat")


H100 = ("0, GPU-aaaa, NVIDIA H100 80GB HBM3, 81559", "1, GPU-bbbb, NVIDIA H100 80GB HBM3, 81559")


@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm"])
@pytest.mark.parametrize(
    ("model", "gpus", "degrees", "space"),
    [
        ("llama-3.1-8b", 1, [1], "throughput"),  # 15 GiB
        ("llama-3.1-70b", 8, [4, 8], "throughput"),  # 131 GiB: two of 80 GB would leave no room for a cache
        ("qwen3-30b-a3b", 4, [1, 2, 4], "moe"),  # 57 GiB
        ("org/unknown", 4, [1, 2, 4], "throughput"),
    ],
)
def test_what_init_writes_passes_check(
    place: Path, capsys: pytest.CaptureFixture[str], engine: str, model: str, gpus: int, degrees: list[int], space: str
) -> None:
    name = model if "/" in model else model_folder(place, model)
    options = ("--engine", engine, "--model", name, "--gpus", str(gpus), "--accelerator", "h100")
    assert init(*options) == 0, capsys.readouterr().err
    study = written(place / "study.yaml")
    assert study.space.parallelism.tp == degrees
    assert f"include: [{engine}/{space}]" in (place / "study.yaml").read_text()
    assert study.hardware.accelerators == ["H100-80GB"]
    assert (study.hardware.gpus_per_server, study.objective) == (None, "goodput_per_gpu")
    assert {f"{metric}.{statistic}" for metric, statistic, _ in study.slo.terms()} >= {"ttft.p90", "tpot.mean"}
    assert main(["check", "study.yaml"]) == 0, capsys.readouterr().err


CACHES = {"vllm": "enable-prefix-caching", "sglang": "disable-radix-cache"}


@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm", "llamacpp"])
def test_a_prefix_cache_is_searched_where_prompts_share_a_prefix(
    place: Path, capsys: pytest.CaptureFixture[str], engine: str
) -> None:
    (place / "a.gguf").write_bytes(b"")
    model = "a.gguf" if engine == "llamacpp" else "org/model"
    options = ("--engine", engine, "--model", model, "--gpus", "1")
    assert init(*options) == 0
    without = written(place / "study.yaml")
    assert without.workload.shared_prefix_tokens == 0
    if engine != "llamacpp":  # whose model would be read
        capsys.readouterr()
        assert main(["check", "study.yaml", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert [warning for warning in told["warnings"] if "prefix" in warning] == []
    assert init(*options, "--shared-prefix", "300", "--force") == 0
    declared = written(place / "study.yaml")
    assert declared.workload.shared_prefix_tokens == 300
    if engine in CACHES:
        usual = engine == "vllm"  # on, on every engine
        assert without.space.parameters[CACHES[engine]] == [usual]
        assert sorted(declared.space.parameters[CACHES[engine]]) == [False, True]
    assert without.space.parameters.keys() == declared.space.parameters.keys()


def test_every_option_is_written_down(place: Path) -> None:
    options = (
        *("--engine", "vllm", "--model", "meta-llama/Llama-3.1-8B-Instruct", "--gpus", "8"),
        *("--slo", "ttft.p90=300ms", "--slo", "tpot.mean=0.03s", "--slo", "e2e.p99=1m", "--slo", "error_rate=0.5%"),
        *("--scenario", "N(800,50)/(200,20)", "--objective", "goodput_per_gpu,ttft_p90", "--concurrency", "2,16"),
        *("--trials", "12", "--name", "mine", "--shared-prefix", "100"),
    )
    assert init(*options) == 0
    study = written(place / "study.yaml")
    terms = [(metric, statistic, term.threshold_ms) for metric, statistic, term in study.slo.terms()]
    assert terms == [("ttft", "p90", 300), ("tpot", "mean", 30), ("e2e", "p99", 60_000)]
    assert study.slo.error_rate == 0.005
    assert study.workload.scenario == "N(800,50)/(200,20)"
    assert study.workload.shared_prefix_tokens == 100
    assert study.workload.load.model_dump() == {"concurrency": [2, 16]}
    assert study.objectives == ("goodput_per_gpu", "ttft_p90")
    assert (study.search.trials, study.name, study.hardware.accelerators) == (12, "mine", [])
    assert study.space.parallelism.tp == [1, 2, 4, 8]


def test_the_name_is_the_models(place: Path) -> None:
    assert init("--engine", "vllm", "--model", "meta-llama/Llama-3.1-8B-Instruct", "--gpus", "1") == 0
    assert written(place / "study.yaml").name == "Llama-3.1-8B-Instruct"


def test_gpus_of_this_machine_are_taken(place: Path) -> None:
    with_gpus(place, *H100)
    assert init("--engine", "vllm", "--model", "org/model") == 0
    study = written(place / "study.yaml")
    assert (study.space.parallelism.tp, study.hardware.accelerators) == ([1, 2], ["H100-80GB"])


def test_hidden_gpus_are_not_taken(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpus(place, *H100)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-bbbb")
    assert init("--engine", "vllm", "--model", "org/model") == 0
    assert written(place / "study.yaml").space.parallelism.tp == [1]


def test_a_slice_of_a_gpu_is_not_taken_for_the_whole(place: Path) -> None:
    with_gpus(place, "0, GPU-aaaa, NVIDIA H100 80GB HBM3, 20096")
    assert init("--engine", "vllm", "--model", "org/model") == 0
    assert written(place / "study.yaml").hardware.accelerators == []


@pytest.mark.parametrize(
    ("nodes", "count", "name"),
    [
        ([], 0, None),
        ([{"CPU": 8.0}], 0, None),
        ([{"GPU": 2.0, "accelerator_type:L40S": 1.0}, {"GPU": 8.0, "accelerator_type:H200": 1.0}], 8, "H200-141GB"),
        ([{"GPU": 8.0, "accelerator_type:A100": 1.0}], 8, None),  # 40 or 80 GB: Ray does not tell
        ([{"GPU": 4.0, "accelerator_type:TPU-X": 1.0}], 4, None),
    ],
)
def test_the_largest_node_of_a_cluster_counts(nodes: list[dict[str, float]], count: int, name: str | None) -> None:
    found = found_on_nodes(nodes)
    assert (found.count, found.profile and found.profile.name) == (count, name)


def test_a_context_that_does_not_fit_is_shortened(place: Path) -> None:
    model = model_folder(place, "llama-3.1-8b")
    # 24 GiB × 0.85 − 15 GiB of weights leave some 5 GiB: 40,000 tokens of 128 KiB, of the model's 131,072.
    assert init("--engine", "vllm", "--model", model, "--gpus", "1", "--accelerator", "RTX4090-24GB") == 0
    assert written(place / "study.yaml").engine.args == {"max-model-len": 32768}
    assert init("--engine", "vllm", "--model", model, "--gpus", "1", "--accelerator", "H200", "--force") == 0
    assert written(place / "study.yaml").engine.args == {}


def test_no_gpus_means_the_cpu(place: Path) -> None:
    assert init("--engine", "vllm", "--model", "org/model", "--gpus", "0") == 0
    study = written(place / "study.yaml")
    assert (study.hardware.gpus_per_server, study.objective, study.space.parallelism.tp) == (0, "goodput", None)


@pytest.mark.parametrize(
    ("options", "key", "nearest"),
    [
        (("--engine", "vlm"), "engine.name", "vllm"),
        (("--gpus", "-1"), "gpus", None),
        (("--accelerator", "H101"), "hardware.accelerators", "H100-80GB"),
        (("--slo", "ttft.p91=300ms"), "slo", "ttft.p99"),
        (("--slo", "ttfy.p90=300ms"), "slo", "ttft.p90"),
        (("--slo", "ttft.p90"), "slo", None),
        (("--slo", "ttft.p90=300"), "slo ttft.p90", "300ms"),
        (("--slo", "ttft.p90=3sec"), "slo ttft.p90", "3s"),
        (("--slo", "ttft.p90=0ms"), "slo ttft.p90", None),
        (("--slo", "ttft.p90=1ms", "--slo", "ttft.p90=2ms"), "slo", None),
        (("--slo", "error_rate=2"), "slo", None),
        (("--profile", "slo/balancd"), "profiles.0", "slo/balanced"),
        (("--scenario", "D(10)"), "workload.scenario", None),
        (("--shared-prefix", "-1"), "workload.shared_prefix_tokens", None),
        (("--shared-prefix", "5000"), "workload.shared_prefix_tokens", None),
        (("--objective", "gootput"), "objective", "goodput"),
        (("--concurrency", "1,x"), "concurrency", None),
        (("--concurrency", "4,4"), "workload.load.concurrency", None),
        (("--trials", "0"), "search.trials", None),
        (("--name", "a/b"), "name", None),
    ],
)
def test_bad_options_are_refused(
    place: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], key: str, nearest: str | None
) -> None:
    assert init("--engine", "vllm", "--model", "org/model", "--gpus", "1", *options, "--json") == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["key"], told["nearest"]) == (key, nearest)
    assert "\n" not in told["message"]
    assert not (place / "study.yaml").exists()


def test_too_few_gpus_are_refused_with_the_number_needed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--engine", "vllm", "--model", model_folder(place, "llama-3.1-70b"), "--accelerator", "H100")
    assert init(*options, "--gpus", "1", "--json") == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["key"], told["value"], told["nearest"]) == ("gpus", 1, "4")


def test_a_machine_without_gpus_must_be_told_how_many(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init("--engine", "vllm", "--model", "org/model", "--json") == 2
    told = json.loads(capsys.readouterr().out)
    assert told["key"] == "gpus"
    assert "--gpus" in told["message"]


# ── run without a file ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ((), "study"),
        (("--engine", "vllm"), "study"),
        (("--gpus", "2", "--model", "org/model"), "study"),
        (("study.yaml", "--gpus", "2"), "gpus"),
        (("study.yaml", "--slo", "ttft.p90=1s"), "slo"),
    ],
)
def test_run_wants_a_file_or_what_makes_one(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], key: str
) -> None:
    assert main(["run", *arguments, "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert told["key"] == key
    assert "--model" in told["message"] or "--set" in told["message"]


def test_init_and_run_make_the_same_study(place: Path) -> None:
    options: dict[str, Any] = {"engine": "vllm", "model": model_folder(place, "qwen3-32b"), "gpus": 4, "trials": 7}
    text, study = at.start_study(at.Wish(**options, accelerator="H100"), ["search.seed=3"])
    assert (
        init("--engine", "vllm", "--model", "qwen3-32b", "--gpus", "4", "--trials", "7", "--accelerator", "H100") == 0
    )
    assert (place / "study.yaml").read_text() == text
    assert load_study(place / "study.yaml", ["search.seed=3"]).study == study
