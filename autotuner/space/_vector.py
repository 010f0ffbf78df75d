"""Evaluates an expression for many Configs at once, with numpy."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from autotuner.space._nodes import Arithmetic, Call, Comparison, Literal, Logic, Membership, Name, Node, Unary, Value
from autotuner.space._numbers import UndefinedError, log2, number, power

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
Kind = TypeVar("Kind", bound=np.generic)
TRUE: BoolArray = np.array(True)
_NO_CODE: NDArray[np.int64] = np.array(0)

_ARITHMETIC: dict[str, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "//": np.floor_divide,
    "%": np.remainder,
}
_ORDER: dict[str, Callable[[FloatArray, FloatArray], BoolArray]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


@dataclass(frozen=True)
class Column:
    """Values that broadcast against one another: a number where ``numeric``, else a text or null by its code.

    What stands where ``defined`` is false has no meaning.
    """

    numbers: FloatArray
    numeric: BoolArray = field(default_factory=lambda: TRUE)
    codes: NDArray[np.int64] = field(default_factory=lambda: _NO_CODE)
    defined: BoolArray = field(default_factory=lambda: TRUE)

    def reshaped(self, shape: tuple[int, ...]) -> Column:
        return Column(
            self.numbers.reshape(shape),
            _reshaped(self.numeric, shape),
            _reshaped(self.codes, shape),
            _reshaped(self.defined, shape),
        )

    def block(self, part: slice) -> Column:
        """A stretch of a column of one dimension."""
        return Column(
            self.numbers[part], _stretch(self.numeric, part), _stretch(self.codes, part), _stretch(self.defined, part)
        )

    @property
    def truth(self) -> BoolArray:
        truth: BoolArray = self.numbers != 0
        return truth

    @property
    def known(self) -> BoolArray:
        """Where the column can be reckoned with."""
        return self.defined & self.numeric


class Coder:
    """Numbers texts, so that equal ones have equal codes."""

    def __init__(self) -> None:
        self._codes: dict[str | None, int] = {None: 0}

    def column(self, values: Iterable[Value]) -> Column:
        found = list(values)
        numeric = np.array([isinstance(v, bool | int | float) for v in found], dtype=np.bool_)
        numbers = np.array([_double(v) for v in found], dtype=np.float64)
        if numeric.all():
            return Column(numbers, defined=_all_or_mask(np.isfinite(numbers)))
        codes = np.array([self._code(v) for v in found], dtype=np.int64)
        return Column(numbers, numeric, codes, _all_or_mask(np.isfinite(numbers)))

    def literal(self, value: Value) -> Column:
        return self.column([value]).reshaped(())

    def _code(self, value: Value) -> int:
        if value is not None and not isinstance(value, str):
            return -1
        return self._codes.setdefault(value, len(self._codes))


def evaluate(node: Node, columns: Mapping[str, Column], coder: Coder) -> Column:
    with np.errstate(all="ignore"):
        return _evaluate(node, columns, coder)


def _evaluate(node: Node, columns: Mapping[str, Column], coder: Coder) -> Column:
    match node:
        case Literal(value):
            return coder.literal(value)
        case Name(name):
            return columns[name]
        case Unary(op, operand):
            return _unary(op, _evaluate(operand, columns, coder))
        case Arithmetic(op, left, right):
            return _arithmetic(op, _evaluate(left, columns, coder), _evaluate(right, columns, coder))
        case Comparison(ops, operands):
            return _compare(ops, [_evaluate(o, columns, coder) for o in operands])
        case Membership(op, member, items):
            return _membership(op, _evaluate(member, columns, coder), [_evaluate(i, columns, coder) for i in items])
        case Logic(op, operands):
            return _logic(op, (_evaluate(o, columns, coder) for o in operands))
        case Call(function, arguments):
            return _call(function, [_evaluate(a, columns, coder) for a in arguments])


def _unary(op: str, operand: Column) -> Column:
    if op == "not":
        return _truths(~operand.truth, operand.known)
    numbers = operand.numbers.astype(np.float64)
    return Column(-numbers if op == "-" else numbers, defined=operand.known)


def _arithmetic(op: str, left: Column, right: Column) -> Column:
    known = left.known & right.known
    if op == "**":
        return _elementwise(power, [left, right], known)
    numbers = _ARITHMETIC[op](left.numbers, right.numbers)
    return Column(numbers, defined=known & np.isfinite(numbers))


def _call(function: str, arguments: list[Column]) -> Column:
    known = reduce(operator.and_, (a.known for a in arguments))
    numbers = [a.numbers for a in arguments]
    if function == "log2":
        return _elementwise(log2, arguments, known)
    if function in ("min", "max"):
        return Column(reduce(np.minimum if function == "min" else np.maximum, numbers), defined=known)
    single = {"abs": np.abs, "ceil": np.ceil, "floor": np.floor}[function]
    return Column(single(numbers[0]), defined=known)


def _elementwise(function: Callable[..., float], arguments: list[Column], known: BoolArray) -> Column:
    """Through Python's own mathematics: numpy's may differ in the last bit."""

    def guarded(*values: float) -> float:
        try:
            return function(*values)
        except UndefinedError:
            return float("nan")

    safe = [np.where(known, a.numbers, 1.0) for a in arguments]
    numbers = np.asarray(np.frompyfunc(guarded, len(safe), 1)(*safe), dtype=np.float64)
    return Column(numbers, defined=known & np.isfinite(numbers))


def _compare(ops: tuple[str, ...], operands: list[Column]) -> Column:
    return _logic("and", map(_related, ops, operands, operands[1:]))


def _related(op: str, left: Column, right: Column) -> Column:
    if op in ("==", "!="):
        equal = _same(left, right)
        return _truths(equal if op == "==" else ~equal, left.defined & right.defined)
    return _truths(_ORDER[op](left.numbers, right.numbers), left.known & right.known)


def _membership(op: str, left: Column, items: list[Column]) -> Column:
    found = reduce(operator.or_, (_same(left, item) for item in items))
    defined = reduce(operator.and_, (item.defined for item in items), left.defined)
    return _truths(found if op == "in" else ~found, defined)


def _same(left: Column, right: Column) -> BoolArray:
    both_numbers = left.numeric & right.numeric
    equal: BoolArray = both_numbers & (left.numbers == right.numbers)
    if both_numbers.all():
        return equal
    other: BoolArray = ~left.numeric & ~right.numeric & (left.codes == right.codes)
    return equal | other


def _logic(op: str, operands: Iterable[Column]) -> Column:
    """Left to right, so that what Python would not look at need not be defined."""
    value: BoolArray = TRUE if op == "and" else ~TRUE
    defined: BoolArray = TRUE
    for operand in operands:
        settled = ~value if op == "and" else value
        defined = defined & (settled | operand.known)
        value = value & operand.truth if op == "and" else value | operand.truth
    return _truths(value, defined)


def _truths(value: BoolArray, defined: BoolArray) -> Column:
    numbers: Any = np.asarray(value, dtype=np.float64)
    return Column(numbers, defined=defined)


def _double(value: Value) -> float:
    try:
        return number(value)
    except UndefinedError:
        return float("inf") if isinstance(value, int) else 0.0


def _all_or_mask(mask: BoolArray) -> BoolArray:
    return TRUE if mask.all() else mask


def _reshaped(array: NDArray[Kind], shape: tuple[int, ...]) -> NDArray[Kind]:
    return array.reshape(shape) if array.ndim else array


def _stretch(array: NDArray[Kind], part: slice) -> NDArray[Kind]:
    return array[part] if array.ndim else array
