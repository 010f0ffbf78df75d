"""Fixtures that tests of several rooms share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The laptop study's model, written by its own script."""
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    script = ROOT / "examples" / "laptop" / "make_model.py"
    subprocess.run([sys.executable, str(script), "--out", str(path)], check=True, capture_output=True, timeout=60)
    return path
