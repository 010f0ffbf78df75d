"""doctor: which engines' servers are on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from autotuner.api.diagnosing import Finding, _node_text, doctor
from autotuner.tuning.decisions.placement_policy import Node


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def found() -> dict[str, Finding]:
    return {finding.part: finding for finding in doctor()}


def program(place: Path) -> str:
    place.write_text("#!/bin/sh\n")
    place.chmod(0o755)
    return str(place)


def test_no_engine_is_here(programs: Path) -> None:
    engines = found()
    for part, executable in (("vllm", "vllm"), ("sglang", "python3"), ("trtllm", "trtllm-serve")):
        assert engines[part].state == "absent"
        assert executable in engines[part].detail
    assert engines["llama-server"].state == "absent"


def test_engines_on_the_path(programs: Path) -> None:
    paths = {"vllm": program(programs / "vllm"), "trtllm": program(programs / "trtllm-serve")}
    engines = found()
    for part, path in paths.items():
        assert (engines[part].state, engines[part].detail) == ("ok", path)


def test_an_engine_that_is_a_package_is_looked_for_in_the_python_on_the_path(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.symlink(sys.executable, programs / "python3")
    monkeypatch.setenv("PYTHONPATH", str(programs / "packages"))
    assert found()["sglang"].state == "absent"
    (programs / "packages" / "sglang").mkdir(parents=True)
    (programs / "packages" / "sglang" / "__init__.py").write_text("raise SystemExit('must not be imported')\n")
    assert found()["sglang"].state == "ok"


@pytest.mark.parametrize(
    ("node", "told"),
    [
        (Node("a", "", 0, 8.0, 0, 6.5), "6.5 of 8 CPU free"),
        (Node("a", "H100-80GB", 8, 64.0, 3, 64.0), "64 of 64 CPU free, 3 of 8 GPU free, of H100-80GB"),
        (
            Node("a", "L4-24GB", 1, 8.0, 1, 8.0, open=False),
            "8 of 8 CPU free, 1 of 1 GPU free, of L4-24GB; drained: it gets no new trials",
        ),
        (
            Node("a", "", 2, 8.0, 2, 8.0),
            "8 of 8 CPU free, 2 of 2 GPU free, of a type that no label tells (autotuner labels)",
        ),
    ],
)
def test_what_a_node_of_a_cluster_has(node: Node, told: str) -> None:
    assert _node_text(node) == told
