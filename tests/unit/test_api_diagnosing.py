"""doctor: which engines' servers are on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from autotuner.api.diagnosing import Finding, doctor


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
