"""A trial of the tiny model that holds two GPUs, as NVML has them, under the objective of least energy.

``python metered_trial.py MODEL FOLDER``: prints the rung's metrics, score and failure as JSON. The GPUs are those of
whatever libnvidia-ml.so.1 the loader finds, and in use while the supervisor's log is there; the server is a mock one.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from autotuner.results import OutputFolder, resolved_yaml
from autotuner.results.records import Phase
from autotuner.space.config import Config
from autotuner.study.model import Study
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.store_service import StoreService
from autotuner.tuning.trial.launch import Place
from autotuner.tuning.trial.rig import make_rig
from autotuner.tuning.trial.trial import TrialRun

MOCK = str(Path(__file__).parents[2] / "e2e" / "programs" / "mock_engine.py")


def main(model: str, path: str) -> None:
    paced = {"command": [sys.executable, MOCK], "env": {"TTFT_MS": "1200"}}  # long beside what a busy machine adds
    study = Study.model_validate(
        {
            "name": "metered",
            "model": {"id": model, "served_name": "tiny"},
            "engine": {"name": "llamacpp", **paced},
            "hardware": {"gpus_per_server": 2},
            "workload": {"scenario": "D(16,32)", "load": {"concurrency": [8]}, "requests": {"min": 24}},
            "objective": "energy_j_per_token",
            "fidelity": {"trial_scheduler": "none", "rungs": 1},
        }
    )
    folder = OutputFolder(Path(path))
    folder.prepare(study, "s1")
    os.environ["NVML_IN_USE"] = str(folder.trial_logs("0001") / "0001-l1-supervisor.log")
    store = StoreService(path, resolved_yaml(study, "s1"), "s1", study.name)
    place = Place("node", ("0", "GPU-one"), "Fake", folder.trial_logs("0001"), {"AUTOTUNER_STUDY": "s1"})
    trial = TrialRun(study, Assignment("0001", Phase.SEARCH, Config({}), 1), place, make_rig(study), store, None)
    try:
        report = trial.run_rung(0)
    finally:
        trial.release()
    assert report.score is not None
    told = {"score": report.score.score, "feasible": report.score.feasible, "reason": report.score.reason}
    told["failure"] = report.failure
    sys.stdout.write(json.dumps({**told, "metrics": next(map(dict, report.metrics.values()), {})}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
