"""Config: one point of the search space."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class Config:
    """One point of the search space: parameter name → value (JSON scalars, maps or lists).

    A parameter whose condition does not hold is absent. Names are the engine's flags without the
    leading dashes (``ubatch-size``), normalised names (``tp``) or ``env.NAME``.
    """

    values: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))

    @cached_property
    def key(self) -> str:
        """Canonical JSON: equal for equal Configs, whatever their order. Made once: they are compared very often."""
        return json.dumps(dict(self.values), sort_keys=True, separators=(",", ":"))

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Config) and self.key == other.key

    def __reduce__(self) -> tuple[Any, ...]:
        return Config, (dict(self.values),)
