"""What the engines' catalogues refuse is taken out of a draft and listed: older files name flags that are gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autotuner.engines import build_space, study_problems
from autotuner.engines.registry import engine_names
from autotuner.errors import InputError
from autotuner.imports.draft import StudyDraft
from autotuner.imports.record import Recorder
from autotuner.imports.writing import study_text
from autotuner.study import Study
from autotuner.study.loader import load_study_text

_MOST_ROUNDS = 200  # each takes out one thing


def take_out_refused(draft: StudyDraft, source: Recorder) -> None:
    """Nothing is done where an engine is not known here."""
    name = draft.get("engine", "name")
    engines = name if isinstance(name, list) else [name]
    if not set(engines) <= set(engine_names()):
        return
    for _ in range(_MOST_ROUNDS):
        study = load_study_text(study_text(draft, "", "", ()), Path(), source="the imported study").study
        found = _first_problem(study)
        if found is None or not _take_out(draft, source, *found):
            return


def _first_problem(study: Study) -> tuple[str, list[Any], str] | None:
    """Key, values and rule of what is wrong."""
    try:
        space = build_space(study)
        fatal = [problem for problem in study_problems(study, space) if problem.fatal]
    except InputError as error:
        return (error.key, [error.value], error.message) if error.key else None
    if not fatal:
        return None
    first = fatal[0]
    values = [problem.value for problem in fatal if (problem.key, problem.rule) == (first.key, first.rule)]
    hint = f"; the nearest is {first.nearest}" if first.nearest else ""
    return first.key, values, f"{first.rule}{hint}"


def _take_out(draft: StudyDraft, source: Recorder, key: str, values: list[Any], rule: str) -> bool:
    """Whether there was something at the key to take out."""
    if key.startswith("space.constraints."):
        return _take_out_constraint(draft, source, int(key.rpartition(".")[2]), rule)
    path = _path(draft, key)
    if path is None:
        return False
    given = draft.get(*path)
    reason = f"{draft.get('engine', 'name')} does not take it: {rule}"
    rest = [item for item in given if item not in values] if isinstance(given, list) else []
    if rest and len(rest) < len(given):
        refused = [item for item in given if item in values]
        source.note_key(draft.origins.get(".".join(path), key), refused, reason)
        is_flag = path[:2] == ("space", "parameters")
        if is_flag and len(rest) == 1:
            _remove(draft, path)
            draft.put(rest[0], "engine", "args", path[-1], origin=draft.origins.get(".".join(path), ""))
        else:
            draft.put(rest, *path)
        return True
    source.note_key(draft.origins.get(".".join(path), key), given, reason)
    _remove(draft, path)
    return True


def _take_out_constraint(draft: StudyDraft, source: Recorder, index: int, rule: str) -> bool:
    constraints = draft.get("space", "constraints") or []
    if index >= len(constraints):
        return False
    text = constraints.pop(index)
    source.note_key(draft.origins.get(f"constraint {text}", f"constraint {text}"), text, f"can't be judged: {rule}")
    return True


_FLAGS = ("engine", "args")
_MAPS = (_FLAGS, ("engine", "env"), ("space", "parameters"), ("space", "parallelism"), ("space", "quantization"))


def _path(draft: StudyDraft, key: str) -> tuple[str, ...] | None:
    """Where a key's value stands; flags may have dots in their names, and a key may go on below it."""
    for section in _MAPS:
        if not key.startswith(".".join(section) + "."):
            continue
        name = key.removeprefix(".".join(section) + ".")
        # What an engine alone has is told as if all shared it.
        own = [("engine", "per_engine", engine, "args") for engine in draft.get("engine", "per_engine") or {}]
        for place in [section, *(own if section == _FLAGS else [])]:
            found = next((n for n in draft.get(*place) or {} if name == n or name.startswith(f"{n}.")), None)
            if found is not None:
                return (*place, found)
    return None


def _remove(draft: StudyDraft, path: tuple[str, ...]) -> None:
    place = draft.get(*path[:-1])
    del place[path[-1]]
    if not place:
        outer = draft.get(*path[:-2]) if len(path) > 2 else draft.study
        del outer[path[-2]]
