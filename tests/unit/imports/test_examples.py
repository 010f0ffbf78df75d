"""Every example that could be found comes through: it loads as a study, and nothing of it is dropped in silence."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from autotuner.api.checking import check
from autotuner.cli.main import main
from autotuner.engines.registry import engine_names
from autotuner.imports import FORMATS, ImportedStudy, import_study
from autotuner.study import load_study

EXAMPLES = Path(__file__).parent / "import_examples"
FILES = sorted(
    path
    for path in EXAMPLES.glob("*/*")
    if path.suffix in (".json", ".yaml") or (path.is_dir() and path.name.startswith("result_"))
)


def experiments(path: Path) -> list[str | None]:
    """The experiments of an aiconfigurator file; of other files, none by name."""
    if path.parent.name != "aiconfigurator":
        return [None]
    if path.is_dir():
        return [folder.name for folder in sorted(path.iterdir()) if folder.is_dir()]
    data = yaml.safe_load(path.read_text())
    return [name for name, value in data.items() if isinstance(value, dict)]


CASES = [
    pytest.param(path, name, id=f"{path.parent.name}/{path.name}{f':{name}' if name else ''}")
    for path in FILES
    for name in experiments(path)
]

# A few experiments of a file show as much as all.
EFFECT_CASES = [
    pytest.param(path, name, id=f"{path.parent.name}/{path.name}{f':{name}' if name else ''}")
    for path in FILES
    if not path.is_dir()
    for name in [*experiments(path)[:1], *experiments(path)[3:5]]
]


def test_there_are_examples_of_every_format() -> None:
    assert {path.parent.name for path in FILES} == set(FORMATS)
    assert len(CASES) > 50


@pytest.mark.parametrize(("path", "experiment"), CASES)
def test_an_example_loads_as_a_study(path: Path, experiment: str | None, tmp_path: Path) -> None:
    imported = import_study(path, experiment=experiment)
    assert imported.format == path.parent.name
    file = tmp_path / "study.yaml"
    file.write_text(imported.text, encoding="utf-8")
    study = load_study(file).study
    assert study.model_dump(mode="json", exclude_unset=True)
    assert yaml.safe_load(imported.text)["model"] == imported.study["model"]


@pytest.mark.parametrize(("path", "experiment"), CASES)
def test_an_example_passes_check(path: Path, experiment: str | None, tmp_path: Path, monkeypatch: Any) -> None:
    imported = import_study(path, experiment=experiment)
    engines = imported.study["engine"]["name"]
    assert {engines} if isinstance(engines, str) else set(engines) <= set(engine_names())
    file = tmp_path / "study.yaml"
    file.write_text(imported.text, encoding="utf-8")
    for variable in re.findall(r"from_env: (\w+)", imported.text):
        monkeypatch.setenv(variable, "a value")
    assert check(load_study(file).study).count.number != 0


# ── nothing is dropped ────────────────────────────────────────────────────────────────────────


def leaves(data: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(data, dict):
        for key, value in data.items():
            yield from leaves(value, (*path, str(key)))
    elif isinstance(data, list) and any(isinstance(item, dict) for item in data):
        for index, value in enumerate(data):
            yield from leaves(value, (*path, str(index)))
    elif data not in (None, "", [], {}):
        yield path, data


def changed(data: Any, path: tuple[str, ...], value: Any) -> Any:
    """A copy of ``data`` with another value at one place."""
    if not path:
        return value
    if isinstance(data, dict):
        return {key: changed(item, path[1:], value) if str(key) == path[0] else item for key, item in data.items()}
    return [changed(item, path[1:], value) if str(index) == path[0] else item for index, item in enumerate(data)]


def at_path(data: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        data = data[int(name)] if isinstance(data, list) else data[name]
    return data


def is_listed(imported: ImportedStudy, path: tuple[str, ...]) -> bool:
    """Whether a key, or a part above it, is among what is not converted."""
    key = ".".join(path)
    return any(key == item.key or key.startswith(f"{item.key}.") for item in imported.not_converted)


def other_value(value: Any) -> Any:
    """A valid value that is not this one: what a file says decides what the study says."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value * 2 or 1
        case list() if all(isinstance(item, int | float) and not isinstance(item, bool) for item in value):
            return [item * 2 for item in value]
        case _:
            return None


# Read, and without an effect where they stand: what a file is, which of several, and what merely repeats others.
WITHOUT_EFFECT = re.compile(
    r"^exps$|serving_mode$|\.comm_quant_mode$|_comm_quant_mode$|^deployment_mode$|^optimization\.approach$"
    r"|^baseline\.(run_first|concurrency_levels|enabled)$|\.enabled$|\.(moe_)?tp_candidates$|hard_fail$"
)


