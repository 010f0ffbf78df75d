"""TwinChecks: whether a node is slower than its twins, the nodes with as many GPUs of the same type. Pure.

    new node ──▶ to check ──▶ measures the default's first rung ──▶ as fast ──▶ ready
                                                                └▶ slower ──▶ once more ──▶ ready, or slow

A node gets no other trial before it is ready, so that no Config's score is a slow node's. What a node does to a Config
that fails on it is told by ``NodeHealth``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from statistics import median

from autotuner.metrics.direction import Direction
from autotuner.results.records import Phase
from autotuner.scoring import Objective, Score
from autotuner.space.config import Config
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.node_health import Quarantine
from autotuner.tuning.decisions.placement_policy import Need, Node, fits_now

_SLOWER = 0.8  # of the twins' median: further below it than one rung's noise, and than what GPUs of a type differ by
_TIMES = 2  # in a row, before a node is believed to be slow


@dataclass
class _Checked:
    """A node with its checks so far. ``config``: the default for its GPU type."""

    node: Node
    config: Config
    is_wanted: bool = True  # a check is to be started
    running: str | None = None  # trial id
    values: list[float | None] = field(default_factory=list)  # of the objective; None: the check has no score
    is_decided: bool = False

    @property
    def value(self) -> float | None:
        return self.values[-1] if self.values else None


class TwinChecks:
    def __init__(
        self,
        baselines: Sequence[Config],
        need_of: Callable[[Config], Need],
        objective: Objective,
        *,
        trials_per_node: int | None,
        used: Iterable[str] = (),
    ) -> None:
        """Checks are made where a twin has at least ``trials_per_node`` trials to come; ``None``: never.

        ``used``: ids of trials that were; a check of an earlier life of the study is not gone on with.
        """
        self._baselines = baselines
        self._need_of = need_of
        self._objective = objective
        self._trials_per_node = trials_per_node
        self._used = set(used)
        self._nodes: dict[str, _Checked] = {}
        self._exempt: set[str] = set()

    @property
    def undecided(self) -> frozenset[str]:
        """The ids of nodes that are to get no trial yet."""
        return frozenset(node_id for node_id, checked in self._nodes.items() if not checked.is_decided)

    def look(self, nodes: Sequence[Node], trials_left: int) -> list[Quarantine]:
        """Takes in who is there, and judges; returns the nodes that have been found slow, each once."""
        for node in nodes:
            if node.open and node.node_id not in self._nodes and node.node_id not in self._exempt:
                self._take_in(node, nodes, trials_left)
        here = {node.node_id: node for node in nodes}
        self._nodes = {node_id: c for node_id, c in self._nodes.items() if node_id in here or c.running}
        found = [self._judge(checked, here) for checked in self._nodes.values() if not checked.is_decided]
        return [quarantine for quarantine in found if quarantine is not None]

    def start_one(self, nodes: Sequence[Node], rungs: int) -> Assignment | None:
        """The next check to start, on a node where there is room for it."""
        for node in nodes:
            checked = self._nodes.get(node.node_id)
            if checked is not None and self._can_start(checked, node):
                checked.is_wanted = False
                checked.running = self._unused_id(checked.config)
                return Assignment(checked.running, Phase.NODE_CHECK, checked.config, rungs, (node.node_id,))
        return None

    def ended(self, trial_id: str, score: Score | None) -> None:
        """A check is over; ``score`` is ``None`` where it has none to compare."""
        checked = next(c for c in self._nodes.values() if c.running == trial_id)
        checked.running = None
        value = score.objectives[self._objective.name] if score is not None and score.feasible else None
        checked.values.append(value if value is not None and value > 0 else None)

    def _take_in(self, node: Node, nodes: Sequence[Node], trials_left: int) -> None:
        """Decides once whether a node is to be checked: one that has had trials without it goes on so."""
        twins = [n for n in nodes if n.open and n.node_id not in self._exempt and _kind(n) == _kind(node)]
        config = self._default_for(node)
        is_worth_it = self._trials_per_node is not None and trials_left >= self._trials_per_node * len(twins)
        if config is None or not node.accelerator or len(twins) < 2 or not is_worth_it:
            self._exempt.add(node.node_id)
        else:
            self._nodes[node.node_id] = _Checked(node, config)

    def _default_for(self, node: Node) -> Config | None:
        for config in self._baselines:
            need = self._need_of(config)
            if len(need.shares) == 1 and need.takes(node.accelerator):
                return config
        return None

    def _can_start(self, checked: _Checked, node: Node) -> bool:
        return checked.is_wanted and fits_now(self._need_of(checked.config), node)

    def _judge(self, checked: _Checked, here: dict[str, Node]) -> Quarantine | None:
        twins = [c for c in self._nodes.values() if c is not checked and _kind(c.node) == _kind(checked.node)]
        waits_for_twins = any(not c.values and (c.running or self._can_start(c, here[c.node.node_id])) for c in twins)
        if checked.running or checked.is_wanted or waits_for_twins:
            return None
        values = [c.value for c in twins if c.value is not None]
        if checked.value is None or not values:
            checked.is_decided = True  # nothing can be told
            return None
        expected = median(values)
        speed = checked.value / expected if self._objective.direction is Direction.MAX else expected / checked.value
        checked.is_wanted = speed < _SLOWER and len(checked.values) < _TIMES
        if checked.is_wanted:
            return None
        checked.is_decided = True
        if speed >= _SLOWER:
            return None
        told = f"{self._objective.name} of the default was {checked.value:.4g} on it and {expected:.4g} on its twins"
        return Quarantine(checked.node.node_id, f"slower than its twins: {told}, {_TIMES} times in a row")

    def _unused_id(self, config: Config) -> str:
        default = f"{self._baselines.index(config):04d}"
        found = next(name for name in (f"{default}-n{number}" for number in count(1)) if name not in self._used)
        self._used.add(found)
        return found


def _kind(node: Node) -> tuple[str, int, float]:
    return node.accelerator, node.gpus, node.cpus
