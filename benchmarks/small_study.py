"""A study of real llama.cpp servers with next to no load: what is left is the cost of a trial."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from autotuner.results import OutputFolder
from autotuner.study import study_id
from autotuner.study.model import Study
from autotuner.tuning.events import Observer
from autotuner.tuning.on_ray.runner import run_study

ROOT = Path(__file__).parent.parent


def small_study(folder: Path, trials: int, rungs: int) -> Study:
    """``trials`` different Configs, all run to their last rung, one client core and one server core each."""
    model = folder / "tiny.gguf"
    script = ROOT / "examples" / "laptop" / "make_model.py"
    subprocess.run([sys.executable, str(script), "--out", str(model)], check=True, capture_output=True)
    return Study.model_validate(
        {
            "name": "small",
            "model": {"id": str(model)},
            "engine": {"name": "llamacpp", "args": {"threads": 1, "ctx-size": 512}},
            "space": {"parameters": {"batch-size": {"int": [32, 32 + trials]}}},
            "workload": {"scenario": "D(8,2)", "load": {"concurrency": [1]}, "requests": {"per_slot": 4, "min": 4}},
            "objective": "throughput",
            "search": {"algorithm": "random", "trials": trials, "confirm": 0},
            "fidelity": {"trial_scheduler": "none", "rungs": rungs, "eta": 2},
        }
    )


def run_small_study(study: Study, folder: Path, observers: Sequence[Observer]) -> OutputFolder:
    out = OutputFolder(folder / "out")
    out.prepare(study, study_id(study))
    run_study(study, study_id(study), out, None, observers)
    return out
