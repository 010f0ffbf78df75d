"""What keeps a study from having the energy it is to be judged by."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest

from autotuner.servers.telemetry import energy_problem
from autotuner.study.model import Study


def study(objective: str | Sequence[str]) -> Study:
    return Study.model_validate(
        {
            "model": {"id": "m.gguf"},
            "engine": {"name": "llamacpp"},
            "workload": {"scenario": "D(8,4)"},
            "objective": objective if isinstance(objective, str) else list(objective),
        }
    )


def test_without_gpus_there_is_no_energy() -> None:
    found = energy_problem(study(["throughput", "energy_j_per_token"]), gpus=0)
    assert found is not None
    assert found.fatal
    assert found.key == "objective"
    assert energy_problem(study("throughput"), gpus=0) is None


def test_a_missing_package_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    assert energy_problem(study("energy_j_per_token"), gpus=1) is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    found = energy_problem(study("energy_j_per_token"), gpus=1)
    assert found is not None
    assert not found.fatal
    assert "pip install nvidia-ml-py" in found.rule
