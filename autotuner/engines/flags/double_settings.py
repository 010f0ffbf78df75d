"""One flag that is set twice: under two spellings, fixed and searched, or whole and by a key of its map."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from autotuner.engines.flags.spelling import Spelling
from autotuner.engines.problem import Problem


@dataclass(frozen=True)
class GivenFlag:
    """A flag under the key of the study that sets it; ``name`` is the last part of that."""

    key: str
    name: str
    spelling: Spelling


def double_settings(given: Iterable[GivenFlag]) -> Iterator[Problem]:
    """Every flag of one engine that is set once more, told under the later key, which names the first."""
    known: list[GivenFlag] = []
    for one in given:
        first = next((other for other in known if other.spelling.overlaps(one.spelling)), None)
        known.append(one)
        if first is not None and first.key != one.key:
            yield Problem(one.key, one.name, *_rule(first, one))


def _rule(first: GivenFlag, again: GivenFlag) -> tuple[str, str | None]:
    """What is wrong, and the flag's own name where another was written."""
    if first.spelling.keys != again.spelling.keys:
        return f"is a part of what {first.key} sets: give the map whole, or each of its keys once", None
    if not first.key.startswith("space.") and again.key.startswith("space."):
        return f"is fixed by {first.key} already", None
    own = ".".join((again.spelling.flag.name, *again.spelling.keys))
    return f"is the same flag as {first.key}", None if own == again.name else own
