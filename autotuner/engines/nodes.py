"""How a server that is larger than a node is cut into ranks."""

from __future__ import annotations

from autotuner.study.model import Study

GPUS_PER_NODE = 8  # of a node of which nothing else is known


def gpus_per_node(study: Study) -> int:
    return study.hardware.gpus_per_node or GPUS_PER_NODE


def gpus_by_rank(study: Study, gpus: int) -> tuple[int, ...]:
    """GPUs of each rank: one rank where a node holds them all, else equal shares.

    16 GPUs on nodes of 8: (8, 8). 12 on nodes of 8: (6, 6).
    """
    ranks = max(1, -(-gpus // gpus_per_node(study)))
    while gpus % ranks:
        ranks += 1
    return (gpus // ranks,) * ranks
