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
    from autotuner.api.benching import bench
    from autotuner.api.cataloguing import CataloguedEngine, engine_catalogues
    from autotuner.api.check_report import CheckReport
    from autotuner.api.checking import check, load_study
    from autotuner.api.comparing import compare
    from autotuner.api.diagnosing import doctor
    from autotuner.api.explaining import explain
    from autotuner.api.fetching import Fetched, fetch
    from autotuner.api.importing import ImportedStudy, import_study
    from autotuner.api.reaping import reap
    from autotuner.api.rescoring import rescore
    from autotuner.api.result import Result, load_result, rebuild
    from autotuner.api.running import resume, run
    from autotuner.api.starting import Wish, init_study, start_study, study_text
    from autotuner.api.watching import logs, status
    from autotuner.results.progress import StudyProgress
    from autotuner.study.layers.origins import Explanation
    from autotuner.study.model import Study, Workload
    from autotuner.study.slo_doubts import doubtful_limits

_HOMES = {
    "CataloguedEngine": "autotuner.api.cataloguing",
    "CheckReport": "autotuner.api.check_report",
    "Explanation": "autotuner.study.layers.origins",
    "Fetched": "autotuner.api.fetching",
    "ImportedStudy": "autotuner.api.importing",
    "Result": "autotuner.api.result",
    "Study": "autotuner.study.model",
    "StudyProgress": "autotuner.results.progress",
    "Wish": "autotuner.api.starting",
    "Workload": "autotuner.study.model",
    "bench": "autotuner.api.benching",
    "check": "autotuner.api.checking",
    "compare": "autotuner.api.comparing",
    "doctor": "autotuner.api.diagnosing",
    "doubtful_limits": "autotuner.study.slo_doubts",
    "engine_catalogues": "autotuner.api.cataloguing",
    "explain": "autotuner.api.explaining",
    "fetch": "autotuner.api.fetching",
    "import_study": "autotuner.api.importing",
    "init_study": "autotuner.api.starting",
    "load_result": "autotuner.api.result",
    "load_study": "autotuner.api.checking",
    "logs": "autotuner.api.watching",
    "reap": "autotuner.api.reaping",
    "rebuild": "autotuner.api.result",
    "rescore": "autotuner.api.rescoring",
    "resume": "autotuner.api.running",
    "run": "autotuner.api.running",
    "start_study": "autotuner.api.starting",
    "status": "autotuner.api.watching",
    "study_text": "autotuner.api.starting",
}

__all__ = [
    "CataloguedEngine",
    "CheckReport",
    "Explanation",
    "Fetched",
    "ImportedStudy",
    "Result",
    "Study",
    "StudyProgress",
    "Wish",
    "Workload",
    "bench",
    "check",
    "compare",
    "doctor",
    "doubtful_limits",
    "engine_catalogues",
    "explain",
    "fetch",
    "import_study",
    "init_study",
    "load_result",
    "load_study",
    "logs",
    "reap",
    "rebuild",
    "rescore",
    "resume",
    "run",
    "start_study",
    "status",
    "study_text",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
