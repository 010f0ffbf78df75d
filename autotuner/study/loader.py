"""From a study file to a Study: layers, overrides, space files, paths, rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autotuner.errors import InputError, StudyError
from autotuner.strict.paths import absolute_path
from autotuner.strict.problem import short, study_error
from autotuner.strict.validate import validate
from autotuner.strict.yaml_text import parse_yaml
from autotuner.study.earlier_rules import with_earlier_rules
from autotuner.study.layers.layered import give_way, stacked, with_profile_names
from autotuner.study.layers.origins import LayerKind, Origin, Origins
from autotuner.study.layers.space_files import included_spaces, with_spaces
from autotuner.study.layers.stack import LayerStack
from autotuner.study.model import Slo, Study, Workload
from autotuner.study.paths import with_absolute_paths
from autotuner.study.quick_slo import read_slos
from autotuner.study.rules import broken_rules


@dataclass(frozen=True)
class LoadedStudy:
    """A resolved study: layers and space files are merged, paths are absolute; ``folder`` is the study file's.

    ``origins`` tells which layer set what.
    """

    study: Study
    folder: Path
    origins: Origins


def load_study(path: str | Path, overrides: Sequence[str] = ()) -> LoadedStudy:
    """Reads a study file. ``overrides`` are ``key.path=value`` texts, values in YAML.

    Raises StudyError that tells every problem (up to five), the first one in its fields.
    """
    text = _read(Path(path).expanduser())
    return load_study_text(text, absolute_path(path).parent, overrides, str(path))


def load_study_text(
    text: str, folder: Path, overrides: Sequence[str] = (), source: str = "the command line"
) -> LoadedStudy:
    """As ``load_study``, for a study that is in no file yet: its paths are relative to ``folder``."""
    data = _as_map(parse_yaml(text, source, kinds=(Study,)), source)
    stack, layers = stacked(data, source, overrides, folder)
    study = _validated(stack)
    included = included_spaces(study, folder)
    merged = with_spaces(study, included)
    if give_way(stack, list(merged.space.parameters), study.engine.names):
        merged = with_spaces(_validated(stack), included)
    for name, space in reversed(included):
        stack.below({"space": space.model_dump(mode="json")}, Origin(LayerKind.SPACE, name))
    resolved = with_profile_names(with_absolute_paths(merged.model_copy(update={"profiles": []}), folder))
    origins = stack.origins(tuple(dict.fromkeys(layer.origin for layer in layers)))
    return LoadedStudy(_checked(resolved), folder, origins)


def parse_study(text: str, source: str = "the study") -> Study:
    """A study from YAML that needs no other file, as ``dump_study`` writes it: no layers. Raises StudyError."""
    return _without_layers(_as_map(parse_yaml(text, source, kinds=(Study,)), source))


def parse_kept_study(text: str, source: str) -> Study:
    """As ``parse_study``, for the resolved study of an output folder, which an earlier version may have written."""
    return _without_layers(with_earlier_rules(_as_map(parse_yaml(text, source, kinds=(Study,)), source)))


def _without_layers(data: dict[str, Any]) -> Study:
    study = validate(Study, data)
    if study.profiles:
        rule = "a resolved study has its layers merged"
        raise StudyError(f"profiles: {rule}", key="profiles", value=study.profiles, rule=rule)
    if study.space.include:
        rule = "a resolved study has its space files merged"
        raise StudyError(f"space.include: {rule}", key="space.include", value=study.space.include, rule=rule)
    return _checked(study)


def read_workload(data: Mapping[str, Any]) -> Workload:
    """A workload by itself. Raises StudyError that tells every problem."""
    return validate(Workload, data, "workload")


def load_slo(path: str | Path) -> Slo:
    """Reads SLOs from a file that is an ``slo`` section, or a study, of which the rest is not looked at.

    Raises StudyError.
    """
    data = parse_yaml(_read(Path(path).expanduser()), str(path), kinds=(Slo, Study))
    if not isinstance(data, dict):
        rule = "SLOs are a map: ttft, tpot, itl, e2e, …, or a study with the key slo"
        raise StudyError(f"{path}: {short(data)}: {rule}", value=data, rule=rule)
    is_study = any(key in Study.model_fields for key in data)
    return validate(Slo, data.get("slo", {}), "slo") if is_study else validate(Slo, data)


def load_slos(given: Sequence[str | Path]) -> Slo:
    """SLOs as the command line has them: texts such as ``ttft.p90=300ms``, or one file as ``load_slo`` reads it.

    Raises InputError.
    """
    texts = [str(one) for one in given]
    files = [text for text in texts if "=" not in text or Path(text).expanduser().is_file()]
    if files and len(texts) > 1:
        rule = "limits such as ttft.p90=300ms, or one file"
        raise InputError(f"--slo {files[0]}: {rule}", key="slo", value=texts, rule=rule)
    return load_slo(files[0]) if files else validate(Slo, read_slos(texts), "slo")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
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


def _validated(stack: LayerStack) -> Study:
    """The merged layers as a Study; what a layer has wrong is told with its name."""
    try:
        return validate(Study, stack.data)
    except StudyError as error:
        origin = stack.origins(()).of_part(error.key or "")
        if origin.kind.is_the_users or origin.kind is LayerKind.DEFAULT:
            raise
        first, *rest = error.message.splitlines()
        raise error.with_message("\n".join([f"{first} ({origin})", *rest])) from None


def _checked(study: Study) -> Study:
    problems = broken_rules(study)
    if problems:
        raise study_error(problems)
    return study
