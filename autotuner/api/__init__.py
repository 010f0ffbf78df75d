"""The Python interface. The command line is a thin face on it."""

from autotuner.api.benching import bench
from autotuner.api.checking import CheckReport, check, load_study
from autotuner.api.comparing import compare
from autotuner.api.diagnosing import doctor
from autotuner.api.reaping import reap
from autotuner.api.rescoring import rescore
from autotuner.api.result import Result, load_result
from autotuner.api.running import resume, run
from autotuner.api.starting import init_study
from autotuner.study.model import Workload

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
