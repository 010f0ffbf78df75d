"""The SearchSpace of a study: its own parameters, normalised parallelism and quantisation, the engine itself as a
dimension, and what engines and the model can't do as constraints like any other."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autotuner.engines.engine import Engine
from autotuner.engines.flags.catalogue import load_catalogue
from autotuner.engines.one_engine import split_prefix, study_of
from autotuner.engines.registry import get_engine
from autotuner.engines.settings import ACCELERATOR, ENGINE, is_flag, rule_values, variant_rules
from autotuner.engines.written_names import (
    flags_given_twice,
    names_in_expressions,
    names_in_rules,
    value_as_read,
    values_as_read,
)
from autotuner.errors import StudyError
from autotuner.nearest import nearest_word
from autotuner.space import SearchSpace, read_space
from autotuner.space.expression import Constraint, Expression, identifier
from autotuner.space.parallelism import PARALLELISM_NAMES
from autotuner.space.quantization import AUTO, PREFIX, QUANTIZATION_FIELDS, QUANTIZATION_PRESETS
from autotuner.strict.problem import Problem as StudyProblem
from autotuner.strict.problem import study_error
from autotuner.study.model import Study, as_tuple

_GPUS = "gpus"


def build_space(study: Study, more: Iterable[Constraint] = ()) -> SearchSpace:
    """The study's space, of which at least one Config is known to exist.

    ``more`` are constraints that come from elsewhere, as from the model's facts; they may name ``tp`` …, ``gpus``,
    ``quant.gemm`` … and, in a study of one engine, its flags. Raises SpaceError, and StudyError where the study sets a
    flag twice.
    """
    reader = _Reader(study)
    if problems := [StudyProblem(p.key, p.value, p.rule, p.nearest) for p in flags_given_twice(study)]:
        raise study_error(problems)
    space = reader.read(tuple(more))
    space.sample(random.Random(0))  # noqa: S311
    return space


def searched_accelerators(study: Study) -> tuple[str, ...]:
    """The GPU types that a study's Configs choose from; none where its servers run without GPUs, or run already."""
    on_gpus = study.hardware.gpus_per_server != 0 and study.launcher.kind != "endpoint"
    return tuple(study.hardware.accelerators) if on_gpus else ()


