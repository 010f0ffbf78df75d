"""import_study: a study from a file of another tool."""

from __future__ import annotations

from pathlib import Path

from autotuner.imports import ImportedStudy
from autotuner.imports import import_study as _import_study

__all__ = ["ImportedStudy", "import_study"]


def import_study(path: str | Path, format_name: str | None = None, experiment: str | None = None) -> ImportedStudy:
    """A task of inference-autotuner, an experiment or result folder of aiconfigurator, a study of auto-tuning-vllm.

    ``format_name`` is one of ``autotuner.imports.FORMATS``, where it can't be told by the file; ``experiment`` chooses
    among those of aiconfigurator. Raises InputError.
    """
    return _import_study(path, format_name, experiment)
