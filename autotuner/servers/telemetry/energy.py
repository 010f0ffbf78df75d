"""What keeps a study from having the energy that it is to be judged by."""

from __future__ import annotations

from importlib.util import find_spec

from autotuner.engines import Problem
from autotuner.study.model import Study

_OBJECTIVE = "energy_j_per_token"


def energy_problem(study: Study, gpus: float) -> Problem | None:
    """``gpus`` are those of the baseline's trial. A missing package is only told: other nodes may have it."""
    if _OBJECTIVE not in study.objectives:
        return None
    if not gpus:
        return Problem("objective", _OBJECTIVE, "is metered on the GPUs that a trial holds: this one holds none")
    if find_spec("pynvml") is None:
        rule = "is metered through nvidia-ml-py, which is not installed here: pip install nvidia-ml-py"
        return Problem("objective", _OBJECTIVE, rule, fatal=False)
    return None
