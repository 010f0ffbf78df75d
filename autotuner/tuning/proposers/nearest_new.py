"""What a searcher gets in place of Configs that it wants and that were proposed before."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from autotuner.space import SearchSpace
from autotuner.space.config import Config
from autotuner.tuning.proposers.listed import draw_new
from autotuner.tuning.proposers.same_config import Seen
from autotuner.tuning.proposers.surrogate.neighbours import neighbours

_MOST_CHANGES = 3


def nearest_new(space: SearchSpace, wanted: Sequence[Config], seen: Seen, rng: random.Random) -> Config | None:
    """A Config that was not proposed, by the fewest changes away from what is wanted, most often first.

    Samplers return to what they know to be good, and to what breaks constraints next to it. A draw from the whole space
    in its place would leave all that they have learnt unused. ``None`` where none is found, as in an exhausted space.
    """
    ring = [config for config, _ in Counter(wanted).most_common()]
    passed = set(ring)
    for _ in range(_MOST_CHANGES):
        further: list[Config] = []
        for config in ring:
            about = [one for one in neighbours(space, config, rng) if one not in passed]
            new = [one for one in about if one not in seen]
            if new:
                return rng.choice(new)
            further += about
            passed.update(about)
        ring = further
    return draw_new(space, rng, seen)
