"""Ranks on several nodes, none of which knows of the others: one that ends takes all along."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import cast

import pytest

from autotuner.errors import InfrastructureError, ServerLostError
from autotuner.servers.supervision.share import Share, ShareState
from autotuner.servers.supervision.together import Together

WAIT_S = 10.0


@dataclass
class Node:
    """A share whose ranks live until they are ended, or their node is gone."""

    code: int | None = None
    lost: bool = False
    ended: int = 0
    sticks: bool = False

    def state(self) -> ShareState:
        if self.lost:
            raise ServerLostError("the node is gone")
        return ShareState(self.code)

    def end(self) -> None:
        self.ended += 1
        if self.sticks:
            raise InfrastructureError("it won't go")


def together(*nodes: Node) -> Together:
    return Together([cast(Share, node) for node in nodes])


def wait_until_ended(node: Node) -> None:
    deadline = time.monotonic() + WAIT_S
    while not node.ended:
        assert time.monotonic() < deadline, "nobody ended it"
        time.sleep(0.05)


@pytest.mark.parametrize("fate", [{"code": 7}, {"lost": True}], ids=["a rank ends", "a node is lost"])
def test_the_end_of_one_ends_all_without_being_asked(fate: dict[str, object]) -> None:
    first, second, third = Node(), Node(), Node()
    ranks = together(first, second, third)
    for name, value in fate.items():
        setattr(second, name, value)
    wait_until_ended(first)
    wait_until_ended(third)
    if second.lost:
        with pytest.raises(ServerLostError):
            ranks.exit_code()
    else:
        assert ranks.exit_code() == 7
    ranks.stop()


def test_one_that_does_not_go_keeps_no_other() -> None:
    first, second = Node(sticks=True), Node()
    ranks = together(first, second)
    first.code = 1
    wait_until_ended(second)
    assert ranks.exit_code() == 1
    ranks.stop()


def test_all_live_as_long_as_none_ends_and_nothing_is_ended_after_a_stop() -> None:
    first, second = Node(), Node()
    ranks = together(first, second)
    assert ranks.exit_code() is None
    ranks.stop()
    first.code = 1
    time.sleep(1.5)
    assert not second.ended
