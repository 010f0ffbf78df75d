"""Every change that can be made to a module, in the order of its text."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import libcst as cst
from libcst.metadata import MetadataWrapper, ParentNodeProvider, PositionProvider

from scripts.mutants.operators import OPERATORS

_LOGGERS = {"log", "_log", "logger", "_logger", "logging"}


@dataclass(frozen=True)
class Mutant:
    """One changed place. ``text`` is its line's; ``lines``: of the statement that holds it, or of that one's head."""

    path: Path
    line: int
    text: str
    lines: range
    at_import: bool
    before: cst.Module
    node: cst.CSTNode
    changed: cst.CSTNode

    @cached_property
    def source(self) -> str:
        after = self.before.deep_replace(self.node, self.changed)
        assert isinstance(after, cst.Module)
        return after.code

    @cached_property
    def diff(self) -> tuple[str, ...]:
        """Only the lines that go and those that come."""
        lines = difflib.unified_diff(self.before.code.splitlines(), self.source.splitlines(), lineterm="", n=0)
        return tuple(line for line in lines if not line.startswith(("---", "+++", "@@")))

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


def mutants_of(path: Path) -> list[Mutant]:
    """Every mutant of a file. What has no effect that a test could see is left as it is: see ``_Places``."""
    source = path.read_text(encoding="utf-8")
    wrapper = MetadataWrapper(cst.parse_module(source))
    places = _Places(path, source.splitlines())
    wrapper.visit(places)
    return places.found


class _Places(cst.CSTVisitor):
    """Skips annotations, decorators, imports, docstrings, logging, ``__all__`` and what only type checkers read.

    ``strict=True`` of ``zip`` is skipped too: it states what callers guarantee, so that no test can break it.
    """

    METADATA_DEPENDENCIES = (PositionProvider, ParentNodeProvider)

    def __init__(self, path: Path, lines: Sequence[str]) -> None:
        super().__init__()
        self.found: list[Mutant] = []
        self._path = path
        self._lines_of_file = lines
        self._module: cst.Module | None = None
        self._functions = 0

    def visit_Module(self, node: cst.Module) -> None:  # noqa: N802
        self._module = node

    def on_visit(self, node: cst.CSTNode) -> bool:
        if _is_skipped(node) or (isinstance(node, cst.Arg) and self._is_strict_zip(node)):
            return False
        for changed in _changes(node):
            if not self._is_alone_in_guard(node):
                self._add(node, changed)
        if isinstance(node, cst.FunctionDef | cst.Lambda):
            self._enter_function(node)
            return False
        return super().on_visit(node)

    def _enter_function(self, node: cst.FunctionDef | cst.Lambda) -> None:
        """Defaults are evaluated where the function is made; its body, where it is called."""
        node.params.visit(self)
        self._functions += 1
        node.body.visit(self)
        self._functions -= 1

    def _add(self, node: cst.CSTNode, changed: cst.CSTNode) -> None:
        assert self._module is not None
        line = self.get_metadata(PositionProvider, node).start.line
        text, at_import = self._lines_of_file[line - 1].strip(), self._functions == 0
        self.found.append(Mutant(self._path, line, text, self._lines(node), at_import, self._module, node, changed))

    def _lines(self, node: cst.CSTNode) -> range:
        while not isinstance(node, cst.BaseSmallStatement | cst.BaseCompoundStatement | cst.SimpleStatementLine):
            node = self.get_metadata(ParentNodeProvider, node)
        where = self.get_metadata(PositionProvider, node)
        if isinstance(node, cst.BaseCompoundStatement) and not isinstance(node, cst.Match | cst.Try):
            head_end = self.get_metadata(PositionProvider, node.body).start.line
            return range(where.start.line, max(head_end, where.start.line + 1))
        return range(where.start.line, where.end.line + 1)

    def _is_alone_in_guard(self, node: cst.CSTNode) -> bool:
        """Then it goes with the guard already."""
        if not isinstance(node, cst.SimpleStatementLine):
            return False
        block = self.get_metadata(ParentNodeProvider, node)
        guard = self.get_metadata(ParentNodeProvider, block, None)
        return isinstance(guard, cst.If) and guard.orelse is None and len(guard.body.body) == 1

    def _is_strict_zip(self, node: cst.Arg) -> bool:
        call = self.get_metadata(ParentNodeProvider, node)
        is_zip = isinstance(call, cst.Call) and isinstance(call.func, cst.Name) and call.func.value == "zip"
        return is_zip and node.keyword is not None and node.keyword.value == "strict"


def _changes(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    for kind, operator in OPERATORS:
        if isinstance(node, kind):
            yield from (changed for changed in operator(node) if not _is_same_number(node, changed))


def _is_same_number(node: cst.CSTNode, changed: cst.CSTNode) -> bool:
    """1e29 + 1 is 1e29."""
    number = cst.Integer | cst.Float
    return isinstance(node, number) and isinstance(changed, number) and node.evaluated_value == changed.evaluated_value


def _is_skipped(node: cst.CSTNode) -> bool:
    match node:
        case cst.Annotation() | cst.Decorator() | cst.Import() | cst.ImportFrom():
            return True
        case cst.Expr(value=cst.BaseString()):
            return True
        case cst.SimpleStatementLine(body=[cst.Expr(value=cst.Call(func=cst.Attribute(value=cst.Name(value=name))))]):
            return name in _LOGGERS
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value="__all__"))]):
            return True
        case cst.If(test=cst.Name(value="TYPE_CHECKING")):
            return True
    return False
