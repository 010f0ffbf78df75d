"""Layers under a study file: which apply, and how they are merged below it.

defaults → space files → engine → hardware → model → profiles → study file → ``--set``
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autotuner.errors import StudyError
from autotuner.models.files import is_local_model
from autotuner.strict.paths import absolute
from autotuner.strict.problem import Problem, study_error
from autotuner.study.hardware_profiles import find_profile, known_profile
from autotuner.study.layers.files import find_layers
from autotuner.study.layers.layer import Layer, LayerContext
from autotuner.study.layers.origins import LayerKind, Origin
from autotuner.study.layers.overrides import apply_overrides
from autotuner.study.layers.stack import VARIABLE, LayerStack, plain

if TYPE_CHECKING:
    from autotuner.models.facts import ModelFacts
    from autotuner.study.model import Study

_TYPES = "hardware.accelerators"
_SETTINGS = ("version", "args", "env", "command")  # of an engine


def stacked(
    data: Mapping[str, Any], source: str, overrides: Sequence[str], folder: Path
) -> tuple[LayerStack, list[Layer]]:
    """A study file's map and its overrides, over the layers that hold for it. Raises StudyError."""
    own = _own(data, overrides)
    profiles = own.get("profiles")
    names = [name for name in profiles if isinstance(name, str)] if isinstance(profiles, list) else []
    context = _context(own, folder)
    layers = list(find_layers(context, names, folder))
    stack = LayerStack()
    for layer in layers:
        said = _fitting(_scoped(layer, context.engines), own)
        if layer.part.mode == "replace":
            stack.replace(said, layer.origin)
        else:
            stack.patch(_longest_waits(said, stack.data, layer, context), layer.origin)
    stack.patch(data, Origin(LayerKind.STUDY, source))
    for override in overrides:
        stack.override(override, Origin(LayerKind.SET, override))
    return stack, layers


def give_way(stack: LayerStack, searched: Sequence[str], engines: Sequence[str]) -> bool:
    """Takes from ``engine.args`` and ``engine.env`` what layers set and the study searches over."""
    taken = False
    for section, prefixes in _engine_sections(engines):
        for path, settings in list(stack.settings.items()):
            if path[: len(section)] != section or len(path) != len(section) + 2 or settings[-1].removed:
                continue
            kind, name = path[-2:]
            spelled = f"{VARIABLE}{name}" if kind == "env" else plain(name)
            hit = next((s for s in searched for p in prefixes if _spelled(s) == p + spelled), None)
            if kind in ("args", "env") and hit is not None and not settings[-1].origin.kind.is_the_users:
                stack.remove(path, Origin(LayerKind.SPACE, f"searching over {hit}"))
                taken = True
    return taken


def _spelled(name: str) -> str:
    return name if VARIABLE in name else plain(name)


def _engine_sections(engines: Sequence[str]) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    shared = ("", *(f"{name}." for name in engines))
    own = [(("engine", "per_engine", name), ("", f"{name}.")) for name in engines]
    return [(("engine",), shared), *own]


def profile_name(accelerator: str) -> str:
    """The name that a GPU type has under search_spaces/hardware; one that is not known stays as it is."""
    profile = known_profile(accelerator)
    return accelerator if profile is None else profile.name


def with_profile_names(study: Study) -> Study:
    """The study with its GPU types, and their prices, under the names of search_spaces/hardware.

    Raises StudyError for a type that is not there.
    """
    hardware = study.hardware
    price = hardware.cost_per_gpu_hour
    known = [find_profile(name, f"{_TYPES}.{index}").name for index, name in enumerate(hardware.accelerators)]
    if len(set(known)) < len(known):
        raise study_error([Problem(_TYPES, hardware.accelerators, "each GPU type once")])
    changes: dict[str, Any] = {"accelerators": known}
    if isinstance(price, dict):
        changes["cost_per_gpu_hour"] = {profile_name(name): one for name, one in price.items()}
    return study.model_copy(update={"hardware": hardware.model_copy(update=changes)})


