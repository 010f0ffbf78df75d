"""Whole studies that search for the largest load: replayed, cut and gone on with, and of a real server."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import autotuner as at
from autotuner.errors import Failure, InputError
from autotuner.metrics import LoadKind, LoadLevel
from autotuner.report.facts.scored_trials import scored_trials
from autotuner.report.figures import Marked, load_search_figure
from autotuner.results import OutputFolder, load_results, resolved_yaml
from autotuner.results.records import Phase
from autotuner.results.rescoring import rescore
from autotuner.scoring import Score
from autotuner.servers.replay.lookup import find_lookup
from autotuner.servers.replay.truth import true_score
from autotuner.space.config import Config
from autotuner.study.model import Slo, Study
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.store_service import StoreService
from autotuner.tuning.trial.launch import Place
from autotuner.tuning.trial.rig import make_rig
from autotuner.tuning.trial.trial import TrialRun
from tests.integration.interrupted import InterruptAfter
from tests.integration.tuning_rig import Incident, World
from tests.replay_tables import row, study, write

LOADS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
CAPACITY = {64: 4, 128: 12, 256: 24}  # the largest load whose p90 is under the limit of 400 ms


def surface(loads: Iterable[int] = LOADS) -> list[dict[str, Any]]:
    """Of each batch size the time to first token rises with the load, up to 380 ms at its capacity."""
    rows = []
    for batch, capacity in CAPACITY.items():
        for load in loads:
            rng = random.Random(f"{batch}/{load}")
            ttft_s = 0.38 if load == capacity else 0.38 * (load / capacity) ** 0.5
            wanted = [[n // load * 3.0, ttft_s * rng.uniform(0.98, 1.02), 3.0, 10] for n in range(max(64, 8 * load))]
            rows.append(row({"batch-size": batch}, load, startup_s=10.0, requests=wanted))
    return rows


def searching(table: Path, **sections: Any) -> Study:
    given: dict[str, Any] = {
        "space": {"parameters": {"batch-size": list(CAPACITY)}},
        "workload": {"scenario": "D(100,10)", "load": {"find_max": "concurrency", "up_to": 32}},
        "slo": {"ttft": {"p90": "400ms"}},
        "objective": "max_load_per_gpu",
        "fidelity": {"rungs": 1},
        "search": {"trials": 3, "seed": 0, "confirm": 2, "baseline": {"batch-size": 64}},
    }
    return study(table, **{**given, **sections})


def replayed(tmp_path: Path, rows: list[dict[str, Any]] | None = None, **sections: Any) -> tuple[Study, at.Result]:
    given = searching(write(tmp_path / "table.jsonl", surface() if rows is None else rows), **sections)
    return given, at.run(given, out=tmp_path / "out")


def loads_of(result: at.Result, trial_id: str) -> list[float]:
    measured = result.measurements
    return [float(load) for load in measured.loc[measured["trial_id"] == trial_id, "level"]]


def test_each_config_is_found_the_largest_load_that_it_bears(tmp_path: Path) -> None:
    given, result = replayed(tmp_path)
    explored = result.trials[result.trials["phase"] != "confirm"]
    assert dict(zip(explored["config.batch-size"], explored["max_load"], strict=True)) == CAPACITY
    assert result.best is not None
    assert (result.best.config, result.best.value, result.best.level) == ({"batch-size": 256}, 24.0, 24.0)
    assert result.best.metrics["max_load"] == 24.0
    assert result.summary["improvement"]["ratio"] == pytest.approx(6.0)
    for launches in find_lookup(given).table.launches.values():
        truth = true_score(given, launches).score
        assert truth.value in CAPACITY.values()


def test_the_default_begins_at_the_lowest_load_and_the_next_at_the_incumbents(tmp_path: Path) -> None:
    _, result = replayed(tmp_path)
    assert loads_of(result, "0000") == [1, 2, 4, 8, 6]
    assert loads_of(result, "0001")[0] == 4


def test_confirmations_begin_at_what_was_found(tmp_path: Path) -> None:
    _, result = replayed(tmp_path)
    best = result.best
    assert best is not None
    assert loads_of(result, f"{best.trial_id}-c1") == [24, 32]
    assert loads_of(result, "0000-c1") == [4, 6]


@pytest.mark.parametrize("algorithm", ["auto", "tpe"])
def test_searchers_find_the_config_that_bears_the_most(tmp_path: Path, algorithm: str) -> None:
    search = {"algorithm": algorithm, "trials": 3, "seed": 1, "confirm": 0, "baseline": {"batch-size": 64}}
    _, result = replayed(tmp_path, search=search)
    assert result.best is not None
    assert result.best.config == {"batch-size": 256}


def test_a_replayed_search_asks_for_what_was_recorded_alone(tmp_path: Path) -> None:
    _, result = replayed(tmp_path, surface((1, 5, 7, 20, 30)))
    assert set(result.measurements["level"]) <= {1, 5, 7, 20, 30}
    assert result.best is not None
    assert result.best.level == 20


def test_a_table_without_a_load_in_its_range_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        replayed(tmp_path, surface((64, 128)))
    assert caught.value.key == "workload.load"
    assert "a recorded load within from and up_to" in caught.value.message


def test_rescored_under_other_slos_it_bears_another_load(tmp_path: Path) -> None:
    in_order = {"algorithm": "grid", "trials": 3, "confirm": 0, "baseline": {"batch-size": 64}}
    replayed(tmp_path, search=in_order)  # the quickest Config begins at the load that the one before it bore
    stricter = rescore(load_results(tmp_path / "out"), Slo.model_validate({"ttft": {"p90": "300ms"}}))
    best = stricter.best
    assert best is not None
    # Of the loads that the trial was asked for, 12 is the largest of the quickest Config under 300 ms.
    assert (best.config, best.value) == ({"batch-size": 256}, 12.0)


def test_the_report_draws_every_trials_search(tmp_path: Path) -> None:
    replayed(tmp_path)
    results = load_results(tmp_path / "out")
    trials = scored_trials(results)
    figure = load_search_figure(trials, marked=Marked(best="0002", default="0000"))
    assert figure is not None
    drawn = {trace["name"]: trace for trace in figure["data"]}
    assert drawn["one trial's search"]["y"][:6] == [1, 2, 4, 8, 6, None]
    assert drawn["default: trial 0000"]["y"] == [4]
    held = {m.level.value for m in trials[0].last.measurements if "max_load" in m.metrics}
    assert held == {1, 2, 4}
    assert "search for the largest load" in (tmp_path / "out" / "report.html").read_text()
    assert load_search_figure((), marked=Marked()) is None


@pytest.mark.parametrize("ended", [1, 2, 4])
def test_a_study_that_is_gone_on_with_measures_no_ended_search_again(tmp_path: Path, ended: int) -> None:
    given = searching(write(tmp_path / "table.jsonl", surface()))
    at.run(given, out=tmp_path / "out", observers=[InterruptAfter(ended)])
    cut = at.load_result(tmp_path / "out")
    known = {trial_id: loads_of(cut, trial_id) for trial_id in cut.measurements["trial_id"]}
    assert len(known) == ended
    resumed = at.resume(tmp_path / "out")
    assert {trial_id: loads_of(resumed, trial_id) for trial_id in known} == known
    assert resumed.summary["status"] == "completed"
    assert resumed.best is not None
    assert resumed.best.level == 24


# ── one trial, in a simulated world ───────────────────────────────────────────────────────────


def one_trial(world: World, tmp_path: Path, begin_at: float | None = None, **sections: Any) -> Any:
    found = Study.model_validate(
        {
            "model": {"id": "/models/tiny.gguf", "served_name": "tiny"},
            "engine": {"name": "llamacpp"},
            "workload": {"scenario": "D(10,4)", "load": {"find_max": "concurrency", "up_to": 8}},
            "slo": {"ttft": {"p90": "60s"}},
            "objective": "max_load",
            **sections,
        }
    )
    folder = OutputFolder(tmp_path / "study")
    folder.prepare(found, "s1")
    store = StoreService(str(folder.path), resolved_yaml(found, "s1"), "s1", found.name)
    begin = None if begin_at is None else LoadLevel(LoadKind.CONCURRENCY, begin_at)
    assignment = Assignment("0000", Phase.BASELINE, Config({}), 1, begin_at=begin)
    trial = TrialRun(found, assignment, Place("node", (), "", tmp_path / "logs", {}), world.rig, store, None)
    try:
        return trial.run_rung(0)
    finally:
        trial.release()


def test_what_holds_at_the_upper_bound_is_told_to_be_no_limit(tmp_path: Path) -> None:
    world = World()
    report = one_trial(world, tmp_path)
    assert [point.level.value for point in world.points] == [1, 2, 4, 8]
    assert report.score.value == 8
    assert report.failure is None
    notes = load_results(tmp_path / "study").measurements["notes"].dropna()
    assert list(notes) == ["it holds at workload.load.up_to, beyond which nothing was asked for"]


def test_a_server_that_dies_under_more_load_bears_what_it_bore_before(tmp_path: Path) -> None:
    world = World(incidents={2: Incident.SERVER_DIES})
    report = one_trial(world, tmp_path)
    assert (report.last, report.failure, report.score.value) == (True, None, 2.0)
    notes = load_results(tmp_path / "study").measurements["notes"].dropna()
    assert any("not measured: concurrency 4: CRASH" in note for note in notes)


def test_a_server_that_dies_at_once_has_failed(tmp_path: Path) -> None:
    world = World(incidents={0: Incident.SERVER_DIES})
    assert one_trial(world, tmp_path).failure is Failure.CRASH


def test_a_load_that_is_given_up_is_too_high(tmp_path: Path) -> None:
    world = World(incidents={2: Incident.HOPELESS})
    report = one_trial(world, tmp_path)
    assert [point.level.value for point in world.points] == [1, 2, 4, 3]
    assert report.score.value == 3


def test_a_load_point_is_watched_for_limits_that_it_can_not_keep_any_more(tmp_path: Path) -> None:
    world = World()
    one_trial(world, tmp_path)
    for asked in world.points:
        assert [(limit.metric, limit.limit_s) for limit in asked.lost_at] == [("ttft", 60.0)]
        assert 0.1 * asked.requests < asked.lost_at[0].requests < 0.3 * asked.requests


def test_time_that_runs_out_leaves_what_was_found(tmp_path: Path) -> None:
    world = World(incidents={2: Incident.NO_ANSWER})
    report = one_trial(world, tmp_path)
    assert (report.failure, report.score.value) == (None, 2.0)


# ── a real server ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class RealServer:
    """Two slots of long answers: what waits for a slot waits for whole answers, whatever the machine does beside it."""

    model: Path
    folder: Path
    mark: str

    def search(self, name: str, ttft_p50_ms: float) -> Score:
        found = Study.model_validate(
            {
                "name": name,
                "model": {"id": str(self.model), "served_name": "tiny"},
                "engine": {"name": "llamacpp", "args": {"ctx-size": 1024, "parallel": 2, "threads": 1}},
                "workload": {
                    "scenario": "D(16,250)",
                    "load": {"find_max": "concurrency", "from": 4, "up_to": 8},
                    "requests": {"per_slot": 2, "min": 12},
                },
                "slo": {"ttft": {"p50": {"threshold_ms": ttft_p50_ms}}},
            }
        )
        folder = OutputFolder(self.folder / name)
        folder.prepare(found, name)
        store = StoreService(str(folder.path), resolved_yaml(found, name), name, name)
        place = Place("node", (), "", self.folder / "logs" / name, {"AUTOTUNER_STUDY": self.mark})
        trial = TrialRun(found, Assignment("0000", Phase.BASELINE, Config({}), 1), place, make_rig(found), store, None)
        try:
            report = trial.run_rung(0)
        finally:
            trial.release()
        assert report.failure is None, report.message
        assert report.last
        assert report.score is not None
        return report.score

    def p50s_ms(self, name: str) -> dict[float, float]:
        measured = load_results(self.folder / name).measurements
        return dict(zip(measured["level"], measured["ttft_p50_ms"], strict=True))

    def held(self, name: str) -> set[float]:
        return set(load_results(self.folder / name).measurements["max_load"].dropna())


@pytest.mark.usefixtures("own_locks")
def test_of_a_real_server_the_largest_load_is_found(tiny_model: Path, tmp_path: Path, mark: str) -> None:
    """Of 4 in flight each waits for one answer, of 8 for three: a limit between the two is kept somewhere between.

    What a moment's machine makes of a load is compared with nothing: each search is held to what it measured itself.
    """
    server = RealServer(tiny_model, tmp_path, mark)
    loose = server.search("loose", 60_000.0)
    assert (loose.value, loose.slo_met) == (8, True)
    waits = server.p50s_ms("loose")
    assert list(waits) == [4, 8]
    limit_ms = (waits[4] * waits[8]) ** 0.5
    tight = server.search("tight", limit_ms)
    waits, held = server.p50s_ms("tight"), server.held("tight")
    assert tight.slo_met == bool(held), tight.reason
    assert tight.value == max(held, default=None)
    assert all(waits[load] <= limit_ms for load in held)
    assert list(waits)[:2] == ([4, 8] if 4 in held else [4])
    assert (6 in waits) == (4 in held and 8 not in held)
