"""import_study: a file of another tool as the text of a study."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from autotuner.errors import InputError
from autotuner.imports import aiconfigurator, aiconfigurator_folder, auto_tuning_vllm, inference_autotuner
from autotuner.imports.draft import StudyDraft
from autotuner.imports.record import NotConverted, Recorder
from autotuner.imports.refused import take_out_refused
from autotuner.imports.text import parse_text, read_text
from autotuner.imports.writing import by_reason, shown, study_text

_KINDS = (inference_autotuner, aiconfigurator, auto_tuning_vllm)
FORMATS = tuple(kind.NAME for kind in _KINDS)
_Convert = Callable[[Recorder, StudyDraft], None]


@dataclass(frozen=True)
class ImportedStudy:
    """``text`` is a study file; ``not_converted`` what the input says and the study does not."""

    text: str
    study: dict[str, Any]
    format: str
    not_converted: tuple[NotConverted, ...]

    def told(self) -> list[str]:
        """What is not converted, a line each, under its reason."""
        return [
            line for reason, items in by_reason(self.not_converted).items() for line in (f"{reason}:", *_lines(items))
        ]


def import_study(path: str | Path, format_name: str | None = None, experiment: str | None = None) -> ImportedStudy:
    """Reads a file, or a result folder, of another tool. ``experiment`` is one of several that aiconfigurator's have.

    Raises InputError for a file that is of none of these formats, and for what is wrong in it.
    """
    file = Path(path).expanduser()
    if format_name is not None and format_name not in FORMATS:
        rule = f"one of {', '.join(FORMATS)}"
        raise InputError(f"from: {format_name!r}: {rule}", key="from", value=format_name, rule=rule)
    source, name, convert = _opened(file, format_name, experiment)
    if experiment is not None and name != aiconfigurator.NAME:
        rule = f"only files of {aiconfigurator.NAME} have several experiments"
        raise InputError(f"experiment: {rule}", key="experiment", value=experiment, rule=rule)
    draft = StudyDraft()
    convert(source, draft)
    take_out_refused(draft, source)
    text = study_text(draft, file.name, name, source.not_converted)
    return ImportedStudy(text, draft.ordered(), name, source.not_converted)


def _lines(items: list[NotConverted]) -> list[str]:
    return [f"    {shown(item)}" for item in items]


def _opened(file: Path, format_name: str | None, experiment: str | None) -> tuple[Recorder, str, _Convert]:
    if file.is_dir():
        if format_name not in (None, aiconfigurator.NAME) or not aiconfigurator_folder.is_result_folder(file):
            raise _unknown(file)
        convert: _Convert = partial(aiconfigurator_folder.convert_folder, experiment=experiment)
        return aiconfigurator_folder.read_folder(file), aiconfigurator.NAME, convert
    data = parse_text(read_text(file), str(file))
    for kind in _KINDS:
        if format_name == kind.NAME and not isinstance(data, dict):
            raise _unknown(file)
        if format_name == kind.NAME or (format_name is None and kind.recognises(data)):
            if kind is aiconfigurator:
                return Recorder(data), kind.NAME, partial(aiconfigurator.convert, experiment=experiment)
            return Recorder(data), kind.NAME, kind.convert
    raise _unknown(file)


def _unknown(file: Path) -> InputError:
    known = "; ".join(f"{kind.NAME}: {kind.WHAT}" for kind in _KINDS)
    return InputError(
        f"{file}: not a file that can be imported. Known are {known}", key="file", value=str(file), rule=known
    )
