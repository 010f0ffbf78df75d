"""Fixtures that tests of several rooms share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent.parent
# How long an example takes says how busy the machine is, and nothing of what is tested.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The laptop study's model, written by its own script."""
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    script = ROOT / "examples" / "laptop" / "make_model.py"
    subprocess.run([sys.executable, str(script), "--out", str(path)], check=True, capture_output=True, timeout=60)
    return path
