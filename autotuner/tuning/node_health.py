"""NodeHealth: which nodes are sick, told from what befell different Configs on them. Pure.

A failure is held against a node when its cause lies outside of the Config by its kind, or when the same Config then got
on elsewhere. Two different Configs are needed: one may be unlucky. Ray hands out a node's GPUs as it likes, so
that a sick GPU closes its node. So does being slower than like nodes, which ``TwinChecks`` finds out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from autotuner.errors import Failure
from autotuner.space.config import Config
from autotuner.tuning.placement_policy import Node
from autotuner.tuning.repeats import DOUBTED

_CONFIGS = 2


@dataclass(frozen=True)
class Quarantine:
    """A node that gets no further trial, and what it did."""

    node_id: str
    reason: str


class NodeHealth:
    def __init__(self, quarantined: Iterable[Quarantine] = ()) -> None:
        """``quarantined``: in an earlier life of the study."""
        self._suspicions: dict[Config, dict[str, Failure]] = defaultdict(dict)  # Config → node → what it did there
        self._proven: dict[str, dict[Config, Failure]] = defaultdict(dict)  # node → Config → what it did there
        self._slow: dict[str, Quarantine] = {}
        self._quarantined = {quarantine.node_id: quarantine for quarantine in quarantined}

    @property
    def quarantined(self) -> frozenset[str]:
        return frozenset(self._quarantined)

    def failed(self, config: Config, nodes: Iterable[str], failure: Failure) -> None:
        """A trial failed on these nodes and is repeated elsewhere."""
        for node in nodes:
            if failure is Failure.INFRASTRUCTURE:
                self._proven[node][config] = failure
            elif failure in DOUBTED:
                self._suspicions[config][node] = failure

    def succeeded(self, config: Config, nodes: Iterable[str]) -> None:
        """A rung of this Config was measured on these nodes: what failed before elsewhere was not the Config's."""
        here = set(nodes)
        for node, failure in self._suspicions.pop(config, {}).items():
            if node not in here:
                self._proven[node][config] = failure

    def slow(self, found: Quarantine) -> None:
        """A node that is slower than its twins."""
        self._slow[found.node_id] = found

    def newly_sick(self, open_nodes: Sequence[Node]) -> list[Quarantine]:
        """Nodes to close now, each told once. Of each GPU type the last open one is kept."""
        type_of = {node.node_id: node.accelerator for node in open_nodes}
        left = Counter(type_of.values())
        found: dict[str, Quarantine] = {}
        for candidate in [*self._slow.values(), *self._failing()]:
            node_id = candidate.node_id
            if node_id in type_of and node_id not in found and left[type_of[node_id]] > 1:
                left[type_of[node_id]] -= 1
                found[node_id] = candidate
        self._quarantined |= found
        return list(found.values())

    def _failing(self) -> Iterator[Quarantine]:
        for node, proofs in self._proven.items():
            if len(proofs) >= _CONFIGS:
                kinds = ", ".join(sorted({str(failure) for failure in proofs.values()}))
                yield Quarantine(
                    node, f"{len(proofs)} different Configs failed on it ({kinds}) and not for their own sake"
                )
