"""NodeHealth: which nodes are sick, told from what befell different Configs on them. Pure.

INFRASTRUCTURE              held against a node once anything was measured elsewhere: the cause is not everywhere
CRASH, HANG, …              held against it once the same Config got on elsewhere: the cause is not the Config

Two different Configs are needed: one may be unlucky. Of several nodes of a trial the one is meant that is common to
what failed. What befalls most nodes is no node's own. Ray hands out a node's GPUs as it likes, so that a sick GPU
closes its node. So does being slower than like nodes, which ``TwinChecks`` finds out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from autotuner.errors import Failure
from autotuner.space.config import Config
from autotuner.tuning.decisions.placement_policy import Need, Node, fits_ever
from autotuner.tuning.decisions.repeats import DOUBTED

_CONFIGS = 2

Place = frozenset[str]  # the nodes of one trial


@dataclass(frozen=True)
class Quarantine:
    """A node that gets no further trial, and what it did."""

    node_id: str
    reason: str


class NodeHealth:
    def __init__(self, quarantined: Iterable[Quarantine] = ()) -> None:
        """``quarantined``: in an earlier life of the study."""
        self._suspicions: dict[tuple[Config, Place], Failure] = {}
        self._proofs: dict[tuple[Config, Place], Failure] = {}
        self._slow: dict[str, Quarantine] = {}
        self._quarantined = {quarantine.node_id: quarantine for quarantine in quarantined}

    @property
    def quarantined(self) -> frozenset[str]:
        return frozenset(self._quarantined)

    def failed(self, config: Config, nodes: Iterable[str], failure: Failure) -> None:
        """A trial failed on these nodes and is repeated elsewhere."""
        if failure is Failure.INFRASTRUCTURE or failure in DOUBTED:
            self._suspicions[config, frozenset(nodes)] = failure

    def succeeded(self, config: Config, nodes: Iterable[str]) -> None:
        """A rung of this Config was measured on these nodes."""
        here = frozenset(nodes)
        for (suspect, place), failure in list(self._suspicions.items()):
            if failure in DOUBTED and suspect != config:
                continue
            elsewhere = place - here
            if elsewhere:
                self._proofs[suspect, elsewhere] = failure
            if elsewhere or suspect == config:
                del self._suspicions[suspect, place]

    def slow(self, found: Quarantine) -> None:
        """A node that is slower than its twins."""
        self._slow[found.node_id] = found

    def newly_sick(self, open_nodes: Sequence[Node], needs: Sequence[Need] = ()) -> list[Quarantine]:
        """Nodes to close now, each told once.

        Of each GPU type the last open one is kept, and as many as hold each of the ``needs``.
        """
        left = {node.node_id: node for node in open_nodes}
        held = [need for need in needs if fits_ever(need, open_nodes)]
        found: dict[str, Quarantine] = {}
        for candidate in [*self._slow.values(), *self._failing(left)]:
            node = left.get(candidate.node_id)
            if node is None:
                continue
            others = [other for other in left.values() if other is not node]
            is_last = Counter(other.accelerator for other in others)[node.accelerator] == 0
            if not is_last and all(fits_ever(need, others) for need in held):
                del left[node.node_id]
                found[node.node_id] = candidate
        self._quarantined |= found
        return list(found.values())

    def _failing(self, open_nodes: Iterable[str]) -> Iterator[Quarantine]:
        """Nodes that two Configs speak against, unless most nodes have something spoken against them."""
        blame: dict[str, float] = defaultdict(float)
        suspected = {key: f for key, f in self._suspicions.items() if f is Failure.INFRASTRUCTURE}
        for _, place in suspected | self._proofs:
            for node in place:
                blame[node] += 1 / len(place)
        here = [*open_nodes]
        if 2 * sum(blame[node] >= 1 for node in here) > len(here):
            return
        for node in here:
            against = {key: failure for key, failure in self._proofs.items() if node in key[1]}
            configs = {config for config, _ in against}
            if len(configs) >= _CONFIGS and frozenset.intersection(*(place for _, place in against)) == {node}:
                kinds = ", ".join(sorted({str(failure) for failure in against.values()}))
                yield Quarantine(
                    node, f"{len(configs)} different Configs failed on it ({kinds}) and not for their own sake"
                )
