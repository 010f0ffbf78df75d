"""Trials that are cut by load levels, on a simulated machine with the real store, and whole studies from tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import autotuner as at
from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.results import OutputFolder, load_results, resolved_yaml
from autotuner.results.records import Phase, TrialState
from autotuner.scoring import parse_objective
from autotuner.scoring.merit import Merit, make_merit
from autotuner.space.config import Config
from autotuner.study.model import Study
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.store_service import StoreService
from autotuner.tuning.trial.launch import Place
from autotuner.tuning.trial.trial import TrialRun
from tests.integration.tuning_rig import Incident, World
from tests.replay_tables import requests, row, surface, write
from tests.replay_tables import study as replayed
from tests.tuning_parts import study

REQUESTS = 40


def at_level(value: float) -> LoadLevel:
    return LoadLevel(LoadKind.CONCURRENCY, value)


def given(**sections: Any) -> Study:
    """Four levels; TTFT is 0.1 s a slot, so that a limit of 250 ms holds at 1 and 2 and not at 4 and 8."""
    workload = {
        "scenario": "D(8,4)",
        "load": {"concurrency": [1, 2, 4, 8]},
        "requests": {"per_slot": 4, "min": REQUESTS},
    }
    keys = {"objective": "throughput", "workload": workload, "fidelity": {"cut": "levels", "rungs": 3}}
    return study(**{**keys, **sections})


class Lab:
    def __init__(self, path: Path, its_study: Study) -> None:
        self.study = its_study
        folder = OutputFolder(path)
        path.mkdir(exist_ok=True)
        self.path = path
        self.service = StoreService(str(path), resolved_yaml(its_study, "s1"), "s1", "t")
        self.logs = folder.trial_logs("0001")

    def trial(self, world: World, *, probe: float | None = 2, rungs: int = 3, to_beat: Merit | None = None) -> TrialRun:
        level = None if probe is None else at_level(probe)
        config = Config({"ubatch-size": 64})
        assignment = Assignment("0001", Phase.SEARCH, config, rungs, probe=level, to_beat=to_beat)
        return TrialRun(self.study, assignment, Place("node", (), "", self.logs, {}), world.rig, self.service, None)

    def stored(self, rung: int) -> list[float]:
        return [m.level.value for m in self.service.rungs("0001")[rung].measurements]


def sent(world: World) -> list[tuple[float, int, int]]:
    return [(p.level.value, p.first_index, p.requests) for p in world.points]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "study", given())


def test_each_rung_measures_further_levels_in_full(lab: Lab) -> None:
    world = World()
    trial = lab.trial(world)
    reports = [trial.run_rung(rung) for rung in range(3)]
    assert sent(world) == [(2, 0, 40), (4, 0, 40), (8, 0, 40), (1, 0, 40)]
    assert [report.last for report in reports] == [False, False, True]
    assert [lab.stored(rung) for rung in range(3)] == [[2], [2, 4], [1, 2, 4, 8]]
    assert lab.service.trials()[0].state is TrialState.COMPLETED
    assert [len(lab.service.runs("0001")), len(world.launches)] == [4, 1]


def test_without_a_probe_it_begins_in_the_middle(lab: Lab) -> None:
    world = World()
    lab.trial(world, probe=None).run_rung(0)
    assert sent(world) == [(4, 0, 40)]


def test_a_confirmation_measures_all_levels_in_its_one_rung(lab: Lab) -> None:
    world = World()
    assert lab.trial(world, rungs=1).run_rung(0).last
    assert [level for level, _, _ in sent(world)] == [2, 4, 8, 1]


def test_what_lies_above_a_level_that_breaks_an_slo_is_passed_over(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "study", given(slo={"ttft": {"p90": {"threshold_ms": 250}}}))
    world = World()
    trial = lab.trial(world)
    assert not trial.run_rung(0).last
    assert not trial.run_rung(1).last
    last = trial.run_rung(2)
    assert [level for level, _, _ in sent(world)] == [2, 4, 1], "8 would break it as well"
    assert last.last
    assert last.score is not None
    assert (last.score.level, last.score.slo_met) == (at_level(2), True)


def test_a_trial_of_which_nothing_is_left_has_come_to_its_end(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "study", given(slo={"ttft": {"p90": {"threshold_ms": 50}}}))
    world = World()
    report = lab.trial(world, probe=1).run_rung(0)
    assert (report.last, report.failure) == (True, None)
    assert lab.service.trials()[0].state is TrialState.COMPLETED
    again = lab.trial(World(), probe=1).run_rung(0)
    assert again.last, "as it is told when it is resumed"


@pytest.mark.parametrize("slo", [{"ttft": {"p90": {"threshold_ms": 250}}}, {}])
def test_where_scores_count_or_levels_are_averaged_a_broken_slo_is_no_reason_to_pass_over(
    tmp_path: Path, slo: dict[str, Any]
) -> None:
    sections: dict[str, Any] = {"slo": {"ttft": {"p90": {"threshold_ms": 250}}}}
    sections |= {"search": {"select": "score"}} if slo else {"objective": "ttft_p90"}
    lab = Lab(tmp_path / "study", given(**sections))
    world = World()
    trial = lab.trial(world)
    for rung in range(3):
        trial.run_rung(rung)
    assert sorted(level for level, _, _ in sent(world)) == [1, 2, 4, 8]


def test_a_mean_over_levels_is_of_those_so_far_and_of_all_at_the_end(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "study", given(objective="ttft_p90"))
    trial = lab.trial(World(), probe=8)
    scores = [report.score for report in map(trial.run_rung, range(3))]
    values = [score.value for score in scores if score is not None]
    assert values == pytest.approx([800, (800 + 400) / 2, (100 + 200 + 400 + 800) / 4])


def test_a_level_that_fails_leaves_the_lower_ones_to_be_measured(lab: Lab) -> None:
    world = World(incidents={0: Incident.ALL_FAIL})
    trial = lab.trial(world)
    first = trial.run_rung(0)
    assert (first.failure, first.last) == (None, False)
    assert first.score is not None
    assert not first.score.feasible
    assert trial.run_rung(1).last
    assert [level for level, _, _ in sent(world)] == [2, 1], "what lies above would fail as well"


def test_a_trial_whose_every_level_failed_has_failed(lab: Lab) -> None:
    world = World(incidents={0: Incident.ALL_FAIL, 1: Incident.ALL_FAIL})
    trial = lab.trial(world)
    trial.run_rung(0)
    assert trial.run_rung(1).failure is not None
    assert lab.service.trials()[0].state is TrialState.FAILED


def test_a_level_that_the_client_was_too_slow_for_is_tried_again_with_other_prompts(lab: Lab) -> None:
    world = World(incidents={1: Incident.SATURATED, 2: Incident.SATURATED})
    trial = lab.trial(world)
    for rung in range(3):
        trial.run_rung(rung)
    tried = [(level, first) for level, first, _ in sent(world)]
    assert [level for level, _ in tried] == [2, 4, 4, 4, 8, 1]
    assert len({first for level, first in tried if level == 4}) == 3


def test_a_trial_that_was_cut_goes_on_from_its_own_first_level(lab: Lab) -> None:
    first = lab.trial(World(incidents={1: Incident.KILLED}))
    first.run_rung(0)
    with pytest.raises(KeyboardInterrupt):
        first.run_rung(1)
    world = World()
    second = lab.trial(world, probe=8)  # where the incumbent is now
    reports = [second.run_rung(rung) for rung in range(3)]
    assert [level for level, _, _ in sent(world)] == [4, 8, 1], "the level of the rung that ended is not measured again"
    assert [report.last for report in reports] == [False, False, True]


# ── more requests ─────────────────────────────────────────────────────────────────────────────


def test_a_level_that_may_meet_its_slos_or_not_gets_as_many_requests_again(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "study", given(slo={"ttft": {"p90": {"threshold_ms": 200}}}))
    world = World(jitter_s=0.004)
    trial = lab.trial(world)
    for rung in range(3):
        trial.run_rung(rung)
    points = sent(world)
    assert points[-1] == (2, 40, 40), "once, with prompts that were not sent before"
    assert [level for level, _, _ in points].count(2) == 2
    rows = {(m.level.value, m.requests) for m in lab.service.rungs("0001")[2].measurements}
    assert (2, 80) in rows


def test_not_where_the_trial_would_not_be_the_best_anyway(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "study", given(slo={"ttft": {"p90": {"threshold_ms": 200}}}))
    world = World(jitter_s=0.004)
    beyond = make_merit([(1e9, 0.0)], parse_objective("throughput").direction, "slo_met", feasible=True)
    trial = lab.trial(world, to_beat=beyond)
    for rung in range(3):
        trial.run_rung(rung)
    assert [level for level, _, _ in sent(world)].count(2) == 1


# ── whole studies ─────────────────────────────────────────────────────────────────────────────

LEVELS = {"trial_scheduler": "asha", "cut": "levels", "rungs": 3, "eta": 2}
SEARCH = {"trials": 12, "seed": 0, "confirm": 1, "stop": "off", "baseline": {"batch-size": 64, "ubatch-size": 32}}


@pytest.mark.parametrize("algorithm", ["auto", "tpe"])
@pytest.mark.parametrize("trial_scheduler", ["asha", "median", "none"])
def test_a_study_measures_nothing_twice_and_begins_trials_where_the_incumbent_is_best(
    tmp_path: Path, algorithm: str, trial_scheduler: str
) -> None:
    fidelity = {**LEVELS, "trial_scheduler": trial_scheduler}
    table = write(tmp_path / "table.jsonl", surface())
    result = at.run(replayed(table, search={**SEARCH, "algorithm": algorithm}, fidelity=fidelity), out=tmp_path / "out")
    rows = result.measurements
    assert not rows.duplicated(["trial_id", "load_kind", "level"]).any()
    results = load_results(tmp_path / "out")
    for trial in results.trial_records:
        for rung in results.rung_records.get(trial.trial_id, ()):
            assert len(rows[(rows.trial_id == trial.trial_id) & (rows.rung == rung.rung)]) > 0, "no rung is empty"
    assert result.summary["trials"]["total"] == 12
    if trial_scheduler == "none":
        assert result.summary["trials"]["stopped"] == 0
    assert result.best is not None
    assert result.best.config == {"batch-size": 512, "ubatch-size": 32}


def test_a_config_that_is_clearly_behind_at_the_incumbents_level_ends_there(tmp_path: Path) -> None:
    """Under the median rule, which needs three others before it stops any."""
    rows = [
        row({"batch-size": batch, "ubatch-size": 32}, level, requests=requests(64, level, seconds * level**0.5))
        for batch, seconds in ((64, 1.0), (512, 3.0))
        for level in (1, 4)
    ]
    table = write(tmp_path / "table.jsonl", rows)
    space = {"parameters": {"batch-size": [64, 512], "ubatch-size": [32]}}
    search = {**SEARCH, "algorithm": "grid", "confirm": 0}
    fidelity = {**LEVELS, "trial_scheduler": "median"}
    sections = {"space": space, "search": search, "fidelity": fidelity, "slo": {}, "objective": "throughput_per_gpu"}
    result = at.run(replayed(table, **sections), out=tmp_path / "out")
    states = dict(zip(result.trials.trial_id, result.trials.state, strict=True))
    assert states == {"0000": "completed", "0001": "stopped"}
