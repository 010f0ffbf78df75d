"""Evaluates an expression for one Config."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from autotuner.space._nodes import Arithmetic, Call, Comparison, Literal, Logic, Membership, Name, Node, Unary, Value
from autotuner.space._numbers import UndefinedError, log2, number, power

_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "**": power,
}
_ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
_FUNCTIONS: dict[str, Callable[..., float]] = {
    "min": lambda *values: min(values),
    "max": lambda *values: max(values),
    "abs": abs,
    "ceil": lambda a: float(math.ceil(a)),
    "floor": lambda a: float(math.floor(a)),
    "log2": log2,
}


def evaluate(node: Node, values: Mapping[str, Value]) -> Value:
    """The value of ``node``. Raises UndefinedError where it has none."""
    match node:
        case Literal(value):
            return value
        case Name(name):
            return values[name]
        case Unary("not", operand):
            return not _truth(evaluate(operand, values))
        case Unary(op, operand):
            value = number(evaluate(operand, values))
            return -value if op == "-" else value
        case Arithmetic(op, left, right):
            return _arithmetic(op, number(evaluate(left, values)), number(evaluate(right, values)))
        case Comparison():
            return _compare(node, values)
        case Membership(op, member, items):
            found = evaluate(member, values)
            return any(same(found, item) for item in [evaluate(i, values) for i in items]) is (op == "in")
        case Logic(op, operands):
            return _logic(op, operands, values)
        case Call(function, arguments):
            return _FUNCTIONS[function](*[number(evaluate(a, values)) for a in arguments])


def truth(node: Node, values: Mapping[str, Value]) -> bool:
    return _truth(evaluate(node, values))


def _truth(value: Value) -> bool:
    return number(value) != 0


def _arithmetic(op: str, left: float, right: float) -> float:
    try:
        result = _ARITHMETIC[op](left, right)
    except (ZeroDivisionError, OverflowError):
        raise UndefinedError from None
    if not math.isfinite(result):
        raise UndefinedError
    return result


def _compare(node: Comparison, values: Mapping[str, Value]) -> bool:
    left = evaluate(node.operands[0], values)
    for op, operand in zip(node.ops, node.operands[1:], strict=True):
        right = evaluate(operand, values)
        if not _related(op, left, right):
            return False
        left = right
    return True


def _related(op: str, left: Value, right: Value) -> bool:
    if op == "==":
        return same(left, right)
    if op == "!=":
        return not same(left, right)
    return _ORDER[op](number(left), number(right))


def same(left: Value, right: Value) -> bool:
    """Equality, of numbers as doubles; a number never equals a text, true equals 1."""
    if isinstance(left, bool | int | float) and isinstance(right, bool | int | float):
        return number(left) == number(right)
    return left == right


def _logic(op: str, operands: tuple[Node, ...], values: Mapping[str, Value]) -> bool:
    for operand in operands:
        if truth(operand, values) is (op == "or"):
            return op == "or"
    return op == "and"
