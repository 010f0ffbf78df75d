"""engines: pip is really asked, of an index in a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import autotuner as at
from autotuner.cli.main import main
from autotuner.engines import catalogue_versions
from autotuner.errors import InfrastructureError

FILES = {
    "vllm": ("0.24.0", "0.25.1", "99.1.0", "99.2.0rc1"),
    "sglang": ("0.5.14",),
    "tensorrt-llm": ("1.0.0", "1.1.0"),
    "xllamacpp": ("2026.10.11549", "2026.4.8672.1", "2099.1.99999"),
}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for package, versions in FILES.items():
        (tmp_path / package).mkdir()
        links = [f"{package.replace('-', '_')}-{version}.tar.gz" for version in versions]
        page = "".join(f'<a href="{link}">{link}</a>' for link in links)
        (tmp_path / package / "index.html").write_text(page, encoding="utf-8")
    for name, value in (("INDEX_URL", tmp_path.as_uri()), ("CONFIG_FILE", "/dev/null"), ("FIND_LINKS", "")):
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    return tmp_path


def test_versions_without_a_catalogue_are_told_with_what_judges_them(index: Path) -> None:
    found = {one.engine: one for one in at.engine_catalogues(index=True)}
    assert {name: one.without for name, one in found.items()} == {
        "llamacpp": {"2099.1.99999": "b11549", "2026.4.8672.1": catalogue_versions("llamacpp")[0]},
        "sglang": {},
        "trtllm": {"1.1.0": "1.0.0"},
        "vllm": {"99.1.0": catalogue_versions("vllm")[-1], "0.25.1": "0.24.0"},
    }
    newer = {name: one.newer for name, one in found.items() if one.newer}
    assert newer == {"llamacpp": ("2099.1.99999",), "vllm": ("99.1.0",)}


def test_the_command_tells_them(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engines", "--index"]) == 0
    assert "99.1.0" in capsys.readouterr().out
    assert main(["engines", "--index", "--json"]) == 0
    told = {one["engine"]: one for one in json.loads(capsys.readouterr().out)["engines"]}
    assert told["vllm"]["newer"] == ["99.1.0"]
    assert told["sglang"]["without"] == []


def test_without_the_index_nobody_is_asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    assert main(["engines", "--json"]) == 0
    (vllm,) = [one for one in json.loads(capsys.readouterr().out)["engines"] if one["engine"] == "vllm"]
    assert vllm["catalogued"] == list(catalogue_versions("vllm"))
    assert vllm["without"] is None


def test_an_index_that_does_not_have_it_is_told(index: Path) -> None:
    (index / "vllm" / "index.html").write_text("", encoding="utf-8")
    with pytest.raises(InfrastructureError, match="vllm: no versions on the package index: ERROR: No matching"):
        at.engine_catalogues(index=True)
