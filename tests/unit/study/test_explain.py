"""Explanations: which layer set a key of a study."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import autotuner as at
from autotuner.cli.main import main
from autotuner.errors import StudyError
from autotuner.study import LoadedStudy, load_study

Load = Callable[..., LoadedStudy]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads a small study with these keys over it."""

    def _load(*overrides: str, **keys: Any) -> LoadedStudy:
        return load_study(written(tmp_path, **keys), overrides)

    return _load


def written(folder: Path, **keys: Any) -> Path:
    study = {
        "model": {"id": "m.gguf"},
        "engine": {"name": "llamacpp"},
        "workload": {"scenario": "D(8,8)"},
        **keys,
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    return folder / "study.yaml"


def told(loaded: LoadedStudy, key: str) -> tuple[Any, str, list[str]]:
    (one,) = loaded.origins.explain(loaded.study, key)
    return one.value, str(one.origin), [str(setting.origin) for setting in one.overridden]


def test_a_section_is_explained_key_by_key(load: Load) -> None:
    loaded = load(profiles=["slo/high-throughput"])
    explained = {one.key: str(one.origin) for one in loaded.origins.explain(loaded.study, "slo")}
    assert explained["slo.ttft.p99.threshold_ms"] == "profile layer slo/high-throughput"
    assert explained["slo.curve"] == "the default"
    assert not any(key.startswith("slo.e2e") for key in explained)


def test_space_files_are_the_lowest_layer(load: Load) -> None:
    space = {"include": ["llamacpp/minimal"], "parameters": {"parallel": [3]}}
    loaded = load(space=space)
    value, origin, over = told(loaded, "space.parameters.parallel")
    assert (value, over) == ([3], ["space file llamacpp/minimal"])
    assert origin.endswith("study.yaml")
    assert told(loaded, "space.parameters.flash-attn")[1] == "space file llamacpp/minimal"
    assert told(loaded, "space.include")[0] == ["llamacpp/minimal"]


def test_parts_of_one_value_are_from_where_it_is(load: Load) -> None:
    loaded = load("launcher={kind: endpoint, url: 'http://h:1'}")
    assert told(loaded, "launcher.url")[:2] == ("http://h:1", "--set launcher={kind: endpoint, url: 'http://h:1'}")
    again = load("launcher.url=http://h:2", launcher={"kind": "endpoint", "url": "http://h:1"})
    assert told(again, "launcher.url")[:2] == ("http://h:2", "--set launcher.url=http://h:2")


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("slo.ttft.p90.treshold_ms", "slo.ttft.p90.threshold_ms"),
        ("serach.trials", "search.trials"),
        ("timeouts.start", "timeouts.start_s"),
        ("engine.args.ctxsize", "engine.args.ctx-size"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(load: Load, key: str, nearest: str) -> None:
    loaded = load(engine={"name": "llamacpp", "args": {"ctx-size": 9}})
    with pytest.raises(StudyError) as caught:
        loaded.origins.explain(loaded.study, key)
    assert (caught.value.key, caught.value.nearest) == (key, nearest)


def test_a_key_that_nobody_set_is_explained_too(load: Load) -> None:
    assert told(load(), "slo.ttft.p50.threshold_ms") == (None, "the default", [])


# ── the command ───────────────────────────────────────────────────────────────────────────────


def test_check_explains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slo = {"ttft": {"p90": {"threshold_ms": 300}}}
    file = str(written(tmp_path, profiles=["slo/balanced"], slo=slo))
    key = "slo.ttft.p90.threshold_ms"
    assert main(["check", file, "--explain", key, "--explain", "search.trials", "--set", "search.trials=4"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{key}: 300.0",
        f"  set by {file}",
        "  over 1000, set by profile layer slo/balanced",
        "search.trials: 4",
        "  set by --set search.trials=4",
    ]
    assert main(["check", file, "--explain", key, "--json"]) == 0
    below = {"set_by": "profile layer slo/balanced", "layer": "profile", "value": 1000, "removed": False}
    document = {"key": key, "value": 300.0, "set_by": file, "layer": "study", "overridden": [below]}
    assert json.loads(capsys.readouterr().out) == {"explain": [document]}


def test_an_unknown_key_ends_check_as_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(written(tmp_path)), "--explain", "slo.ttfy.p90.threshold_ms", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)
    assert (error["key"], error["nearest"]) == ("slo.ttfy.p90.threshold_ms", "slo.ttft.p90.threshold_ms")


def test_python_explains_too(tmp_path: Path) -> None:
    found = at.explain(written(tmp_path, profiles=["slo/balanced"]), ["slo.error_rate"], ["slo.error_rate=0.2"])
    assert [(one.key, one.value, str(one.origin)) for one in found] == [
        ("slo.error_rate", 0.2, "--set slo.error_rate=0.2")
    ]


def test_constraints_of_all_layers_hold(load: Load) -> None:
    loaded = load(space={"include": ["llamacpp/throughput"], "constraints": ["parallel > 1"]})
    (one,) = loaded.origins.explain(loaded.study, "space.constraints")
    assert one.value == ["ubatch_size <= batch_size", "parallel > 1"]
    assert one.lines()[2] == "  with [ubatch_size <= batch_size], set by space file llamacpp/throughput"
