"""How busy placement keeps GPUs, in virtual time: what ``python -m benchmarks.utilisation`` shows, over fewer draws."""

from __future__ import annotations

from benchmarks.utilisation import CASES, COUNTS, is_good, measure
from benchmarks.virtual_cluster import POLICIES


def test_ours_is_near_its_bound_for_lists_and_better_than_the_others() -> None:
    rows = [measure(policy, count, case, seeds=10) for case in CASES for count in COUNTS for policy in POLICIES]
    assert len(rows) == 2 * 2 * len(POLICIES) >= 16
    assert is_good(rows), rows
