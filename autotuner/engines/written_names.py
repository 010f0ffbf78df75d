"""How a study writes flags: each once, under names that expressions may call otherwise, with values as engines read
them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from autotuner.engines.flags.catalogue import Catalogue, load_catalogue
from autotuner.engines.flags.double_settings import GivenFlag, double_settings
from autotuner.engines.flags.flag import FlagType
from autotuner.engines.one_engine import split_prefix, study_of
from autotuner.engines.problem import Problem
from autotuner.engines.settings import NORMALISED, is_flag
from autotuner.errors import StudyError
from autotuner.space.expression import identifier
from autotuner.study.model import Study

_NUMBERS = (FlagType.INT, FlagType.FLOAT)


def names_in_rules(study: Study, engine: str) -> dict[str, str]:
    """What ``engine``'s rules call a flag → the searched parameter in expressions, where that is written otherwise.

    ``ubatch_size`` → ``ub``; ``enable_x`` → ``(not no_enable_x)``.
    """
    return {name: text for _, name, text in _others(study, engine)}


def names_in_expressions(study: Study) -> dict[str, str]:
    """The same for the study's own expressions, in which one of several engines stands in front."""
    several = len(study.engine.names) > 1
    return {
        f"{prefix}.{name}" if several and prefix else name: text
        for engine in study.engine.names
        for prefix, name, text in _others(study, engine)
    }


def flags_given_twice(study: Study) -> Iterator[Problem]:
    """Every flag that the study sets twice for one of its engines, under the keys that it wrote."""
    told: set[str] = set()
    for engine in study.engine.names:
        for problem in double_settings(_given(study, engine)):
            if problem.key not in told:
                told.add(problem.key)
                yield problem


def _given(study: Study, engine: str) -> Iterator[GivenFlag]:
    """The flags that are set for one engine; its own settings replace those of all."""
    settings = study.engine.per_engine.get(engine)
    own = list(_spelled(study, engine, f"engine.per_engine.{engine}.args", settings.args if settings else ()))
    for given in _spelled(study, engine, "engine.args", study.engine.args):
        if not any(one.spelling.overlaps(given.spelling) for one in own):
            yield given
    yield from own
    yield from _spelled(study, engine, "space.parameters", study.space.parameters)


def _spelled(study: Study, engine: str, section: str, names: Iterable[str]) -> Iterator[GivenFlag]:
    catalogue = _catalogue(study, engine)
    for written in names:
        prefix, name = split_prefix(written)
        spelling = catalogue.spelling(name) if prefix in (None, engine) and is_flag(name) else None
        if spelling is not None:
            yield GivenFlag(f"{section}.{written}", written, spelling)


def _others(study: Study, engine: str) -> Iterator[tuple[str | None, str, str]]:
    """(prefix, another name of a searched flag, the parameter in expressions)."""
    several = len(study.engine.names) > 1
    taken = {identifier(split_prefix(name)[1]) for name in study.space.parameters}
    for given in _spelled(study, engine, "space.parameters", study.space.parameters):
        spelling, (prefix, name) = given.spelling, split_prefix(given.name)
        if spelling.glued is not None or spelling.flag.reserved is not None:
            continue
        own = identifier(given.name if several else name)
        inside = "".join(f".{key}" for key in spelling.path)
        for other in (identifier(flag + inside) for flag in (spelling.flag.name, *spelling.flag.aliases)):
            if other not in taken and other not in NORMALISED:
                yield prefix, other, f"(not {own})" if spelling.is_negative else own


def _catalogue(study: Study, engine: str) -> Catalogue:
    return load_catalogue(engine, study_of(study, engine).engine.version)


def values_as_read(study: Study, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Entries of ``space.parameters`` with numbers as the engines read them: ``["8k"]`` is ``[8000]`` for vLLM.

    Raises StudyError for a text where a flag takes a number.
    """
    return {name: _entry_as_read(study, name, given) for name, given in parameters.items()}


def value_as_read(study: Study, name: str, value: Any) -> Any:
    """One value of a parameter; as it is written where the engines that have the flag read it differently."""
    if not isinstance(value, str) or not is_flag(name):
        return value
    prefix, flag = split_prefix(name)
    spellings = [
        spelling
        for engine in study.engine.names
        if prefix in (None, engine) and (spelling := _catalogue(study, engine).spelling(flag)) is not None
    ]
    read = [spelling.flag.read(value) for spelling in spellings if not spelling.path]
    return read[0] if read and all(one == read[0] for one in read) else value


def _entry_as_read(study: Study, name: str, given: Any) -> Any:
    if isinstance(given, list):
        return [_judged(study, name, value_as_read(study, name, value)) for value in given]
    if not isinstance(given, dict):
        return given
    choices, bounds = given.get("choices"), given.get("int")
    if isinstance(choices, dict):
        choices = {label: _judged(study, name, value_as_read(study, name, value)) for label, value in choices.items()}
        return {**given, "choices": choices}
    if isinstance(bounds, list):
        return {**given, "int": [value_as_read(study, name, bound) for bound in bounds]}
    return given


def _judged(study: Study, name: str, value: Any) -> Any:
    """Refuses a text for a number by the flag's own rule, before expressions find no number in it."""
    prefix, flag_name = split_prefix(name)
    for engine in study.engine.names if isinstance(value, str) and is_flag(name) else ():
        catalogue = _catalogue(study, engine)
        flag = catalogue.find(flag_name) if prefix in (None, engine) else None
        if flag is None or flag.type not in _NUMBERS:
            continue
        problem = catalogue.problem(f"space.parameters.{name}", flag_name, value)
        if problem is not None and problem.fatal:
            hint = f"; did you mean {problem.nearest!r}?" if problem.nearest else ""
            message = f"{problem.key}: {value!r}: {problem.rule}{hint}"
            raise StudyError(message, key=problem.key, value=value, rule=problem.rule, nearest=problem.nearest)
    return value
