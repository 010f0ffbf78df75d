"""Layer files: named ones are shipped under search_spaces/, others are paths. Their text becomes Layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from autotuner.errors import StudyError
from autotuner.strict.forms import Section
from autotuner.strict.paths import absolute, shipped_spaces
from autotuner.strict.problem import Problem, nearest_name, study_error
from autotuner.strict.validate import validate
from autotuner.strict.yaml_text import parse_yaml
from autotuner.study.hardware_profiles import hardware_profiles
from autotuner.study.layers.layer import Condition, Layer, LayerContext, LayerPart, condition_keys
from autotuner.study.layers.origins import LayerKind, Origin
from autotuner.study.model import Study

_PROFILES = "slo"  # the folder of search_spaces/ whose files a study may name as profiles


class _File(Section):
    """A layer file with one part, or with several."""

    about: str = ""
    when: dict[str, Condition] = {}  # noqa: RUF012  # pydantic copies defaults
    mode: Literal["patch", "replace"] = "patch"
    study: dict[str, Any] = {}  # noqa: RUF012
    layers: Annotated[list[LayerPart], Field(description="Each laid over the one before it")] = []  # noqa: RUF012


class _StudyPart(Section):
    study: Study


class _Content(_StudyPart):
    """What a layer file's study keys are, for its texts."""

    layers: list[_StudyPart]


def profile_names() -> list[str]:
    return [f"{_PROFILES}/{file.stem}" for file in sorted((shipped_spaces() / _PROFILES).glob("*.yaml"))]


def find_layers(context: LayerContext, profiles: Sequence[str], folder: Path) -> Iterator[Layer]:
    """The layers that hold in this context, the lowest first: engine, hardware, model, profiles. Raises StudyError."""
    shipped = shipped_spaces()
    for engine in context.engines:
        for part in _parts(shipped / "engine" / f"{engine}.yaml", LayerKind.ENGINE, context):
            yield Layer(part.origin, part.part, (engine,))
    yield from _hardware_layers(context)
    for file in sorted((shipped / "model").glob("*.yaml")):
        yield from _parts(file, LayerKind.MODEL, context)
    for index, name in enumerate(profiles):
        file = _profile(name, f"profiles.{index}", folder)
        yield from _parts(file, LayerKind.PROFILE, context, name)


def _hardware_layers(context: LayerContext) -> Iterator[Layer]:
    """What the profile of each GPU type says of studies on it; a price becomes that of its type."""
    for profile in hardware_profiles() if context.accelerators else ():
        if profile.name not in context.accelerators or not profile.study:
            continue
        hardware = dict(profile.study.get("hardware", {}))
        if profile.price_per_hour is not None:
            hardware["cost_per_gpu_hour"] = {profile.name: profile.price_per_hour}
        if len(context.accelerators) > 1:
            hardware.pop("gpus_per_node", None)  # each type has its own
        part = LayerPart(study={**profile.study, "hardware": hardware})
        yield Layer(Origin(LayerKind.HARDWARE, profile.name), part)


def _parts(file: Path, kind: LayerKind, context: LayerContext, name: str | None = None) -> Iterator[Layer]:
    if kind is LayerKind.ENGINE and not file.is_file():
        return  # an engine of which nothing is to be said
    origin = Origin(kind, name or f"{file.parent.name}/{file.stem}")
    for part in _parsed(file, str(origin)):
        if context.meets(part.when):
            study = _with_absolute_paths(part.study, file.absolute().parent)
            yield Layer(origin, part.model_copy(update={"study": study}), context.engines_of(part.when))


def _parsed(file: Path, source: str) -> list[LayerPart]:
    """The parts of a layer file. Raises StudyError that names the layer."""
    content = validate(_File, _read(file, source), source)
    one = [LayerPart(when=content.when, mode=content.mode, study=content.study)] if content.study else []
    if bool(one) == bool(content.layers):
        raise study_error([Problem(source, None, "has either study or layers", shows_value=False)])
    known = set(Study.model_fields) - {"profiles"}
    problems = []
    for part in one or content.layers:
        for key in part.when:
            if key not in condition_keys():
                nearest = nearest_name(key, condition_keys())
                problems.append(Problem(f"{source}: when.{key}", None, "unknown condition", nearest, shows_value=False))
        for key in part.study:
            if key not in known:
                rule = "a layer can't name other layers" if key == "profiles" else "unknown key"
                nearest = None if key == "profiles" else nearest_name(key, sorted(known))
                problems.append(Problem(f"{source}: study.{key}", None, rule, nearest, shows_value=False))
    if problems:
        raise study_error(problems)
    return one or content.layers


def _profile(name: str, key: str, folder: Path) -> Path:
    if name.endswith((".yaml", ".yml")) or name.startswith((".", "/", "~")):
        file = Path(absolute(name, folder))
        if not file.is_file():
            raise study_error([Problem(key, name, f"a YAML file that can be read ({file})")])
        return file
    known = profile_names()
    if name not in known:
        rule = f"a path that ends in .yaml, or one of {', '.join(known)}"
        raise study_error([Problem(key, name, rule, nearest_name(name, known))])
    return shipped_spaces() / f"{name}.yaml"


def _read(file: Path, source: str) -> dict[str, Any]:
    try:
        data = parse_yaml(file.read_text(encoding="utf-8-sig"), str(file), kinds=(_Content,))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        rule = f"a YAML file that can be read ({file}: {reason})"
        raise StudyError(f"{source}: {rule}", key=source, value=str(file), rule=rule) from None
    if not isinstance(data, dict):
        raise study_error([Problem(source, data, "a layer is a map: about, when, mode, study, or layers")])
    return data


def _with_absolute_paths(study: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Paths of space files, datasets and traces are relative to the layer's own file."""
    found = dict(study)
    if isinstance(space := study.get("space"), dict) and isinstance(space.get("include"), list):
        found["space"] = {**space, "include": [_own_path(name, folder) for name in space["include"]]}
    if isinstance(workload := study.get("workload"), dict) and isinstance(source := workload.get("scenario"), dict):
        given = {key: absolute(str(path), folder) for key, path in source.items()}
        found["workload"] = {**workload, "scenario": given}
    return found


def _own_path(name: Any, folder: Path) -> Any:
    is_path = isinstance(name, str) and (name.endswith((".yaml", ".yml")) or name.startswith((".", "/", "~")))
    return absolute(name, folder) if is_path else name
