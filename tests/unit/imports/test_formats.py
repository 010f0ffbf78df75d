"""Which file is what, what is refused, and what is written."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autotuner.cli.main import main
from autotuner.errors import InputError
from autotuner.imports import FORMATS, import_study
from autotuner.imports.draft import StudyDraft, study_name
from autotuner.imports.record import NotConverted, Recorder
from autotuner.imports.writing import study_text
from autotuner.study import study_schema


@pytest.mark.parametrize("text", ["", "[1, 2]", "just text", "model: {id: a}\nengine: {name: vllm}", "{}"])
def test_an_unknown_file_names_the_formats(text: str, tmp_path: Path) -> None:
    file = tmp_path / "unknown.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as error:
        import_study(file)
    assert all(name in error.value.message for name in FORMATS)


@pytest.mark.parametrize(
    ("name", "text"), [("a.json", '{"model": '), ("a.yaml", "a: [1"), ("a.yaml", "a: !!python/none x")]
)
def test_a_file_that_is_no_data_says_where(name: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(InputError, match="line 1"):
        import_study(file)


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", str(tmp_path / "none.json"), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["code"] == "input"


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        import_study(file)


def test_a_folder_without_results(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a file that can be imported"):
        import_study(tmp_path)


def test_a_format_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one of inference-autotuner"):
        import_study(tmp_path, "optuna")


def test_an_experiment_of_a_file_that_has_none(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"base_runtime": "vllm", "model": {"name": "m"}, "optimization": {}, "task_name": "a"}))
    with pytest.raises(InputError, match="experiment"):
        import_study(file, experiment="exp")


@pytest.mark.parametrize(
    "keys",
    [
        {"model": "a text"},
        {"model": {}},
        {"parameters": [1]},
        {"parameters": {"a": {"type": "ladder"}}},
        {"slo": {"ttft": 3}},
        {"optimization": {"max_iterations": "many"}},
        {"benchmark": {"num_concurrency": ["x"]}},
        {"task_name": 3},
        {"base_runtime": ["vllm"]},
    ],
)
def test_a_value_of_the_wrong_kind_is_named(keys: dict[str, Any], tmp_path: Path) -> None:
    data = {"base_runtime": "vllm", "model": {"name": "m"}, "optimization": {}, "task_name": "a", "benchmark": {}}
    file = tmp_path / "a.json"
    file.write_text(json.dumps(data | keys))
    with pytest.raises(InputError) as error:
        import_study(file)
    assert str(error.value.key).startswith(next(iter(keys)))


# ── the recorder ──────────────────────────────────────────────────────────────────────────────

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no defect
@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=2), plain, max_size=4),
    st.sets(st.text("abc", min_size=1, max_size=2)),
)
def test_what_is_not_read_is_listed_once_and_what_is_read_never(data: dict[str, Any], read: set[str]) -> None:
    source = Recorder(data)
    for key in read:
        source.get(key)
    source.leave_the_rest(lambda key: None)
    keys = [item.key for item in source.not_converted]
    assert len(keys) == len(set(keys))
    roots = {key.partition(".")[0] for key in keys}
    assert not roots & read
    silent = {key for key in data if key not in roots and key not in read}
    assert all(not _numbers(data[key]) for key in silent)


def _numbers(value: Any) -> list[Any]:
    """The numbers anywhere in a value: they always say something."""
    if isinstance(value, dict):
        return [number for item in value.values() for number in _numbers(item)]
    if isinstance(value, list):
        return [number for item in value for number in _numbers(item)]
    return [value] if isinstance(value, int) else []


def test_passwords_are_not_told() -> None:
    source = Recorder({"db": {"url": "postgres://me:pw1@host/db", "api_key": "pw2"}, "list": ["redis://:pw3@h"]})
    source.leave_the_rest(lambda key: None)
    assert "pw" not in repr(source.not_converted)
    assert "postgres://me:***@host/db" in repr(source.not_converted)


# ── the text ──────────────────────────────────────────────────────────────────────────────────

hostile = st.text(max_size=40) | st.sampled_from(
    [
        "on",
        "1e3",
        "yes",
        "null",
        "a: b",
        "- x",
        "# y",
        "{z}",
        "a\n# b: c\nd: e",
        "\u2028x: y",
        "'",
        '"',
        "\x85k: v",
        "\r\nz: 1",
    ]
)


@given(hostile, hostile, hostile)
def test_no_value_breaks_out_of_its_place(value: str, about: str, key: str) -> None:
    draft = StudyDraft(about=about)
    draft.put(value or "x", "model", "id")
    draft.put([value, "b"], "space", "parameters", value or "x")
    draft.put({"deep": {value or "x": [value, 1, None, True, 0.5]}}, "engine", "args", "flag")
    draft.note("model", about)
    text = study_text(draft, key, "a format", [NotConverted(key, value, about)])
    assert yaml.safe_load(text) == draft.study


NAME = study_schema()["properties"]["name"]["pattern"].removeprefix("^").removesuffix("$")


@given(st.text(max_size=80))
def test_every_name_becomes_one_that_a_study_may_have(name: str) -> None:
    assert re.fullmatch(NAME, study_name(name))