def _own(data: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """What the user wrote. An override that fails here is of a layer's value, or is told later."""
    own = dict(data)
    for override in overrides:
        try:
            own = apply_overrides(own, [override])
        except StudyError:
            continue
    return own


def _context(own: Mapping[str, Any], folder: Path) -> LayerContext:
    model_id = _at(own, "model", "id")
    model_id = model_id if isinstance(model_id, str) else ""
    path = absolute(model_id, folder) if model_id and is_local_model(model_id, folder) else model_id

    @cache
    def facts() -> ModelFacts | None:
        from autotuner.models.find import find_model_facts

        try:
            return find_model_facts(path, folder) if path else None
        except StudyError:  # files that can't be read are for ``check`` to tell
            return None

    return LayerContext(
        engines=_texts(_at(own, "engine", "name")),
        accelerators=tuple(map(profile_name, _texts(_at(own, "hardware", "accelerators")))),
        model_id=model_id,
        facts=facts,
    )


def _scoped(layer: Layer, engines: tuple[str, ...]) -> dict[str, Any]:
    """What a layer of one engine says of ``engine`` goes under its name where the study has several."""
    study, engine = layer.part.study, layer.part.study.get("engine")
    if len(engines) < 2 or not layer.engines or not isinstance(engine, dict):
        return study
    settings = {key: value for key, value in engine.items() if key in _SETTINGS}
    rest = {key: value for key, value in engine.items() if key not in _SETTINGS}
    per_engine = {name: {**settings, **_map(_at(rest, "per_engine", name))} for name in layer.engines}
    return {**study, "engine": {**rest, "per_engine": {**_map(rest.get("per_engine")), **per_engine}}}


def _fitting(said: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """What a layer says without what would contradict the study: a layer makes no valid study invalid."""
    if _at(own, "launcher", "kind") == "endpoint":  # it already runs: there is nothing to set or search
        said = {key: value for key, value in said.items() if key not in ("engine", "space")}
        if isinstance(search := said.get("search"), dict):
            said["search"] = {key: value for key, value in search.items() if key != "baseline"}
    if _at(own, "hardware", "gpus_per_server") == 0 and isinstance(budget := said.get("budget"), dict):
        said = {**said, "budget": {key: value for key, value in budget.items() if key != "gpu_hours"}}
    engine = said.get("engine")
    if isinstance(engine, dict) and isinstance(engine.get("per_engine"), dict):
        kept = {name: _under_shared(_map(one), own) for name, one in engine["per_engine"].items()}
        said = {**said, "engine": {**engine, "per_engine": kept}}
    return said


def _under_shared(settings: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """One engine's settings would win over those that the study gives for all: without them."""
    shared = _map(own.get("engine"))
    kept: dict[str, Any] = {}
    for key, value in settings.items():
        if key in ("args", "env") and isinstance(value, dict):
            names = {plain(name) for name in _map(shared.get(key))}
            kept[key] = {name: one for name, one in value.items() if plain(name) not in names}
        elif not shared.get(key):
            kept[key] = value
    return kept


def _longest_waits(
    said: dict[str, Any], below: Mapping[str, Any], layer: Layer, context: LayerContext
) -> dict[str, Any]:
    """Of several engines' time-outs the longest holds for all."""
    if layer.origin.kind is not LayerKind.ENGINE or len(context.engines) < 2:
        return said
    waits = {
        key: value
        for key, value in _map(said.get("timeouts")).items()
        if not _shorter(value, _at(below, "timeouts", key))
    }
    return {
        **{key: value for key, value in said.items() if key != "timeouts"},
        **({"timeouts": waits} if waits else {}),
    }


def _shorter(value: Any, other: Any) -> bool:
    return isinstance(value, int | float) and isinstance(other, int | float) and value <= other


def _at(data: Any, *keys: str) -> Any:
    for key in keys:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: Any) -> tuple[str, ...]:
    found = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return tuple(text for text in found if isinstance(text, str))
