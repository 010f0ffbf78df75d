"""Weights of a trial that runs on several nodes, fetched to all of them at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from autotuner.servers.launcher import OtherNode
from autotuner.servers.weights.prefetch import FetchOrder


def fetch_on_all_nodes(order: FetchOrder, here: Callable[[FetchOrder], None], others: Sequence[OtherNode]) -> None:
    """Raises what ``here`` raised, else what the first of the others did, when all have ended."""
    with ThreadPoolExecutor(max_workers=max(1, len(others))) as pool:
        waiting = [pool.submit(node.prefetch, order.deployment, order.timeout_s) for node in others]
        here(order)
    for one in waiting:
        one.result()
