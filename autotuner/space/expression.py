"""The expressions of conditions and constraints: arithmetic, comparisons, logic over parameters.

``+ - * / // % **``, ``< <= > >= == !=`` (chained as in Python), ``in [..]``, ``and or not``, parentheses,
``min max abs ceil floor log2``, numbers, texts in quotes, ``true false null``. A name is a parameter's, with
every character that can't stand in a name written as ``_`` (``max-num-seqs`` → ``max_num_seqs``). Numbers are
doubles; ``and``, ``or`` and ``not`` give true or false.

An expression is *undefined* where a number is needed and there is none (null, a text), and on division by zero
and overflow; as in Python, ``a and b`` does not look at ``b`` once ``a`` is false.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from autotuner.errors import SpaceError
from autotuner.space import _scalar, _vector
from autotuner.space._nodes import Arithmetic, Call, Comparison, Literal, Logic, Membership, Name, Node, Unary, Value
from autotuner.space._numbers import UndefinedError
from autotuner.space._parser import error_at, parse
from autotuner.space._vector import Coder, Column


def identifier(name: str) -> str:
    """How a parameter's name is written in expressions."""
    return re.sub(r"[^\w.]", "_", name)


@dataclass(frozen=True)
class Expression:
    """A parsed expression. ``key`` is the study key it was read from."""

    text: str
    key: str
    root: Node

    @classmethod
    def parse(cls, text: str, key: str) -> Expression:
        """Raises SpaceError that points at the first wrong character, and at a text where a number must be."""
        root = parse(text, key)
        for node in _numeric_operands(root):
            if isinstance(node, Literal) and isinstance(node.value, str):
                raise error_at(text, key, node.at, f"a number, not the text {node.value!r}")
        return cls(text, key, root)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every name, in order of appearance."""
        return tuple(dict.fromkeys(node.name for node in _walk(self.root) if isinstance(node, Name)))

    @cached_property
    def used_as_number(self) -> frozenset[str]:
        """Names that arithmetic, an order or a function takes."""
        return frozenset(child.name for child in _numeric_operands(self.root) if isinstance(child, Name))

    @cached_property
    def used_as_truth(self) -> frozenset[str]:
        """Names that stand for true or false by themselves."""
        return frozenset(child.name for child in _truth_operands(self.root) if isinstance(child, Name))

    def renamed(self, names: Mapping[str, str]) -> str:
        """The text with names replaced by others, or by expressions in parentheses."""
        found = {node.at: node.name for node in _walk(self.root) if isinstance(node, Name) and node.name in names}
        text = self.text
        for at in sorted(found, reverse=True):
            text = text[:at] + names[found[at]] + text[at + len(found[at]) :]
        return text

    def evaluate(self, values: Mapping[str, Value]) -> Value:
        """Its value, ``None`` where it is undefined. ``values`` holds every name."""
        try:
            return _scalar.evaluate(self.root, values)
        except UndefinedError:
            return None

    def truth(self, values: Mapping[str, Value]) -> bool | None:
        """Whether it holds, ``None`` where it is undefined."""
        try:
            return _scalar.truth(self.root, values)
        except UndefinedError:
            return None

    def evaluate_columns(self, columns: Mapping[str, Column], coder: Coder) -> Column:
        """Its value for many Configs at once. ``columns`` holds every name."""
        return _vector.evaluate(self.root, columns, coder)

    def error_at(self, name: str, rule: str, nearest: str | None = None) -> SpaceError:
        """SpaceError that points at the first place of ``name``."""
        at = next(node.at for node in _walk(self.root) if isinstance(node, Name) and node.name == name)
        return error_at(self.text, self.key, at, rule, nearest)


def _children(node: Node) -> tuple[Node, ...]:
    match node:
        case Unary(_, operand):
            return (operand,)
        case Arithmetic(_, left, right):
            return left, right
        case Membership(_, member, items):
            return member, *items
        case Comparison(_, operands) | Logic(_, operands):
            return operands
        case Call(_, arguments):
            return arguments
        case Literal() | Name():
            return ()


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for child in _children(node):
        yield from _walk(child)


def _numeric_operands(root: Node) -> Iterator[Node]:
    for node in _walk(root):
        match node:
            case Arithmetic() | Call() | Unary("-" | "+"):
                yield from _children(node)
            case Comparison(ops, operands):
                for op, left, right in zip(ops, operands, operands[1:], strict=False):
                    if op.startswith(("<", ">")):
                        yield from (left, right)


def _truth_operands(root: Node) -> Iterator[Node]:
    yield root
    for node in _walk(root):
        match node:
            case Logic(_, operands):
                yield from operands
            case Unary("not", operand):
                yield operand


@dataclass(frozen=True)
class Constraint:
    """An expression that every Config must satisfy, not yet bound to a space.

    ``key`` says where it comes from: a key of the study, an engine, the model. ``reason`` tells people why, where
    the text alone does not.
    """

    text: str
    key: str
    reason: str = ""
