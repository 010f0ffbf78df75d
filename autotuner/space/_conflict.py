"""Which constraints leave no Config together, where none of them does alone."""

from __future__ import annotations

from collections.abc import Sequence

from autotuner.space._grid_count import sampled_rejections, tally_grid
from autotuner.space.parameters import Parameter, Rule

_OWN = "space.constraints."  # keys of what the study itself says


def conflicting(
    parameters: Sequence[Parameter], constraints: Sequence[Rule], counts: Sequence[int], *, can_list: bool
) -> tuple[int, ...]:
    """The indices of constraints that reject every point together, as few as will do: without any of them one is left.

    The study's own come first, then those that reject most (``counts``). Empty where none were found: in a space that
    can be listed what holds for a sample of its points is proven over all of them.
    """
    rejected = sampled_rejections(parameters, constraints)
    if not rejected.any(axis=1).all():
        return ()
    is_own = [rule.key.startswith(_OWN) for rule in constraints]
    kept = [index for index in range(len(constraints)) if rejected[:, index].any()]
    for index in sorted(kept, key=lambda index: (is_own[index], counts[index])):
        others = [other for other in kept if other != index]
        if rejected[:, others].any(axis=1).all():
            kept = others
    if can_list and tally_grid(parameters, [constraints[index] for index in kept]).kept:
        return ()
    return tuple(sorted(kept, key=lambda index: (not is_own[index], -counts[index])))
