"""Surfaces recorded from real llama.cpp servers: what is refused is a row, repeats are numbered, and it goes on."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from autotuner.api.checking import check
from autotuner.errors import Failure
from autotuner.servers.replay.table import read_table
from autotuner.study import load_study
from benchmarks.surfaces import record_llamacpp, record_vllm
from benchmarks.surfaces.recording import TABLE, Recording, joined, record

SPACE = {"parameters": {"flash-attn": ["on", "off"], "cache-type-v": ["f16", "q8_0"]}}


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    model = tmp_path_factory.mktemp("model") / "tiny.gguf"
    script = record_llamacpp.ROOT / "examples" / "laptop" / "make_model.py"
    subprocess.run([sys.executable, str(script), "--out", str(model)], check=True, capture_output=True)
    whole = record_llamacpp.llamacpp(model)
    load = {"load": {"concurrency": [1, 2]}, "requests": {"per_slot": 2, "min": 4}}
    study = {**whole.study, "space": SPACE, "workload": {**whole.study["workload"], **load}}
    return replace(whole, study=study, configs=4)


def test_what_is_recorded_can_be_searched(recording: Recording, tmp_path: Path) -> None:
    study = record(recording, tmp_path / "work", tmp_path / "out")
    table = read_table(study.with_name(TABLE))
    launches = {tuple(sorted(table.configs[key].items())): found for key, found in table.launches.items()}
    refused = launches[("cache-type-v", "q8_0"), ("flash-attn", "off")]
    assert {launch.failure for launch in refused} <= {Failure.INVALID_CONFIG, Failure.CRASH}
    assert all(launch.failure for launch in refused)
    assert sum(len(found) == 3 for found in launches.values()) == 2, "the default, and one of the four"
    assert len(launches) == 5
    assert check(load_study(study).study).count.number == 4, "and a study that its table answers"

    before = (tmp_path / "work" / "all" / "trials.csv").read_text()
    again = record(recording, tmp_path / "work", tmp_path / "again")
    assert (tmp_path / "work" / "all" / "trials.csv").read_text() == before, "nothing is measured twice"
    assert again.with_name(TABLE).read_bytes() == study.with_name(TABLE).read_bytes()


def test_launches_are_numbered_on_from_table_to_table() -> None:
    one = {"config.a": 1, "repeat": 0, "level": 1}
    twice = [one, {**one, "level": 2}, {**one, "repeat": 1}]
    found = [*joined([twice, [one, {"config.a": 2, "repeat": 0}], [one]])]
    assert Counter((row["config.a"], row["repeat"]) for row in found) == {
        (1, 0): 2,
        (1, 1): 1,
        (1, 2): 1,
        (2, 0): 1,
        (1, 3): 1,
    }


def test_times_are_rounded_to_what_a_client_can_tell() -> None:
    (row,) = joined([[{"repeat": 0, "requests": [[0.123456, 0.000049, 1.0, 16], [2.0, None, None, 0]]}]])
    assert row["requests"] == [[0.1235, 0.0, 1.0, 16], [2.0, None, None, 0]]


def test_of_some_configs_a_tenth_is_launched_again(recording: Recording) -> None:
    whole = replace(recording, configs=576)
    trials = [whole.round(number, None)["search"]["trials"] for number in range(3)]
    assert trials == [577, 58, 58]
    assert [whole.round(number, 30)["search"]["trials"] for number in range(3)] == [31, 4, 4]
    assert whole.round(1, None)["search"]["seed"] == whole.round(2, None)["search"]["seed"]


def test_the_whole_recording_of_llamacpp_is_a_study(tmp_path: Path, recording: Recording) -> None:
    whole = record_llamacpp.llamacpp(Path(str(recording.study["model"]["id"])))
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(whole.round(0, None)))
    report = check(load_study(file).study)
    assert report.count.number == whole.configs == record_llamacpp.CONFIGS


def test_vllm_is_prepared_and_not_run(tmp_path: Path) -> None:
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / ".complete").touch()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    prepared = record_vllm.prepare(tmp_path)
    recording = record_vllm.vllm(tmp_path, prepared)
    assert recording.study["model"]["id"] == str(tmp_path / "model")
    assert recording.study["engine"]["command"][0] == str(tmp_path / "venv" / "bin" / "vllm")
    assert "command" not in recording.surface()["engine"]
    file = tmp_path / "all.yaml"
    file.write_text(yaml.safe_dump(recording.round(0, None)))
    study = load_study(file).study
    assert study.search.trials == record_vllm.CONFIGS + 1
    sizes = [len(values) for values in record_vllm._SPACE["parameters"].values()]
    assert sizes[0] * sizes[1] * sizes[2] * sizes[3] == record_vllm.CONFIGS
