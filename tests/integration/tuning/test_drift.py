"""Whole studies on a machine that becomes slower in their middle: replayed, since no real one does so when asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import autotuner as at
from autotuner.report.facts.verdict import verdict
from autotuner.results import load_results
from autotuner.servers.launcher import Diagnose, LaunchRequest
from autotuner.servers.replay.clock import VirtualClock
from autotuner.servers.replay.launcher import ReplayedServer, ReplayLauncher
from autotuner.servers.replay.recorded import RecordedLaunch, RecordedLevel
from autotuner.study.model import Study
from autotuner.tuning import virtual_run
from autotuner.tuning.trial.rig import Rig, replay_rig
from tests.integration.interrupted import InterruptAfter
from tests.replay_tables import REQUESTS, requests, row, study, write

SIZES = tuple(range(64, 64 * 13, 64))  # of batches, tried in this order after the default, which is none of them
DEFAULT = 32
E2E_S = {DEFAULT: 1.0, SIZES[2]: 0.8, SIZES[-1]: 0.75}  # seconds a request; all others 0.95
EARLY, LATE = {"batch-size": SIZES[2]}, {"batch-size": SIZES[-1]}
SLOWER = 1.3
SLOW_AFTER_S = 550.0  # some 7 launches of 76 s


class SlowingLauncher(ReplayLauncher):
    """Servers that are launched later than ``slow_from_s`` (epoch seconds) take longer for each request."""

    slow_from_s: float

    def launch(self, request: LaunchRequest, diagnose: Diagnose) -> ReplayedServer:
        server = super().launch(request, diagnose)
        if self.clock.epoch_s() > self.slow_from_s:
            server = dataclasses.replace(server, recorded=_slower(server.recorded))
            self._live[server.url] = server
        return server


def _slower(launch: RecordedLaunch) -> RecordedLaunch:
    def level(recorded: RecordedLevel) -> RecordedLevel:
        slowed = tuple(
            dataclasses.replace(
                r, sent_s=r.sent_s * SLOWER, ttft_s=(r.ttft_s or 0) * SLOWER, e2e_s=(r.e2e_s or 0) * SLOWER
            )
            for r in recorded.requests
        )
        return dataclasses.replace(recorded, requests=slowed)

    return dataclasses.replace(launch, levels={name: level(found) for name, found in launch.levels.items()})


@pytest.fixture
def slowing(monkeypatch: pytest.MonkeyPatch) -> None:
    began: list[float] = []

    def rig(given: Study, clock: VirtualClock) -> Rig:
        began.append(clock.epoch_s())
        usual = replay_rig(given, clock)
        assert isinstance(usual.launcher, ReplayLauncher)
        launcher = SlowingLauncher(usual.launcher.lookup, clock, usual.launcher.seed)
        launcher.slow_from_s = began[0] + SLOW_AFTER_S
        return dataclasses.replace(usual, launcher=launcher, open_driver=launcher.open_driver)

    monkeypatch.setattr(virtual_run, "replay_rig", rig)


def table(folder: Path) -> Path:
    """Three launches of each Config, that differ by 1 %."""
    rows = [
        row({"batch-size": size}, 1, repeat=n, requests=requests(REQUESTS, 1, E2E_S.get(size, 0.95) * factor))
        for size in (DEFAULT, *SIZES)
        for n, factor in enumerate((0.99, 1.0, 1.01))
    ]
    return write(folder / "table.jsonl", rows)


def run(folder: Path, name: str, every: Any, **changes: Any) -> at.Result:
    search: Mapping[str, Any] = {
        "algorithm": "grid",
        "trials": 13,
        "confirm": 0,
        "baseline": {"batch-size": DEFAULT},
        "reference_every": every,
        **changes.pop("search", {}),
    }
    given = study(
        table(folder),
        space={"parameters": {"batch-size": [*SIZES]}},
        workload={"scenario": "D(100,10)", "load": {"concurrency": [1]}, "requests": {"min": REQUESTS}},
        slo={},
        objective="throughput",
        search=search,
        fidelity={"trial_scheduler": "none", "rungs": 1},
    )
    return at.run(given, out=folder / name, **changes)


@pytest.mark.usefixtures("slowing")
def test_the_best_config_is_chosen_though_it_was_measured_when_the_machine_was_slow(tmp_path: Path) -> None:
    blind = run(tmp_path, "blind", "off")
    assert blind.best is not None
    assert dict(blind.best.config) == EARLY, "it ran while the machine was quick"
    result = run(tmp_path, "seeing", 4)
    assert result.best is not None
    assert dict(result.best.config) == LATE
    assert result.best.value == pytest.approx(10 / (0.75 * SLOWER), rel=0.02), "as it was measured"
    (shift,) = result.summary["shifts"]
    assert shift["ratio"] == pytest.approx(1 / SLOWER, rel=0.02)
    assert shift["trial_id"] == "0000-r2"
    (line,) = [line for line in verdict(load_results(result.path)).details if "did not stay as it was" in line]
    assert "Output tokens per second changed by −2" in line


@pytest.mark.usefixtures("slowing")
@pytest.mark.parametrize("algorithm", ["auto", "tpe"])
def test_any_searcher_goes_through_it(tmp_path: Path, algorithm: str) -> None:
    search = {"algorithm": algorithm, "stop": "off"}
    result = run(tmp_path, "out", 4, search=search)
    assert result.best is not None
    assert dict(result.best.config) == LATE
    assert len(result.summary["shifts"]) == 1


@pytest.mark.usefixtures("slowing")
def test_finalists_are_those_of_a_machine_that_stayed_as_it_was(tmp_path: Path) -> None:
    search = {"confirm": 1, "finalists": 1}
    result = run(tmp_path, "out", 4, search=search)
    late = next(t.trial_id for t in load_results(result.path).trial_records if dict(t.config) == LATE)
    confirmed = {t.trial_id for t in load_results(result.path).trial_records if t.phase.value == "confirm"}
    assert confirmed == {f"{late}-c1", "0000-c1"}
    best = at.status(result.path).best
    assert best is not None
    assert best.trial_id == late


@pytest.mark.usefixtures("slowing")
@pytest.mark.parametrize("after", [9, 12])
def test_after_a_death_it_is_the_same(tmp_path: Path, after: int) -> None:
    """Before the shift was proven, and after."""
    whole = run(tmp_path, "whole", 4)
    run(tmp_path, "cut", 4, observers=[InterruptAfter(after)])
    resumed = at.resume(tmp_path / "cut")
    assert resumed.summary["shifts"][0]["ratio"] == pytest.approx(whole.summary["shifts"][0]["ratio"], rel=1e-6)
    assert resumed.trials.trial_id.to_list() == whole.trials.trial_id.to_list()
    assert resumed.best is not None
    assert dict(resumed.best.config) == LATE


def test_a_machine_that_stays_as_it_is_is_told_of_nothing(tmp_path: Path) -> None:
    result = run(tmp_path, "out", 4)
    assert result.summary["shifts"] == []
    assert [t for t in result.trials.trial_id if "-r" in t] == ["0000-r1", "0000-r2", "0000-r3"]
