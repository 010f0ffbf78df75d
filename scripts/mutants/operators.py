"""The changes that are made: mutmut's, and those it lacks.

Left out is what the type checker notices (``None`` for an argument or a value) and what only changes a text. A plain
``return`` of a value is not removed for the same reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import libcst as cst
from mutmut.mutation import mutators

Operator = Callable[[Any], Iterable[cst.CSTNode]]

_SWAPPED = {"min": "max", "max": "min", "any": "all", "all": "any", "ceil": "floor", "floor": "ceil"}


def lessened_number(node: cst.Integer | cst.Float) -> Iterator[cst.BaseExpression]:
    """``n`` → ``n - 1``; mutmut has ``n + 1``."""
    value = node.evaluated_value - 1
    if value >= 0:
        yield node.with_changes(value=repr(value))
    else:
        negative = cst.UnaryOperation(cst.Minus(), node.with_changes(value=repr(-value), lpar=[], rpar=[]))
        yield negative.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])


def swapped_function(node: cst.Call) -> Iterator[cst.Call]:
    """``min`` ↔ ``max``, ``any`` ↔ ``all``, ``ceil`` ↔ ``floor``; also numpy's, such as ``np.minimum``."""
    match node.func:
        case cst.Name(value=name) if name in _SWAPPED:
            yield node.with_changes(func=cst.Name(_SWAPPED[name]))
        case cst.Attribute(attr=cst.Name(value=name)) as func:
            other = {**_SWAPPED, "minimum": "maximum", "maximum": "minimum"}.get(name)
            if other is not None:
                yield node.with_changes(func=func.with_changes(attr=cst.Name(other)))


def removed_guard(node: cst.If) -> Iterator[cst.BaseStatement]:
    """``if …: …`` without an ``else`` goes."""
    if node.orelse is None:
        yield cst.SimpleStatementLine([cst.Pass()])


def removed_statement(node: cst.SimpleStatementLine) -> Iterator[cst.BaseStatement]:
    """A call for its effect, an item or attribute that is set, a ``raise``, ``continue`` or ``break`` goes."""
    match node.body[0]:
        case cst.Expr(value=cst.Call()) | cst.AugAssign() | cst.Raise() | cst.Continue() | cst.Break() | cst.Del():
            yield node.with_changes(body=[cst.Pass()])
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Attribute() | cst.Subscript())]):
            yield node.with_changes(body=[cst.Pass()])


# Type of node → what is made of it. A conditional expression is forced to either side by mutmut's.
OPERATORS: tuple[tuple[type[cst.CSTNode], Operator], ...] = (
    (cst.BaseNumber, mutators.operator_number),
    (cst.BaseNumber, lessened_number),
    (cst.Name, mutators.operator_name),
    (cst.AugAssign, mutators.operator_augmented_assignment),
    (cst.UnaryOperation, mutators.operator_remove_unary_ops),
    (cst.Call, mutators.operator_symmetric_string_methods_swap),
    (cst.Call, mutators.operator_unsymmetrical_string_methods_swap),
    (cst.Call, swapped_function),
    (cst.CSTNode, mutators.operator_keywords),
    (cst.CSTNode, mutators.operator_swap_op),
    (cst.Match, mutators.operator_match),
    (cst.IfExp, mutators.operator_if_exp),
    (cst.If, removed_guard),
    (cst.SimpleStatementLine, removed_statement),
)