@pytest.mark.parametrize(("path", "experiment"), EFFECT_CASES)
def test_every_number_of_an_example_has_an_effect_or_is_listed(
    path: Path, experiment: str | None, tmp_path: Path
) -> None:
    data = json.loads(path.read_text()) if path.suffix == ".json" else yaml.safe_load(path.read_text())
    plain = import_study(path, experiment=experiment)
    silent = []
    for place, value in leaves(data):
        other = other_value(value)
        if other is None or is_listed(plain, place) or WITHOUT_EFFECT.search(".".join(place)):
            continue
        if place[-1] == "step" and (form := at_path(data, place[:-1]))["min"] == form["max"]:
            continue
        if experiment is not None and place[0] != experiment:
            continue  # of an experiment that is merged: it says what the other says
        file = tmp_path / path.name
        file.write_text(json.dumps(changed(data, place, other)))
        try:
            again = import_study(file, plain.format, experiment)
        except Exception:  # refused: so it was looked at
            continue
        if (again.study, again.not_converted) == (plain.study, plain.not_converted):
            silent.append(".".join(place))
    assert silent == []


@pytest.mark.parametrize("path", [path for path in FILES if not path.is_dir()], ids=lambda path: path.name)
def test_an_unknown_key_is_listed_wherever_it_stands(path: Path, tmp_path: Path) -> None:
    data = json.loads(path.read_text()) if path.suffix == ".json" else yaml.safe_load(path.read_text())
    file = tmp_path / path.name
    name = experiments(path)[0]
    lead = data if name is None else data[name]
    lead["a_new_key"] = 7
    for section in [value for value in lead.values() if isinstance(value, dict)][:8]:
        section["a_newer_key"] = {"deep": 8}
    file.write_text(json.dumps(data))
    listed = {item.key: item.value for item in import_study(file, path.parent.name, name).not_converted}
    at = f"{name}." if name else ""
    assert listed[f"{at}a_new_key"] == 7
    told = [key for key in listed if "a_newer_key" in key]
    sections = [key for key, value in lead.items() if isinstance(value, dict) and key not in MAPS_OF_FLAGS]
    assert {key.removeprefix(at).partition(".")[0] for key in told} >= set(sections[:8])


# Maps whose keys are flags, variables or settings of a request: any key is one.
MAPS_OF_FLAGS = ("parameters", "static_parameters", "static_environment_variables", "additional_params")


@pytest.mark.parametrize("folder", [path for path in FILES if path.is_dir()], ids=lambda path: path.name)
def test_every_column_and_key_of_a_result_folder_is_used_or_listed(folder: Path) -> None:
    imported = import_study(folder)
    listed = {item.key: item.value for item in imported.not_converted}
    for file in sorted((folder / "agg").glob("*.csv")):
        columns = next(csv.reader(file.read_text().splitlines()))
        told = set(listed.get(f"agg.{file.name}", []))
        used = set(columns) - told
        assert used <= {"tp", "pp", "dp", "moe_tp", "moe_ep", "concurrency"}, file.name
    files = {file.name: yaml.safe_load(file.read_text()) for file in (folder / "agg").glob("*exp_config.yaml")}
    lead = next(name for name in files if any(key.startswith(f"agg.{name}.afd_") for key in listed))
    for name in [name for name in files if f"agg.{name}" not in listed]:
        stated = {key: value for key, value in files[name].items() if value not in (None, "", [])}
        missing = {key for key in stated if f"agg.{name}.{key}" not in listed}
        as_the_lead = {key for key in stated if name != lead and stated[key] == files[lead][key]}
        assert missing - as_the_lead <= READ_KEYS, name
    assert "disagg" in listed


# Of an experiment with one server, the keys that have a place in a study, or ask for what every study does.
READ_KEYS = {
    *(
        "serving_mode",
        "isl",
        "osl",
        "prefix",
        "ttft",
        "tpot",
        "total_gpus",
        "model_path",
        "system_name",
        "backend_name",
    ),
    *("gemm_quant_mode", "moe_quant_mode", "kvcache_quant_mode", "fmha_quant_mode", "comm_quant_mode"),
    *(f"agg_{name}_candidates" for name in ("num_gpu", "tp", "pp", "dp", "moe_tp", "moe_ep", "cp")),
    *("image_height", "image_width", "num_images_per_request", "enable_encoder_dp"),
    *("enable_wideep", "enable_eplb", "nextn", "enable_chunked_prefill"),
}


def test_the_command_writes_a_commented_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deep" / "study.yaml"
    source = EXAMPLES / "inference-autotuner" / "flat_slo.json"
    assert main(["import", str(source), "--out", str(out)]) == 0
    told = capsys.readouterr()
    assert told.out == f"{out}\n"
    assert "model.namespace: tuning" in told.err
    text = out.read_text(encoding="utf-8")
    assert "# Latency percentiles and a first-token limit" in text
    assert "model.namespace: tuning" in "".join(line for line in text.splitlines() if line.startswith("#"))
    assert main(["import", str(source), "--out", str(out)]) == 2
    assert main(["import", str(source), "--out", str(out), "--force"]) == 0


def test_json_has_the_study_and_what_is_not_converted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", str(EXAMPLES / "auto-tuning-vllm" / "mlperf.yaml"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document.keys() == {"study", "format", "not_converted"}
    assert document["format"] == "auto-tuning-vllm"
    assert document["study"]["model"] == {"id": "meta-llama/Llama-3.1-8B"}
    assert {"key", "value", "reason"} == set.union(*(set(item) for item in document["not_converted"]))
    assert {item["key"]: item["value"] for item in document["not_converted"]}["benchmark.max_seconds"] == 600
