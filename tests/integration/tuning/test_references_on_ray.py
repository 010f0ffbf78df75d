"""The default measured again beside a search that runs under Ray, in virtual time."""

from __future__ import annotations

from pathlib import Path

import pytest

import autotuner as at
from benchmarks.raylets import NodeKind, raylets
from tests.integration.tuning.test_references import SEARCH
from tests.replay_tables import study, surface, write


def test_under_ray_it_is_measured_as_often_at_the_same_level(tmp_path: Path) -> None:
    table = write(tmp_path / "table.jsonl", surface())
    sections = {"fidelity": {"trial_scheduler": "asha", "cut": "levels"}, "slo": {"ttft": {"p90": "600ms"}}}
    given = study(table, **sections, search={**SEARCH, "reference_every": 5})
    here = at.run(given, out=tmp_path / "here")
    with raylets([NodeKind(0, cpus=4)]) as cluster:
        there = at.run(given, out=tmp_path / "there", address=cluster.address)
    for result in (here, there):
        frame = result.measurements[result.measurements.trial_id.str.contains("-r")]
        assert [*zip(frame.trial_id, frame.level, strict=True)] == [("0000-r1", 4), ("0000-r2", 4)]
    used = [result.summary["gpu_seconds_by_use"]["reference"] for result in (here, there)]
    assert used[0] == pytest.approx(used[1])
