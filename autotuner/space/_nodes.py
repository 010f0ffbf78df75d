"""The syntax tree of an expression. ``at`` is the character at which a node starts, for error texts."""

from __future__ import annotations

from dataclasses import dataclass

Value = bool | int | float | str | None


@dataclass(frozen=True)
class Literal:
    value: Value
    at: int


@dataclass(frozen=True)
class Name:
    name: str
    at: int


@dataclass(frozen=True)
class Unary:
    """``op`` is ``-``, ``+`` or ``not``."""

    op: str
    operand: Node
    at: int


@dataclass(frozen=True)
class Arithmetic:
    op: str
    left: Node
    right: Node
    at: int


@dataclass(frozen=True)
class Comparison:
    """``operands[0] ops[0] operands[1] ops[1] …``, chained as in Python."""

    ops: tuple[str, ...]
    operands: tuple[Node, ...]
    at: int


@dataclass(frozen=True)
class Membership:
    """``op`` is ``in`` or ``not in``. A chain that ends in one is the chain before it, ``and`` this."""

    op: str
    member: Node
    items: tuple[Node, ...]
    at: int


@dataclass(frozen=True)
class Logic:
    """``op`` is ``and`` or ``or``."""

    op: str
    operands: tuple[Node, ...]
    at: int


@dataclass(frozen=True)
class Call:
    function: str
    arguments: tuple[Node, ...]
    at: int


Node = Literal | Name | Unary | Arithmetic | Comparison | Membership | Logic | Call
