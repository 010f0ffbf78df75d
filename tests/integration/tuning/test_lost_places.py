"""A trial that was given a node which is gone before the trial has begun there."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from autotuner.results.records import TrialState
from autotuner.tuning.events import Event, TrialEnded, TrialRepeated, TrialStarted
from benchmarks.raylets import NodeKind, Raylets, raylets
from benchmarks.scale_study import run_empty_trials


@dataclass
class Killer:
    """Kills a node when the first trial has been given it, and before Ray hears of that."""

    cluster: Raylets
    events: list[Event] = field(default_factory=list)

    def on_event(self, event: Event) -> None:
        if isinstance(event, TrialStarted) and not self.started:
            self.cluster.kill(self.cluster.nodes[0])
        self.events.append(event)

    @property
    def started(self) -> list[str]:
        return [event.trial_id for event in self.events if isinstance(event, TrialStarted)]

    def close(self) -> None:
        """An Observer has to."""


@pytest.mark.fault
def test_a_trial_whose_node_goes_before_it_has_begun_is_started_on_another(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with raylets([NodeKind(8, "H100-80GB"), NodeKind(8, "H100-80GB")]) as cluster:
        # Of two equal nodes the one with the lower id is chosen.
        cluster.nodes.sort(key=lambda node: str(node.node_id))
        killer = Killer(cluster)
        run_empty_trials(tmp_path, 2, cluster.address, [killer])
    [repeated] = [event for event in killer.events if isinstance(event, TrialRepeated)]
    assert repeated.trial_id == killer.started[0] == "0000"
    ended = {event.trial_id: event.state for event in killer.events if isinstance(event, TrialEnded)}
    assert "Trial " not in capfd.readouterr().out, "standard output is for the result"
    assert ended == dict.fromkeys(["0000", "0001"], TrialState.COMPLETED)
