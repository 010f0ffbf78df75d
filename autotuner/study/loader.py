"""From a study file to a Study: overrides, space files, paths, rules. The one place of this room that does I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autotuner.errors import StudyError
from autotuner.study._overrides import apply_overrides
from autotuner.study._paths import with_absolute_paths
from autotuner.study._problem import short, study_error
from autotuner.study._rules import broken_rules
from autotuner.study._space_files import with_included_spaces
from autotuner.study._validate import validate
from autotuner.study._yaml import parse_yaml
from autotuner.study.model import Slo, Study


@dataclass(frozen=True)
class LoadedStudy:
    """A study whose space files are merged and whose paths are absolute; ``folder`` is the study file's."""

    study: Study
    folder: Path


def load_study(path: str | Path, overrides: Sequence[str] = ()) -> LoadedStudy:
    """Reads a study file. ``overrides`` are ``key.path=value`` texts, values in YAML.

    Raises StudyError that tells every problem (up to five), the first one in its fields.
    """
    file = Path(path).expanduser()
    data = apply_overrides(_as_map(parse_yaml(_read(file), str(path)), str(path)), overrides)
    folder = file.absolute().parent
    study = with_included_spaces(validate(Study, data), folder)
    return LoadedStudy(_checked(with_absolute_paths(study, folder)), folder)


def parse_study(text: str, source: str = "the study") -> Study:
    """A study from YAML that needs no other file, as ``dump_study`` writes it. Raises StudyError."""
    study = validate(Study, _as_map(parse_yaml(text, source), source))
    if study.space.include:
        rule = "a resolved study has its space files merged"
        raise StudyError(f"space.include: {rule}", key="space.include", value=study.space.include, rule=rule)
    return _checked(study)


def load_slo(path: str | Path) -> Slo:
    """Reads SLOs from a file that is an ``slo`` section, or a study, of which the rest is not looked at.

    Raises StudyError.
    """
    data = parse_yaml(_read(Path(path).expanduser()), str(path))
    if not isinstance(data, dict):
        rule = "SLOs are a map: ttft, tpot, itl, e2e, …, or a study with the key slo"
        raise StudyError(f"{path}: {short(data)}: {rule}", value=data, rule=rule)
    is_study = any(key in Study.model_fields for key in data)
    return validate(Slo, data.get("slo", {}), "slo") if is_study else validate(Slo, data)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        reason = "is not UTF-8 text"
    except OSError as error:
        reason = f"can't be read: {error.strerror}"
    raise StudyError(f"the file {file} {reason}", value=str(file), rule="a YAML file")


def _as_map(data: Any, source: str) -> dict[str, Any]:
    if isinstance(data, dict):
        return data
    rule = "a study is a map: model, engine, workload, …"
    raise StudyError(f"{source}: {'it is empty' if data is None else short(data)}: {rule}", value=data, rule=rule)


def _checked(study: Study) -> Study:
    problems = broken_rules(study)
    if problems:
        raise study_error(problems)
    return study
