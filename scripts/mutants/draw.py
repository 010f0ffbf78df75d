"""Draws mutants by a seed: from each room in proportion to its size, but enough of it to say something."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from scripts.mutants.mutant import Mutant
from scripts.mutants.plan import Alike


def draw(
    rooms: Mapping[str, Sequence[Mutant]], seed: int, count: int, at_least: int, alike: Sequence[Alike]
) -> dict[str, list[Mutant]]:
    """About ``count``, more where rooms get ``at_least`` that would get fewer; without those known to be ``alike``."""
    total = sum(map(len, rooms.values()))
    drawn = {}
    for name, mutants in rooms.items():
        wanted = min(len(mutants), max(at_least, round(count * len(mutants) / total)))
        shuffled = random.Random(f"{seed} {name}").sample(mutants, len(mutants))
        telling = (m for m in shuffled if not any(known.holds_for(m) for known in alike if str(m.path) == known.module))
        drawn[name] = [mutant for mutant, _ in zip(telling, range(wanted), strict=False)]
    return drawn
