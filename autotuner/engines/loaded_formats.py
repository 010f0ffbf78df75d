"""LoadedFormats: what an engine can be asked of a checkpoint that is quantised already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

HALF = frozenset({"float16", "bfloat16", "half"})


@dataclass(frozen=True)
class LoadedFormats:
    """What an engine's flags may say of a quantised checkpoint.

    ``by_all``: names that go with any method, ``beside``: method → names that go with it beside its own,
    ``dtypes``: method → what the rest may be computed in, where that is not 16 bits of either kind.
    """

    by_all: frozenset[str] = frozenset()
    beside: Mapping[str, frozenset[str]] = field(default_factory=dict)
    dtypes: Mapping[str, frozenset[str]] = field(default_factory=dict)
