"""Counts the Configs of a space: every raw point with numpy, or a seeded sample of them.

Over the whole grid each parameter is an axis, and each rule is evaluated over the axes of the parameters that
it names alone; numpy's broadcasting does the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autotuner.space._vector import TRUE, BoolArray, Coder, Column
from autotuner.space.parameters import IntRange, Parameter, Rule

_BLOCK_POINTS = 1 << 20
_SAMPLE_POINTS = 1 << 16
_EXACT_IN_DOUBLES = 2**53


@dataclass(frozen=True)
class Tally:
    """Raw points looked at; those that meet the constraints; Configs among them; points that each constraint rejects.

    A parameter that is absent at a point has no say, so the points that differ in it alone are one Config.
    """

    points: int
    kept: int
    configs: float
    rejected: tuple[int, ...]


def tally_grid(parameters: Sequence[Parameter], constraints: Sequence[Rule]) -> Tally:
    """Looks at every raw point."""
    total = _Totals(len(constraints))
    for _, block in _blocks_of(parameters, constraints):
        total.add(block)
    return total.tally()


def valid_points(parameters: Sequence[Parameter], constraints: Sequence[Rule]) -> NDArray[np.int64]:
    """The flat indices, in C order, of the raw points that stand for a Config."""
    sizes = _sizes(parameters) or (1,)
    found = [np.empty(0, dtype=np.int64)]
    for starts, block in _blocks_of(parameters, constraints):
        standing = np.atleast_1d(np.broadcast_to(block.kept & block.first, block.shape))
        indices = [axis + start for axis, start in zip(np.nonzero(standing), starts or (0,), strict=True)]
        found.append(np.ravel_multi_index(indices, sizes).astype(np.int64))
    return np.concatenate(found)


def tally_sample(parameters: Sequence[Parameter], constraints: Sequence[Rule]) -> Tally:
    """Looks at a seeded sample of the raw points; ``configs`` is then the expected share of the sample."""
    block = _sampled(parameters, constraints)
    kept = np.broadcast_to(block.kept, block.shape)
    weights = np.ones(_SAMPLE_POINTS)
    for parameter in parameters:
        weights *= np.where(block.active[parameter.name], 1.0, 1.0 / (parameter.size or 1))
    rejected = tuple(_points(r, block.shape) for r in block.rejected)
    return Tally(_SAMPLE_POINTS, int(kept.sum()), float(weights[kept].sum()), rejected)


def sampled_rejections(parameters: Sequence[Parameter], constraints: Sequence[Rule]) -> NDArray[np.bool_]:
    """Points × constraints: which point of a seeded sample each rejects."""
    block = _sampled(parameters, constraints)
    return np.column_stack([np.broadcast_to(mask, block.shape) for mask in block.rejected])


def _sampled(parameters: Sequence[Parameter], constraints: Sequence[Rule]) -> _Block:
    rng = np.random.default_rng(0)
    judge = _Judge(constraints)
    columns = {}
    for parameter in parameters:
        fractions = rng.random(_SAMPLE_POINTS)
        size = parameter.size
        values = [parameter.draw(f) if size is None else parameter.value_at(int(f * size)) for f in fractions]
        columns[parameter.name] = judge.coder.column(map(parameter.in_expressions, values))
    return judge.judge(parameters, columns, (_SAMPLE_POINTS,), ())


@dataclass(frozen=True)
class _Block:
    """Masks that broadcast to ``shape``. ``first`` is false where an absent parameter is not at its first value."""

    shape: tuple[int, ...]
    kept: BoolArray
    first: BoolArray
    active: Mapping[str, BoolArray]
    rejected: tuple[BoolArray, ...]


class _Judge:
    """Evaluates conditions and constraints over columns that broadcast against one another."""

    def __init__(self, constraints: Sequence[Rule]) -> None:
        self.coder = Coder()
        self._constraints = constraints

    def judge(
        self,
        parameters: Sequence[Parameter],
        columns: Mapping[str, Column],
        shape: tuple[int, ...],
        starts: tuple[int, ...],
    ) -> _Block:
        active: dict[str, BoolArray] = {}
        first = TRUE
        axes = _axes(parameters)
        for parameter in parameters:
            condition = parameter.condition
            active[parameter.name] = TRUE if condition is None else self._met(condition, columns, active)
            axis = axes.get(parameter.name)
            if condition is not None and starts and axis is not None:
                at_first = np.arange(starts[axis], starts[axis] + shape[axis]) == 0
                first = first & (active[parameter.name] | at_first.reshape(_along(axis, shape)))
        rejected = tuple(self._rejected(rule, columns, active) for rule in self._constraints)
        kept = TRUE
        for mask in rejected:
            kept = kept & ~mask
        return _Block(shape, kept, first, active, rejected)

    def _met(self, rule: Rule, columns: Mapping[str, Column], active: Mapping[str, BoolArray]) -> BoolArray:
        value, judged = self._evaluate(rule, columns, active)
        return judged & value

    def _rejected(self, rule: Rule, columns: Mapping[str, Column], active: Mapping[str, BoolArray]) -> BoolArray:
        value, judged = self._evaluate(rule, columns, active)
        return judged & ~value

    def _evaluate(
        self, rule: Rule, columns: Mapping[str, Column], active: Mapping[str, BoolArray]
    ) -> tuple[BoolArray, BoolArray]:
        known = {name: self.coder.literal(value) for name, value in rule.constants.items()}
        present = TRUE
        for parameter in rule.parameters:
            known[parameter.identifier] = columns[parameter.name]
            present = present & active[parameter.name]
        result = rule.expression.evaluate_columns(known, self.coder)
        return result.truth, result.known & present


class _Totals:
    def __init__(self, constraints: int) -> None:
        self._points = self._kept = self._configs = 0
        self._rejected = [0] * constraints

    def add(self, block: _Block) -> None:
        self._points += math.prod(block.shape)
        self._kept += _points(block.kept, block.shape)
        self._configs += _points(block.kept & block.first, block.shape)
        for index, mask in enumerate(block.rejected):
            self._rejected[index] += _points(mask, block.shape)

    def tally(self) -> Tally:
        return Tally(self._points, self._kept, self._configs, tuple(self._rejected))


def _points(mask: BoolArray, shape: tuple[int, ...]) -> int:
    """How many points of ``shape`` a mask that broadcasts to it lets through."""
    return int(np.count_nonzero(mask)) * (math.prod(shape) // max(mask.size, 1))


def _blocks_of(
    parameters: Sequence[Parameter], constraints: Sequence[Rule]
) -> Iterator[tuple[tuple[int, ...], _Block]]:
    """The grid in blocks, each with the index at which it starts along every axis."""
    judge = _Judge(constraints)
    axes = _axes(parameters)
    whole = {parameter.name: _column(parameter, judge.coder) for parameter in parameters}
    for slices in _slices(_sizes(parameters)):
        starts = tuple(part.start for part in slices)
        shape = tuple(part.stop - part.start for part in slices)
        columns = {}
        for name, column in whole.items():
            axis = axes.get(name)
            columns[name] = (
                column.reshaped(()) if axis is None else column.block(slices[axis]).reshaped(_along(axis, shape))
            )
        yield starts, judge.judge(parameters, columns, shape, starts)


def _axes(parameters: Sequence[Parameter]) -> dict[str, int]:
    """The axis of each parameter that has several values; numpy has too few axes to waste them on the others."""
    return {parameter.name: axis for axis, parameter in enumerate(p for p in parameters if p.size != 1)}


def _sizes(parameters: Sequence[Parameter]) -> tuple[int, ...]:
    return tuple(p.size for p in parameters if p.size is not None and p.size != 1)


def _along(axis: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(length if index == axis else 1 for index, length in enumerate(shape))


def _column(parameter: Parameter, coder: Coder) -> Column:
    if isinstance(parameter, IntRange) and max(abs(parameter.low), abs(parameter.high)) < _EXACT_IN_DOUBLES:
        return Column(np.arange(parameter.low, parameter.high + 1, parameter.step, dtype=np.float64))
    return coder.column(map(parameter.in_expressions, parameter.values()))


def _slices(sizes: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Cuts a grid into blocks of at most ``_BLOCK_POINTS``."""
    if not sizes:
        yield ()
        return
    rest = math.prod(sizes[1:])
    length = max(_BLOCK_POINTS // rest, 1)
    for start in range(0, sizes[0], length):
        head = slice(start, min(start + length, sizes[0]))
        for tail in _slices(sizes[1:]):
            yield (head, *tail)
