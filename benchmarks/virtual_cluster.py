"""Trials on a cluster in virtual time: a policy says which waiting trial starts where; time jumps from end to end."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from autotuner.tuning.decisions.placement_policy import Need, Node, Share, Start, Waiting, place

Policy = Callable[[Sequence[Waiting], Sequence[Node]], Start | None]


@dataclass(frozen=True)
class VirtualTrial:
    gpus: int
    length_s: float

    @property
    def work(self) -> float:
        return self.gpus * self.length_s


@dataclass(frozen=True)
class Outcome:
    makespan_s: float
    longest_wait_s: float  # of a trial of the most GPUs


def bound_s(trials: Sequence[VirtualTrial], gpus: Sequence[int]) -> float:
    """No order can be quicker: all work on all GPUs, or the longest trial."""
    return max(sum(trial.work for trial in trials) / sum(gpus), max(trial.length_s for trial in trials))


def simulate(trials: Sequence[VirtualTrial], gpus: Sequence[int], policy: Policy, look_ahead: int | None) -> Outcome:
    """Starts cost nothing. ``look_ahead``: trials that may wait at a time; ``None``: all are known from the start."""
    nodes = {f"node{i}": Node(f"node{i}", "", count, 999.0, count, 999.0) for i, count in enumerate(gpus)}
    waiting: dict[str, Waiting] = {}
    since: dict[str, float] = {}
    running: list[tuple[float, int, str]] = []
    now, proposed, longest = 0.0, 0, 0.0
    while True:
        while True:
            while proposed < len(trials) and look_ahead is None:
                proposed = _propose(trials, proposed, now, waiting, since)
            start = policy(list(waiting.values()), list(nodes.values())) if waiting else None
            if start is not None:
                number = int(start.key)
                _overtake(waiting, start.key)
                longest = max(longest, (now - since[start.key]) * (trials[number].gpus == max(gpus)))
                nodes[start.nodes[0]] = _take(nodes[start.nodes[0]], trials[number].gpus)
                heapq.heappush(running, (now + trials[number].length_s, number, start.nodes[0]))
            elif look_ahead is not None and _may_propose(trials, proposed, waiting, nodes, look_ahead):
                proposed = _propose(trials, proposed, now, waiting, since)
            else:
                break
        if not running:
            return Outcome(now, longest)
        now, number, node = heapq.heappop(running)
        nodes[node] = _take(nodes[node], -trials[number].gpus)


def _may_propose(
    trials: Sequence[VirtualTrial], proposed: int, waiting: dict[str, Waiting], nodes: dict[str, Node], look_ahead: int
) -> bool:
    """A searcher is asked only while something is free: what it proposes early, it proposes knowing less."""
    return proposed < len(trials) and len(waiting) < look_ahead and any(node.free_gpus for node in nodes.values())


def _propose(
    trials: Sequence[VirtualTrial], number: int, now: float, waiting: dict[str, Waiting], since: dict[str, float]
) -> int:
    key = str(number)
    waiting[key] = Waiting(key, Need((Share(trials[number].gpus, 1.0),)))
    since[key] = now
    return number + 1


def _overtake(waiting: dict[str, Waiting], key: str) -> None:
    del waiting[key]
    for other in waiting.values():
        if int(other.key) < int(key):
            waiting[other.key] = replace(other, overtaken=other.overtaken + 1)


def _take(node: Node, gpus: int) -> Node:
    return replace(node, free_gpus=node.free_gpus - gpus)


# ── the policies that ours is compared with ───────────────────────────────────────────────────


def _first_fit(trial: Waiting, nodes: Sequence[Node]) -> Start | None:
    """On the emptiest node, as Ray spreads by default."""
    fitting = [node for node in nodes if node.free_gpus >= trial.need.shares[0].gpus]
    if not fitting:
        return None
    return Start(trial.key, (max(fitting, key=lambda node: node.free_gpus).node_id,))


def fifo(waiting: Sequence[Waiting], nodes: Sequence[Node]) -> Start | None:
    """Ray Tune's order: the trial that was proposed first starts first, and all others wait for it."""
    return _first_fit(waiting[0], nodes)


def all_pending(waiting: Sequence[Waiting], nodes: Sequence[Node]) -> Start | None:
    """Whatever fits starts, in the order of proposal: small trials overtake."""
    return next((start for trial in waiting if (start := _first_fit(trial, nodes)) is not None), None)


def largest_first(waiting: Sequence[Waiting], nodes: Sequence[Node]) -> Start | None:
    """The largest trial starts first, and all others wait for it."""
    return _first_fit(max(waiting, key=lambda trial: trial.need.shares[0].gpus), nodes)


POLICIES: dict[str, Policy] = {
    "fifo": fifo,
    "all_pending": all_pending,
    "largest_first": largest_first,
    "autotuner": place,
}