class _Reader:
    def __init__(self, study: Study) -> None:
        self._study = study
        self._engines = {name: get_engine(name) for name in study.engine.names}
        self._several = len(self._engines) > 1
        self._names = names_in_expressions(study)

    def read(self, more: tuple[Constraint, ...]) -> SearchSpace:
        section = self._study.space
        chosen = [_parallelism(self._study, self._engines), _quantization(self._study)]
        parameters: dict[str, Any] = {ENGINE: list(self._engines)} if self._several else {}
        if len(types := searched_accelerators(self._study)) > 1:
            parameters[ACCELERATOR] = list(types)
        for part in chosen:
            parameters |= part.parameters
        searched = values_as_read(self._study, section.parameters)
        parameters |= {self._own_name(name): given for name, given in searched.items()}
        constraints = [
            *(Constraint(text, f"space.constraints.{index}") for index, text in enumerate(section.constraints)),
            *(part.constraint for part in chosen if part.constraint is not None),
            *more,
        ]
        return read_space(
            parameters,
            self._conditions(parameters),
            [*map(self._in_own_words, constraints), *self._engine_rules(parameters)],
            self._constants(),
        )

    def _own_name(self, name: str) -> str:
        """A study of one engine may name it in a prefix: the parameter is the same."""
        prefix, flag = split_prefix(name)
        return flag if prefix in self._engines and not self._several else name

    def _conditions(self, parameters: Mapping[str, Any]) -> dict[str, str]:
        conditions = {
            self._own_name(name): Expression.parse(text, f"space.conditions.{name}").renamed(self._names)
            for name, text in self._study.space.conditions.items()
        }
        for name in parameters:
            prefix, _ = split_prefix(name)
            if prefix is None:
                continue
            if prefix not in self._engines:
                raise _foreign(name, prefix, list(self._engines))
            asks = f"{ENGINE} == '{prefix}'"
            conditions[name] = f"{asks} and ({conditions[name]})" if name in conditions else asks
        return conditions

    def _constants(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, engine in self._engines.items():
            values = rule_values(engine, study_of(self._study, name))
            found |= {(f"{name}.{key}" if self._several and is_flag(key) else key): v for key, v in values.items()}
        written = self._study.engine.args.items()
        return {**found, **{identifier(name): value_as_read(self._study, name, value) for name, value in written}}

    def _in_own_words(self, constraint: Constraint) -> Constraint:
        """``gpus`` spelled out, the GPUs of one server, and flags called as the parameters that search them."""
        names = dict(self._names)
        if _GPUS in constraint.text:
            texts = [
                f"({engine.gpus_text})" if not self._several else f"({ENGINE} == '{name}') * ({engine.gpus_text})"
                for name, engine in self._engines.items()
            ]
            names[_GPUS] = f"({' + '.join(texts)})"
        if not names:
            return constraint
        text = Expression.parse(constraint.text, constraint.key).renamed(names)
        return Constraint(text, constraint.key, constraint.reason)

    def _engine_rules(self, parameters: Mapping[str, Any]) -> Iterator[Constraint]:
        """What engines can't do, as far as it depends on what is searched."""
        searched = {identifier(name) for name in parameters}
        for name, engine in self._engines.items():
            version = load_catalogue(name, study_of(self._study, name).engine.version).version
            written = names_in_rules(self._study, name)
            for rule in (*engine.rules(version), *variant_rules(engine, self._study)):
                expression = Expression.parse(rule.text, "space")
                names = {_GPUS: f"({engine.gpus_text})", **written}
                if self._several:
                    own = (n for n in expression.names if n not in searched and n not in names and is_flag(n))
                    names |= {n: f"{name}.{n}" for n in own if n not in PARALLELISM_NAMES}
                text = expression.renamed(names)
                if searched.isdisjoint(Expression.parse(text, name).names):
                    continue
                text = f"{ENGINE} != '{name}' or ({text})" if self._several else text
                yield Constraint(text, _key(expression.names), f"{rule.reason} ({name} {version})")


def _key(names: Sequence[str]) -> str:
    """The section of a study that a rule is about."""
    if any(name in PARALLELISM_NAMES or name == _GPUS for name in names):
        return "space.parallelism"
    return "space.quantization" if any(name.startswith(PREFIX) for name in names) else "space.parameters"


# ── normalised sections ───────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Part:
    """Parameters of a normalised section, and what binds them where presets do."""

    parameters: Mapping[str, Any]
    constraint: Constraint | None = None


def _parallelism(study: Study, engines: Mapping[str, Engine]) -> _Part:
    section = study.space.parallelism
    combinations: list[dict[str, tuple[Any, ...]]] = []
    for preset in as_tuple(section.preset):
        for name, engine in engines.items():
            known = engine.parallelism_presets
            if preset not in known:
                raise _unknown_preset("space.parallelism.preset", preset, list(known), f"{name} has ")
            combination: dict[str, tuple[Any, ...]] = dict(known[preset])
            combinations.append(combination if len(engines) == 1 else {ENGINE: (name,), **combination})
    given = {name: as_tuple(getattr(section, name)) for name in PARALLELISM_NAMES}
    return _bound(combinations, dict.fromkeys(PARALLELISM_NAMES, 1), "space.parallelism.preset", given)


def _quantization(study: Study) -> _Part:
    section = study.space.quantization
    combinations: list[dict[str, tuple[Any, ...]]] = []
    for preset in as_tuple(section.preset):
        if preset not in QUANTIZATION_PRESETS:
            raise _unknown_preset("space.quantization.preset", preset, list(QUANTIZATION_PRESETS), "")
        formats = QUANTIZATION_PRESETS[preset].as_dict()
        combinations.append({name: (value,) for name, value in formats.items() if value != AUTO})
    given = {PREFIX + name: as_tuple(getattr(section, name)) for name in QUANTIZATION_FIELDS}
    return _bound(combinations, dict.fromkeys(given, AUTO), "space.quantization.preset", given)


def _bound(
    combinations: Sequence[Mapping[str, tuple[Any, ...]]],
    defaults: Mapping[str, Any],
    key: str,
    values: Mapping[str, tuple[Any, ...]],
) -> _Part:
    """Parameters of all values that combinations have, and a constraint that keeps them together.

    What the study gives itself (``values``) takes the place of the preset's own values.
    """
    given = {name: list(own) for name, own in values.items() if own}
    names = [name for name in defaults if any(name in combination for combination in combinations) or name in given]
    parameters: dict[str, list[Any]] = {}
    for name in names:
        preset = [value for c in combinations for value in c.get(name, (defaults[name],))]
        parameters[name] = given.get(name) or list(dict.fromkeys(preset))
    texts = [_text(combination, [n for n in names if n not in given], defaults) for combination in combinations]
    bound = [name for name in names if name not in given and len(parameters[name]) > 1]
    if not bound or "" in texts:
        return _Part(parameters)
    text = " or ".join(dict.fromkeys(f"({text})" for text in texts))
    return _Part(parameters, Constraint(text, key, "only the combinations of the presets"))


def _text(combination: Mapping[str, tuple[Any, ...]], names: Sequence[str], defaults: Mapping[str, Any]) -> str:
    parts = []
    for name in [n for n in (ENGINE,) if n in combination] + list(names):
        values = combination.get(name, (defaults.get(name),))
        shown = [repr(value) for value in values]
        parts.append(f"{name} == {shown[0]}" if len(shown) == 1 else f"{name} in [{', '.join(shown)}]")
    return " and ".join(parts)


def _unknown_preset(key: str, preset: str, known: list[str], whose: str) -> StudyError:
    nearest = nearest_word(preset, known)
    hint = f"; did you mean {nearest!r}?" if nearest else ""
    rule = f"{whose}{', '.join(known)}"
    return StudyError(f"{key}: {preset!r}: {rule}{hint}", key=key, value=preset, rule=rule, nearest=nearest)


def _foreign(name: str, prefix: str, engines: list[str]) -> StudyError:
    key, rule = f"space.parameters.{name}", f"{prefix} is not among the study's engines: {', '.join(engines)}"
    return StudyError(f"{key}: {rule}", key=key, value=name, rule=rule)
