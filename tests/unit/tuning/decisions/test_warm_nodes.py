"""Where what a like server compiled and read was kept."""

from __future__ import annotations

from autotuner.space.config import Config
from autotuner.tuning.decisions.warm_nodes import WarmNodes


def test_a_node_is_as_warm_as_the_most_like_config_that_was_started_there() -> None:
    warm = WarmNodes()
    warm.note(Config({"tp": 2, "max-num-seqs": 64}), ("a", "b"))
    warm.note(Config({"tp": 4, "max-num-seqs": 128}), ("b",))
    assert [warm.coldness(Config({"tp": 2, "max-num-seqs": 64}), node) for node in "abc"] == [0.0, 0.0, 1.0]
    assert [warm.coldness(Config({"tp": 4, "max-num-seqs": 64}), node) for node in "ab"] == [0.5, 0.5]
    assert [warm.coldness(Config({"tp": 4, "max-num-seqs": 128}), node) for node in "ab"] == [1.0, 0.0]


def test_a_setting_that_one_config_alone_gives_differs() -> None:
    warm = WarmNodes()
    warm.note(Config({"tp": 2}), ("a",))
    warm.note(Config(), ("default",))
    assert warm.coldness(Config({"tp": 2, "enforce-eager": None}), "a") == 0.5
    assert warm.coldness(Config({"enforce-eager": True}), "a") == 1.0
    assert warm.coldness(Config(), "default") == 0.0
