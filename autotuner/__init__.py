"""Autotuner: finds, by real measurement, the LLM-serving configuration that meets your SLOs.

    import autotuner as at

    study = at.load_study("study.yaml")
    result = at.run(study)
    result.pareto, result.best, result.export("kubernetes", "deploy/")

Everything here is loaded when it is first used, so that ``import autotuner`` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autotuner.api import (
        CheckReport,
        Result,
        Workload,
        bench,
        check,
        compare,
        doctor,
        init_study,
        load_result,
        load_study,
        reap,
        rescore,
        resume,
        run,
    )

__all__ = [
    "CheckReport",
    "Result",
    "Workload",
    "bench",
    "check",
    "compare",
    "doctor",
    "init_study",
    "load_result",
    "load_study",
    "reap",
    "rescore",
    "resume",
    "run",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("autotuner.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
