"""What others hold on a node, as Ray's amounts tell it."""

from __future__ import annotations

from collections import defaultdict

import pytest

from autotuner.tuning.decisions.placement_policy import Node, Share
from autotuner.tuning.on_ray import cluster as cluster_module

NODE = Node("a", "H100", 8, 16.0, 8, 16.0)


@pytest.mark.parametrize(
    ("free_gpus", "own_gpus", "held"),
    [(8.0, 0.0, 0), (7.5, 0.0, 1), (4.0, 4.0, 0), (3.5, 4.0, 1), (6.0, 0.0, 2), (7.99999, 0.0, 0)],
)
def test_a_part_of_a_gpu_that_others_hold_takes_it_all(
    monkeypatch: pytest.MonkeyPatch, free_gpus: float, own_gpus: float, held: int
) -> None:
    own: dict[str, dict[str, float]] = defaultdict(dict)
    own["a"] = {"GPU": own_gpus}
    monkeypatch.setattr(cluster_module, "available_resources_per_node", lambda: {"a": {"GPU": free_gpus, "CPU": 16.0}})
    monkeypatch.setattr(cluster_module, "_own_groups", lambda: own)
    assert cluster_module._foreign([NODE]) == {"a": Share(held, 0.0)}
