"""Studies from the files of other tools."""

from autotuner.imports.importing import FORMATS, ImportedStudy, import_study
from autotuner.imports.record import NotConverted

__all__ = ["FORMATS", "ImportedStudy", "NotConverted", "import_study"]
