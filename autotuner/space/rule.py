"""Rule: an expression bound to the parameters that it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from autotuner.space._nodes import Value
from autotuner.space.expression import Expression

if TYPE_CHECKING:
    from autotuner.space.parameters import Parameter


@dataclass(frozen=True)
class Constraint:
    """An expression that every Config must satisfy, not yet bound to a space.

    ``key`` says where it comes from: a key of the study, an engine, the model. ``reason`` tells people why, where
    the text alone does not.
    """

    text: str
    key: str
    reason: str = ""


@dataclass(frozen=True)
class Rule:
    """A condition or a constraint.

    ``parameters`` are those that it names; ``constants`` the fixed engine arguments that it names, by their
    identifiers. A rule that names an absent parameter, or is undefined, is not judged: a constraint then
    holds, a condition does not.
    """

    expression: Expression
    parameters: tuple[Parameter, ...]
    constants: Mapping[str, Value] = field(default_factory=dict, hash=False)
    reason: str = ""

    @property
    def text(self) -> str:
        return self.expression.text

    @property
    def key(self) -> str:
        return self.expression.key

    def holds(self, values: Mapping[str, Any]) -> bool | None:
        """Whether it holds for these parameter values, ``None`` when it is not judged."""
        known: dict[str, Value] = dict(self.constants)
        for parameter in self.parameters:
            if parameter.name not in values:
                return None
            known[parameter.identifier] = parameter.in_expressions(values[parameter.name])
        return self.expression.truth(known)
