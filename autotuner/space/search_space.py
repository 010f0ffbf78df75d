"""SearchSpace: which Configs there are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from autotuner.errors import SpaceError
from autotuner.space import _grid_count
from autotuner.space._conflict import conflicting
from autotuner.space.config import Config
from autotuner.space.count import Count
from autotuner.space.parameters import Choice, FloatRange, Parameter, Rule

EXACT_LIMIT = 10_000_000
_LISTED_FOR_VALUES = 1_000_000
_TRIES = 10_000
_TRIES_BEFORE_LISTING = 200


class Rng(Protocol):
    """A seeded generator: ``random.Random`` or ``numpy.random.Generator``."""

    def random(self) -> float: ...


@dataclass(frozen=True)
class SearchSpace:
    """Parameters, each after those that its condition names, and the constraints on them.

    To build a Config step by step, take ``parameters`` in order, skip those whose ``is_active`` is false for
    the values so far, and ask ``violated`` at the end.
    """

    parameters: tuple[Parameter, ...]
    constraints: tuple[Rule, ...] = ()

    def __getitem__(self, name: str) -> Parameter:
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise KeyError(name)

    def active(self, values: Mapping[str, Any]) -> tuple[Parameter, ...]:
        """The parameters that exist given these values, in order."""
        present: dict[str, Any] = {}
        found = []
        for parameter in self.parameters:
            if parameter.is_active(present):
                found.append(parameter)
                if parameter.name in values:
                    present[parameter.name] = values[parameter.name]
        return tuple(found)

    def violated(self, config: Config) -> str | None:
        """The first constraint that the Config breaks, as written; ``None`` when it meets all."""
        return next((rule.text for rule in self.constraints if rule.holds(config.values) is False), None)

    def contains(self, config: Config) -> bool:
        """Whether it has just the parameters that exist, each at one of its values, and meets the constraints."""
        active = self.active(config.values)
        if {parameter.name for parameter in active} != set(config.values):
            return False
        if not all(parameter.contains(config.values[parameter.name]) for parameter in active):
            return False
        return self.violated(config) is None

    @property
    def raw_points(self) -> int | None:
        """Points before conditions and constraints; ``None`` where a range without a step makes them endless."""
        return None if self._shape is None else math.prod(self._shape)

    @property
    def _shape(self) -> tuple[int, ...] | None:
        sizes = tuple(parameter.size for parameter in self.parameters if parameter.size is not None)
        return sizes if len(sizes) == len(self.parameters) else None

    def sample(self, rng: Rng) -> Config:
        """A Config at random: each parameter by its own scale, drawn again until the constraints are met.

        Raises SpaceError when there is none, or none was found in 10,000 draws from a space too large to list.
        """
        can_list = self._is_exact
        rejected = [0] * len(self.constraints)
        tries = _TRIES_BEFORE_LISTING if can_list else _TRIES
        for _ in range(tries):
            config = self._draw(rng)
            broken = [index for index, rule in enumerate(self.constraints) if rule.holds(config.values) is False]
            if not broken:
                return config
            for index in broken:
                rejected[index] += 1
        if not can_list:
            self._refuse(rejected, tries, f"none of {tries:,} drawn at random does")
        return self._listed_config(rng.random())

    def grid(self) -> Iterator[Config]:
        """Every Config, in the parameters' order, the last one changing fastest. Lazy.

        Raises SpaceError, at once, for a range of floats without a step.
        """
        for parameter in self.parameters:
            if isinstance(parameter, FloatRange) and parameter.size is None:
                key = f"space.parameters.{parameter.name}"
                rule = "a grid needs a step for a range of floats"
                raise SpaceError(f"{key}: {rule}", key=key, value=[parameter.low, parameter.high], rule=rule)
        return self._grid_from(0, {})

    def listed(self, most: int) -> list[Config] | None:
        """Every Config, where it takes no more than a count to know that there are at most so many; else ``None``."""
        if not self._is_exact or (self.count().number or 0) > most:
            return None
        return [self._config_at(int(flat)) for flat in self._valid_points]

    def count(self) -> Count:
        """How many Configs there are: exact up to 10^7 raw points, else estimated from a seeded sample.

        Raises SpaceError when no Config, or none of the sample, meets the constraints.
        """
        found = self._counted()
        if not isinstance(found, Count):
            none = f"none of {found.points:,} drawn at random does"
            how = f"not one of {found.points:,} does" if self._is_exact else none
            self._refuse(list(found.rejected), found.points, how)
        return found

    def has_configs(self) -> bool:
        return isinstance(self._counted(), Count)

    @property
    def _is_exact(self) -> bool:
        return self.raw_points is not None and self.raw_points <= EXACT_LIMIT

    def _counted(self) -> Count | _grid_count.Tally:
        """The number of Configs; what was looked at where none of it is one."""
        raw, exact = self.raw_points, self._is_exact
        if raw is not None and not exact and (parts := self._parts()):
            return _sum([part.count() for part in parts], raw)
        tally = (_grid_count.tally_grid if exact else _grid_count.tally_sample)(self.parameters, self.constraints)
        if not tally.kept:
            return tally
        fraction = tally.kept / tally.points
        if raw is None:
            return Count(None, False, None, fraction)
        number = int(tally.configs) if exact else max(round(tally.configs / tally.points * raw), 1)
        return Count(number, exact, raw, fraction)

    def _parts(self) -> list[SearchSpace]:
        """The space cut by the values of a choice on which parameters depend, as the engine: each cut has fewer."""
        depended = {p.name for q in self.parameters if q.condition is not None for p in q.condition.parameters}
        for parameter in self.parameters:
            if isinstance(parameter, Choice) and parameter.condition is None and parameter.name in depended:
                parts = [self._at(parameter, index) for index in range(parameter.size)]
                if all(len(part.parameters) < len(self.parameters) for part in parts):
                    return [part for part in parts if part.has_configs()]
        return []

    def _at(self, choice: Choice, index: int) -> SearchSpace:
        """The Configs in which ``choice`` has that value, without the parameters that are never there then."""
        fixed = replace(choice, options=(choice.options[index],), labels=(choice.labels[index],))
        kept = tuple(fixed if p is choice else p for p in self.parameters if p is choice or not _is_absent(p, fixed))
        names = {parameter.name for parameter in kept}
        judged = tuple(rule for rule in self.constraints if all(p.name in names for p in rule.parameters))
        return SearchSpace(kept, judged)

    def values_taken(self) -> dict[str, frozenset[int]]:
        """Parameter → places of the values that some Config has, of those that are always there; empty for a space too
        large to be listed for it."""
        shape = self._shape
        if not shape or math.prod(shape) > _LISTED_FOR_VALUES:
            return {}
        places = np.unravel_index(self._valid_points, shape)
        pairs = zip(self.parameters, places, strict=True)
        return {p.name: frozenset(np.unique(seen).tolist()) for p, seen in pairs if p.condition is None}

    def why_none_has(self, choice: Choice, index: int) -> str:
        """The constraint that leaves no Config with that value, or most of the blame for it."""
        try:
            self._at(choice, index).count()
        except SpaceError as error:
            return error.rule or error.message
        return ""

    def _draw(self, rng: Rng) -> Config:
        values: dict[str, Any] = {}
        for parameter in self.parameters:
            if parameter.is_active(values):
                values[parameter.name] = parameter.draw(rng.random())
        return Config(values)

    def _grid_from(self, depth: int, values: dict[str, Any]) -> Iterator[Config]:
        if depth == len(self.parameters):
            yield Config(values)
            return
        parameter = self.parameters[depth]
        if not parameter.is_active(values):
            yield from self._grid_from(depth + 1, values)
            return
        for value in parameter.values():
            extended = {**values, parameter.name: value}
            if all(rule.holds(extended) is not False for rule in self._complete_at[depth]):
                yield from self._grid_from(depth + 1, extended)

    @cached_property
    def _complete_at(self) -> tuple[tuple[Rule, ...], ...]:
        """For each parameter the constraints that can be judged once it is set."""
        places = {parameter.name: index for index, parameter in enumerate(self.parameters)}
        complete: list[list[Rule]] = [[] for _ in self.parameters]
        for rule in self.constraints:
            if self.parameters:
                complete[max((places[p.name] for p in rule.parameters), default=0)].append(rule)
        return tuple(map(tuple, complete))

    @cached_property
    def _valid_points(self) -> NDArray[np.int64]:
        return _grid_count.valid_points(self.parameters, self.constraints)

    def _listed_config(self, fraction: float) -> Config:
        """The valid Config at ``fraction`` of their list, for constraints that leave few of the raw points."""
        if not len(self._valid_points):
            self.count()  # raises, with the constraint to blame
        return self._config_at(int(self._valid_points[int(fraction * len(self._valid_points))]))

    def _config_at(self, flat: int) -> Config:
        """The Config that stands for a raw point."""
        places = np.unravel_index(flat, self._shape or ())
        indices = {parameter.name: int(place) for parameter, place in zip(self.parameters, places, strict=True)}
        values: dict[str, Any] = {}
        for parameter in self.parameters:
            if parameter.is_active(values):
                values[parameter.name] = parameter.value_at(indices[parameter.name])
        return Config(values)

    def _refuse(self, rejected: list[int], points: int, how: str) -> NoReturn:
        worst = max(range(len(rejected)), key=rejected.__getitem__)
        together = () if rejected[worst] == points else self._conflict(rejected)
        rule = self.constraints[together[0] if together else worst]
        if together:
            rules = [self.constraints[index] for index in together]
            named = [f"{one.text!r} ({one.key})" for one in rules]
            blame = f"{', '.join(named[:-1])} and {named[-1]} reject all of them together"
            reasons = "; ".join(dict.fromkeys(one.reason for one in rules if one.reason))
        else:
            share = rejected[worst] / points
            blame = f"{rule.text!r} rejects all of them" if share == 1 else f"{rule.text!r} rejects most, {share:.1%}"
            reasons = rule.reason
        what = f"no Config meets the constraints: {how}; {blame}{f': {reasons}' if reasons else ''}"
        raise SpaceError(f"{rule.key}: {what}", key=rule.key, value=rule.text, rule=what)

    def _conflict(self, rejected: list[int]) -> tuple[int, ...]:
        return conflicting(self.parameters, self.constraints, rejected, can_list=self._is_exact)


def _is_absent(parameter: Parameter, fixed: Choice) -> bool:
    """Whether its condition is false whatever else is chosen."""
    rule = parameter.condition
    if rule is None or fixed.name not in {p.name for p in rule.parameters}:
        return False
    values = {**rule.constants, fixed.identifier: fixed.in_expressions(fixed.options[0])}
    try:
        return rule.expression.truth(values) is False
    except KeyError:  # what follows the choice in the condition matters
        return False


def _sum(counts: list[Count], raw: int) -> Count:
    numbers = [count.number for count in counts if count.number is not None]
    looked_at = [(count.kept_fraction, count.raw) for count in counts if count.raw is not None]
    kept = sum(fraction * points for fraction, points in looked_at) / sum(points for _, points in looked_at)
    return Count(sum(numbers), all(count.exact for count in counts), raw, kept)


def values_to_check(space: SearchSpace) -> Iterator[tuple[str, Any]]:
    """Every (parameter, value) that an engine's flag catalogue can judge: all choices, and the ends of ranges."""
    for parameter in space.parameters:
        values = parameter.options if isinstance(parameter, Choice) else (parameter.low, parameter.high)
        for value in values:
            yield parameter.name, value
