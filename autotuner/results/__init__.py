"""What a study has measured: the store, the output folder, the tables.

Importing this package is cheap: what needs pandas, pyarrow or SQLAlchemy is imported when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from autotuner.results.folder import OutputFolder, resolved_yaml
from autotuner.results.held_folder import open_folder, resume_folder
from autotuner.results.kept_runs import kept_runs
from autotuner.results.records import (
    FailureRecord,
    Phase,
    PointFailure,
    RungRecord,
    StudyRecord,
    StudyStatus,
    TrialEnd,
    TrialRecord,
    TrialState,
    Usage,
)

if TYPE_CHECKING:
    from autotuner.results.comparing import compare
    from autotuner.results.improvement import Improvement
    from autotuner.results.points import TrialPoint
    from autotuner.results.rescoring import rescore
    from autotuner.results.result import StudyResults, load_results, write_tables
    from autotuner.results.storage.store import Store

__all__ = [
    "FailureRecord",
    "Improvement",
    "OutputFolder",
    "Phase",
    "PointFailure",
    "RungRecord",
    "Store",
    "StudyRecord",
    "StudyResults",
    "StudyStatus",
    "TrialEnd",
    "TrialPoint",
    "TrialRecord",
    "TrialState",
    "Usage",
    "compare",
    "kept_runs",
    "load_results",
    "open_folder",
    "rescore",
    "resolved_yaml",
    "resume_folder",
    "write_tables",
]


def __getattr__(name: str) -> Any:
    modules = {
        "Improvement": "improvement",
        "Store": "storage.store",
        "StudyResults": "result",
        "TrialPoint": "points",
        "compare": "comparing",
        "load_results": "result",
        "rescore": "rescoring",
        "write_tables": "result",
    }
    if name not in modules:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{modules[name]}"), name)
