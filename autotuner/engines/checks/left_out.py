"""Values that a study lists and that no Config can have, with the reason. A space loses none of them in silence."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autotuner.engines.problem import Problem
from autotuner.engines.settings import ACCELERATOR, ENGINE
from autotuner.nearest import nearest_value
from autotuner.space import Choice, IntRange, Rule, SearchSpace
from autotuner.space.model_rules import KEY as MODEL
from autotuner.space.parallelism import PARALLELISM_NAMES
from autotuner.space.parameters import Parameter
from autotuner.space.quantization import PREFIX, QUANTIZATION_NAMES
from autotuner.study.model import Study

_SURROUNDINGS = (ENGINE, ACCELERATOR)  # told beside a value that some of them rule out
_MOST_CASES = 20_000
_WIDE = 64  # values of a range up to which all of them are looked at; rules are monotonic in wider ones


@dataclass(frozen=True)
class LeftOut:
    """A value of a parameter that no Config has, and why.

    ``rules`` each forbid it whatever else is chosen, none where only several of them together do. ``where``: with these
    engines and GPU types alone, empty for all of them.
    """

    parameter: str
    value: Any
    reason: str
    rules: tuple[Rule, ...] = ()
    where: tuple[str, ...] = ()


def left_out_values(space: SearchSpace) -> Iterator[LeftOut]:
    """Of wide ranges their ends, by one rule alone; of choices also by several rules, where the space can be listed."""
    judge = _Judge(space)
    taken = space.values_taken()
    for parameter in space.parameters:
        for index, value in enumerate(_listed(parameter)):
            found = judge.judged(parameter, value)
            if found is not None:
                yield found
            elif isinstance(parameter, Choice) and index not in taken.get(parameter.name, (index,)):
                yield LeftOut(parameter.name, value, space.why_none_has(parameter, index))


def left_out_problems(study: Study, space: SearchSpace) -> Iterator[Problem]:
    """A degree of parallelism that an engine never has is refused; what else is ruled out is told."""
    found = list(left_out_values(space))
    gone = {(one.parameter, repr(one.value)) for one in found if not one.where}
    for one in found:
        fine = [value for value in _values(space[one.parameter]) if (one.parameter, repr(value)) not in gone]
        key, value = _written(study, one)
        where = f"on {', '.join(one.where)}: " if one.where else ""
        where += "" if isinstance(space[one.parameter], Choice) else "an end of its range: "
        nearest = str(nearest_value(one.value, fine)) if fine and not one.where else None
        yield Problem(key, value, where + one.reason, nearest, _is_the_engines(study, one))


def _is_the_engines(study: Study, one: LeftOut) -> bool:
    """Whether the study lists a degree that none of its engines has, whatever the model."""
    alone = bool(one.rules) and all(rule.key != MODEL and _is_about(rule, one.parameter) for rule in one.rules)
    listed = one.parameter in PARALLELISM_NAMES and getattr(study.space.parallelism, one.parameter) is not None
    return alone and listed and not one.where and all(rule.reason for rule in one.rules)


class _Judge:
    def __init__(self, space: SearchSpace) -> None:
        self._rules = space.constraints
        around = [p for p in space.parameters if p.name in _SURROUNDINGS]
        cases = itertools.product(*(_values(parameter) for parameter in around))
        self._around = [dict(zip((p.name for p in around), case, strict=True)) for case in cases]
        self._alive = [case for case in self._around if _first_broken(self._rules, case) is None]

    def judged(self, parameter: Parameter, value: Any) -> LeftOut | None:
        """``None`` where no rule forbids the value by itself."""
        name = parameter.name
        cases = self._around if name in _SURROUNDINGS else self._alive
        cases = [case for case in cases if case.get(name, value) == value and _may_be_there(parameter, case)]
        rules = [rule for rule in self._rules if name in {p.name for p in rule.parameters}]
        if not isinstance(parameter, Choice):
            rules = [rule for rule in rules if rule.reason]  # the study's own constraints may well cut its ranges
        broken = [(case, _first_broken(rules, {**case, name: value})) for case in cases]
        forbidden = [(case, rule) for case, rule in broken if rule is not None]
        if not forbidden:
            return None
        told = tuple({rule.text: rule for _, rule in forbidden}.values())
        reason = "; ".join(dict.fromkeys(rule.reason or f"{rule.key} is {rule.text!r}" for rule in told))
        if len(forbidden) == len(cases):
            return LeftOut(name, value, reason, told)
        where = tuple(" ".join(str(v) for n, v in case.items() if n != name) for case, _ in forbidden)
        return LeftOut(name, value, reason, told, where)


def _first_broken(rules: Iterable[Rule], values: Mapping[str, Any]) -> Rule | None:
    """The first that never holds with these values."""
    return next((rule for rule in rules if _never_holds(rule, values)), None)


def _may_be_there(parameter: Parameter, case: Mapping[str, Any]) -> bool:
    condition = parameter.condition
    return condition is None or condition.holds(case) is not False


def _never_holds(rule: Rule, values: Mapping[str, Any]) -> bool:
    """Whether it is broken with these values, whatever the other parameters are."""
    others = [parameter for parameter in rule.parameters if parameter.name not in values]
    options = [_values(parameter) for parameter in others]
    if math.prod(map(len, options)) > _MOST_CASES:
        return False
    names = [parameter.name for parameter in others]
    return all(
        rule.holds({**values, **dict(zip(names, case, strict=True))}) is False for case in itertools.product(*options)
    )


def _values(parameter: Parameter) -> list[Any]:
    """All of them, of a wide range the ends."""
    if isinstance(parameter, IntRange) and parameter.size < _WIDE:
        return list(parameter.values())
    return _listed(parameter)


def _listed(parameter: Parameter) -> list[Any]:
    """Those that the study wrote."""
    return list(parameter.options) if isinstance(parameter, Choice) else [parameter.low, parameter.high]


def _is_about(rule: Rule, name: str) -> bool:
    """Whether it looks at this parameter, and at the engine at most."""
    return {parameter.name for parameter in rule.parameters} <= {name, ENGINE}


def _written(study: Study, one: LeftOut) -> tuple[str, Any]:
    """The key under which the study lists the value, and the value as it is told there."""
    name, value = one.parameter, one.value
    if name == ENGINE:
        return "engine.name", value
    if name == ACCELERATOR:
        return "hardware.accelerators", value
    for section, names, prefix in (
        ("parallelism", PARALLELISM_NAMES, ""),
        ("quantization", QUANTIZATION_NAMES, PREFIX),
    ):
        if name in names and name not in study.space.parameters:
            own = name.removeprefix(prefix)
            if getattr(getattr(study.space, section), own) is not None:
                return f"space.{section}.{own}", value
            return f"space.{section}.preset", f"{own} {value}"
    return f"space.parameters.{name}", value
