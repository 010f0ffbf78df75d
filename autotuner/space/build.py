"""From parameters, conditions and constraints as a study has them to a SearchSpace."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from autotuner.errors import SpaceError
from autotuner.nearest import nearest_word
from autotuner.space._nodes import Value
from autotuner.space._read_parameter import read_parameter
from autotuner.space.expression import Constraint, Expression, identifier
from autotuner.space.parameters import Choice, Parameter, Rule
from autotuner.space.search_space import SearchSpace


def read_space(
    parameters: Mapping[str, Any],
    conditions: Mapping[str, str] | None = None,
    constraints: Sequence[str | Constraint] = (),
    fixed: Mapping[str, Any] | None = None,
) -> SearchSpace:
    """Reads a space. ``fixed`` are values that expressions may name without their being searched. A constraint that
    is a text is told as ``space.constraints.N``.

    Raises SpaceError for an ill-formed parameter, an expression that can't be read, an unknown name (with the
    nearest one), a text used as a number, and conditions that go in a circle.
    """
    found = {name: read_parameter(name, given) for name, given in parameters.items()}
    names = _identifiers(found)
    constants = _constants(fixed or {}, names)
    expressions = {
        name: Expression.parse(text, f"space.conditions.{name}") for name, text in (conditions or {}).items()
    }
    for name in expressions:
        if name not in found:
            _refuse_unknown_condition(name, list(found))
    ordered: dict[str, Parameter] = {}
    for name in _dependency_order(found, expressions, names, constants):
        parameter = found[name]
        if name in expressions:
            parameter = replace(parameter, condition=_bind(expressions[name], ordered, names, constants))
        ordered[name] = parameter
    rules = []
    for index, given in enumerate(constraints):
        constraint = Constraint(given, f"space.constraints.{index}") if isinstance(given, str) else given
        bound = _bind(Expression.parse(constraint.text, constraint.key), ordered, names, constants)
        rules.append(replace(bound, reason=constraint.reason))
    return SearchSpace(tuple(ordered.values()), tuple(rules))


def _identifiers(parameters: Mapping[str, Parameter]) -> dict[str, str]:
    """Identifier → parameter name."""
    names: dict[str, str] = {}
    for name in parameters:
        written = identifier(name)
        if written in names:
            rule = f"is written as {written!r} in expressions, just as {names[written]!r}"
            raise SpaceError(f"space.parameters.{name}: {rule}", key=f"space.parameters.{name}", value=name, rule=rule)
        names[written] = name
    return names


def _constants(fixed: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, value in fixed.items():
        if identifier(name) not in names and (value is None or isinstance(value, bool | int | float | str)):
            found[identifier(name)] = value
    return found


def _refuse_unknown_condition(name: str, known: list[str]) -> None:
    nearest = nearest_word(name, known)
    hint = f"; did you mean {nearest!r}?" if nearest else ""
    rule = "names no parameter of space.parameters"
    key = f"space.conditions.{name}"
    raise SpaceError(f"{key}: {rule}{hint}", key=key, value=name, rule=rule, nearest=nearest)


def _dependency_order(
    parameters: Mapping[str, Parameter],
    conditions: Mapping[str, Expression],
    names: Mapping[str, str],
    constants: Mapping[str, Value],
) -> list[str]:
    """Names in the study's order, but each after those that its condition names."""
    needs = {name: _named(expression, names, constants) for name, expression in conditions.items()}
    order: list[str] = []
    path: list[str] = []

    def visit(name: str) -> None:
        if name in order:
            return
        if name in path:
            circle = " → ".join([*path[path.index(name) :], name])
            key = f"space.conditions.{name}"
            rule = "conditions must not go in a circle"
            raise SpaceError(f"{key}: {rule}: {circle}", key=key, value=conditions[name].text, rule=rule)
        path.append(name)
        for needed in needs.get(name, ()):
            visit(needed)
        path.pop()
        order.append(name)

    for name in parameters:
        visit(name)
    return order


def _named(expression: Expression, names: Mapping[str, str], constants: Mapping[str, Value]) -> list[str]:
    """The parameters that an expression names. Raises SpaceError for a name that is none."""
    for name in expression.names:
        if name not in names and name not in constants:
            meant = _with_dashes(expression, name)
            if meant in names or meant in constants:
                raise expression.error_at(name, "names are written with _ for -", meant)
            nearest = nearest_word(name, [*names, *constants])
            nearest = nearest or next((known for known in names if known.startswith(f"{name}_")), None)
            rule = f"unknown name {name!r}" + ("" if nearest else ": no parameter of the space, no engine argument")
            raise expression.error_at(name, rule, nearest)
    return [names[name] for name in expression.names if name in names]


def _with_dashes(expression: Expression, name: str) -> str:
    """The identifier of what stands at ``name``, read as a name with dashes."""
    found = re.search(rf"(?<![\w.-]){re.escape(name)}(?:-[\w.]+)*", expression.text)
    return identifier(found[0]) if found else name


def _bind(
    expression: Expression, known: Mapping[str, Parameter], names: Mapping[str, str], constants: Mapping[str, Value]
) -> Rule:
    parameters = tuple(known[name] for name in _named(expression, names, constants))
    for parameter in parameters:
        _check_use(expression, parameter)
    return Rule(expression, parameters, {name: constants[name] for name in expression.names if name in constants})


def _check_use(expression: Expression, parameter: Parameter) -> None:
    """Refuses what could never be judged: a text as a number, or as true or false."""
    if not isinstance(parameter, Choice):
        return
    seen = [parameter.in_expressions(value) for value in parameter.options]
    name = parameter.identifier
    if name in expression.used_as_number and not any(isinstance(value, bool | int | float) for value in seen):
        raise expression.error_at(name, f"{name} has no number among its values")
    text = next((value for value in seen if isinstance(value, str)), None)
    if name in expression.used_as_truth and text is not None:
        raise expression.error_at(name, f"{name} has texts among its values: compare it, as in {name} == {text!r}")
