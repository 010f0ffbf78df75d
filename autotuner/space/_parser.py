"""From text to the tree in ``_nodes``: Python's own parser, then a list of what is allowed.

Nothing is ever handed to ``eval``.
"""

from __future__ import annotations

import ast
import math
import re
import warnings

from autotuner.errors import SpaceError
from autotuner.space._nodes import Arithmetic, Call, Comparison, Literal, Logic, Membership, Name, Node, Unary, Value

MAX_CHARACTERS = 1000
MAX_DEPTH = 100
FUNCTIONS = {"min": (1, None), "max": (1, None), "abs": (1, 1), "ceil": (1, 1), "floor": (1, 1), "log2": (1, 1)}
_CONSTANTS: dict[str, Value] = {"true": True, "false": False, "null": None}
_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
}
_UNARY: dict[type[ast.unaryop], str] = {ast.USub: "-", ast.UAdd: "+", ast.Not: "not"}
_COMPARE: dict[type[ast.cmpop], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.In: "in",
    ast.NotIn: "not in",
}
_FOREIGN = {"&&": "and", "||": "or", "!": "not", "=": "=="}


def parse(text: str, key: str) -> Node:
    """The tree of ``text``. Raises SpaceError that points at the first wrong character."""
    if not text.strip():
        raise SpaceError(f"{key}: an expression is empty", key=key, value=text, rule="an expression")
    if len(text) > MAX_CHARACTERS:
        rule = f"at most {MAX_CHARACTERS} characters"
        raise SpaceError(f"{key}: an expression of {len(text)} characters: {rule}", key=key, value=text, rule=rule)
    return _Parser(text, key).parse()


def error_at(text: str, key: str, at: int, rule: str, nearest: str | None = None) -> SpaceError:
    """SpaceError with the expression and a caret under its character ``at``."""
    hint = f"; did you mean {nearest!r}?" if nearest else ""
    shown = re.sub(r"\s", " ", text)
    return SpaceError(
        f"{key}: {rule}{hint}\n    {shown}\n    {' ' * at}^", key=key, value=text, rule=rule, nearest=nearest
    )


class _Parser:
    def __init__(self, text: str, key: str) -> None:
        self._text = text
        self._key = key
        # Parentheses let an expression start with blanks and run over lines.
        self._source = "(" + re.sub(r"\s", " ", text) + ")"
        self._depth = 0

    def parse(self) -> Node:
        self._check_characters()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Python's advice about the text is not for our users
                tree = ast.parse(self._source, mode="eval")
            return self._node(tree.body)
        except SyntaxError as error:
            raise self._syntax_error(error) from None
        except (ValueError, RecursionError, MemoryError):
            raise self._error(0, "not an expression that can be read") from None

    def _check_characters(self) -> None:
        """What Python would misread once the text stands in parentheses: its end, a comment."""
        opened: list[int] = []
        for at, character in enumerate(self._without_texts()):
            if character == "(":
                opened.append(at)
            elif character == ")":
                if not opened:
                    raise self._error(at, "a ) without its (")
                opened.pop()
            elif character == "#":
                raise self._error(at, "a comment can't stand in an expression")
        if opened:
            raise self._error(opened[-1], "a ( without its )")

    def _without_texts(self) -> str:
        return re.sub(r"\"[^\"]*\"|'[^']*'", lambda found: " " * len(found[0]), self._text)

    def _syntax_error(self, error: SyntaxError) -> SpaceError:
        at = min(max((error.offset or 1) - 2, 0), len(self._text) - 1)
        foreign = re.search(r"&&|\|\||!(?!=)|(?<![=<>!])=(?!=)", self._without_texts())
        if foreign is not None:
            return self._error(foreign.start(), f"{foreign[0]} is not known here", _FOREIGN[foreign[0]])
        return self._error(at, "not an expression that can be read")

    def _error(self, at: int, rule: str, nearest: str | None = None) -> SpaceError:
        return error_at(self._text, self._key, at, rule, nearest)

    def _at(self, node: ast.expr) -> int:
        """Python counts in bytes, from the parenthesis that was put before."""
        return len(self._source.encode()[: node.col_offset].decode(errors="replace")) - 1

    def _node(self, node: ast.expr) -> Node:
        if self._depth == MAX_DEPTH:
            raise self._error(self._at(node), f"nested deeper than {MAX_DEPTH} levels")
        self._depth += 1
        found = self._open_node(node)
        self._depth -= 1
        return found

    def _open_node(self, node: ast.expr) -> Node:
        at = self._at(node)
        match node:
            case ast.Constant(value):
                return Literal(self._literal(value, at), at)
            case ast.Name(name) if name in _CONSTANTS:
                return Literal(_CONSTANTS[name], at)
            case ast.Name() | ast.Attribute():
                return Name(self._dotted(node), at)
            case ast.UnaryOp(op, operand) if type(op) in _UNARY:
                return Unary(_UNARY[type(op)], self._node(operand), at)
            case ast.BinOp(left, op, right) if type(op) in _BINARY:
                return Arithmetic(_BINARY[type(op)], self._node(left), self._node(right), at)
            case ast.BoolOp(op, operands):
                return Logic("and" if isinstance(op, ast.And) else "or", tuple(map(self._node, operands)), at)
            case ast.Compare():
                return self._comparison(node, at)
            case ast.Call(ast.Name(function), arguments, keywords=[]):
                return self._call(function, arguments, at)
        raise self._error(
            at, "only arithmetic, comparisons, and, or, not, in, and " + ", ".join(FUNCTIONS) + " can stand here"
        )

    def _literal(self, value: object, at: int) -> Value:
        if isinstance(value, int | float) and not _is_finite(value):
            raise self._error(at, "a number that is too large")
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise self._error(at, "a number, a text in quotes, true, false or null")

    def _dotted(self, node: ast.expr) -> str:
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, ast.Attribute):
            return f"{self._dotted(node.value)}.{node.attr}"
        raise self._error(self._at(node), "a name")

    def _comparison(self, node: ast.Compare, at: int) -> Node:
        ops: list[str] = []
        operands = [self._node(node.left)]
        for op, operand in zip(node.ops, node.comparators, strict=True):
            if type(op) not in _COMPARE:
                raise self._error(self._at(operand), "compare with <, <=, >, >=, ==, != or in")
            symbol = _COMPARE[type(op)]
            if symbol in ("in", "not in"):
                member = Membership(symbol, operands[-1], self._items(operand), at)
                if operand is not node.comparators[-1]:
                    raise self._error(at, "nothing can follow the list after `in`: use and")
                return Logic("and", (Comparison(tuple(ops), tuple(operands), at), member), at) if ops else member
            ops.append(symbol)
            operands.append(self._node(operand))
        return Comparison(tuple(ops), tuple(operands), at)

    def _items(self, node: ast.expr) -> tuple[Node, ...]:
        if not isinstance(node, ast.Tuple | ast.List | ast.Set) or not node.elts:
            raise self._error(self._at(node), "a list such as [1, 2] must follow `in`")
        return tuple(map(self._node, node.elts))

    def _call(self, function: str, arguments: list[ast.expr], at: int) -> Call:
        if function not in FUNCTIONS:
            raise self._error(at, f"{function!r} is no function: " + ", ".join(FUNCTIONS))
        least, most = FUNCTIONS[function]
        if len(arguments) < least or (most is not None and len(arguments) > most):
            raise self._error(at, f"{function} takes {'one value' if most == 1 else 'at least one value'}")
        return Call(function, tuple(map(self._node, arguments)), at)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False
