"""What a search costs: surfaces, what the ways do on them, and the rows that are made of it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from autotuner.api.checking import check
from autotuner.space.config import Config
from autotuner.study import load_study
from benchmarks.search_cost.__main__ import SURFACES
from benchmarks.search_cost.plot import found_by, plot
from benchmarks.search_cost.rows import make_row, total
from benchmarks.search_cost.searches import all_ways, default_jobs, pool_of, searches
from benchmarks.search_cost.surface import Surface, load_surface
from benchmarks.search_cost.trace import Step, Trace, incumbents
from benchmarks.search_cost.trial import try_config
from benchmarks.surfaces import formula
from tests.replay_tables import STARTUP_S, study, surface, write

BEST = Config({"batch-size": 512, "ubatch-size": 32})
DEFAULT = Config({"batch-size": 64, "ubatch-size": 32})
FAILS = Config({"batch-size": 512, "ubatch-size": 64})


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Surface:
    folder = tmp_path_factory.mktemp("surface")
    given = study(write(folder / "table.jsonl", surface(repeats=2)))
    (folder / "study.yaml").write_text(yaml.safe_dump(given.model_dump(mode="json")), encoding="utf-8")
    return load_surface(folder / "study.yaml")


def test_a_surface_knows_the_truth(small: Surface) -> None:
    assert small.count == len(small.configs) == 12
    assert [config for config in small.configs if small.is_near(config)] == [BEST]
    assert small.closeness(BEST) == 1.0
    # 8 times as fast, and it keeps the SLO with four requests at a time, each half as fast as one alone.
    assert small.over_default(BEST) == pytest.approx(16.0, rel=0.01)
    assert small.closeness(FAILS) == 0.0


def test_the_grid_costs_every_config_once(small: Surface) -> None:
    assert small.grid_s == pytest.approx(sum(small.truth(config).gpu_s for config in small.configs))
    assert small.truth(FAILS).gpu_s == STARTUP_S


def test_the_incumbent_is_the_best_that_was_measured_so_far(small: Surface) -> None:
    order = [DEFAULT, FAILS, BEST, DEFAULT]
    tried = [try_config(small, config, seed=0, number=number) for number, config in enumerate(order)]
    steps = incumbents((one.gpu_s, one.config, one.merit) for one in tried)
    assert [step.incumbent for step in steps] == [DEFAULT, DEFAULT, BEST, BEST]
    assert steps[1].spent_s == pytest.approx(tried[0].gpu_s + STARTUP_S)
    assert tried[1].failed


def test_a_trial_of_rungs_costs_what_it_ran(small: Surface) -> None:
    whole = try_config(small, DEFAULT, seed=0, number=0)
    rungs = try_config(small, DEFAULT, seed=0, number=0, rungs=2)
    stopped = try_config(small, DEFAULT, seed=0, number=0, rungs=2, goes_on=lambda *_: False)
    assert rungs.gpu_s == pytest.approx(whole.gpu_s)
    assert rungs.merit == whole.merit
    assert stopped.gpu_s < whole.gpu_s
    assert (stopped.merit, stopped.failed) == (None, False)


def made(found: float | None, ended: float, recommended: Config) -> Trace:
    steps = [Step(1.0, DEFAULT)] + ([Step(found, BEST)] if found is not None else [])
    return Trace(steps, ended, recommended)


def test_rows_are_shares_of_the_grid(small: Surface) -> None:
    whole = small.grid_s
    traces = [made(0.1 * whole, 0.3 * whole, BEST), made(0.2 * whole, 0.4 * whole, BEST), made(None, whole, DEFAULT)]
    row = make_row(small, "a way", traces)
    assert (row.surface, row.slo, row.way, row.seeds) == ("surface", "ttft.p90=400ms", "a way", 3)
    assert row.a_share == pytest.approx(0.2)
    assert row.a_p90_share is None, "never, in one of three"
    assert (row.found, row.near) == (2, 2)
    assert row.b_share == pytest.approx(0.4)
    assert row.b_p90_share == pytest.approx(1.0)
    assert row.min_recommended == pytest.approx(1 / 16, rel=0.01)
    assert row.recommended_over_default == pytest.approx(16.0, rel=0.01)


def test_what_is_never_found_in_most_seeds_has_no_share(small: Surface) -> None:
    row = make_row(small, "a way", [made(None, 1.0, DEFAULT), made(None, 1.0, DEFAULT), made(1.0, 1.0, BEST)])
    assert row.a_share is None


def test_the_total_counts_what_was_never_found_as_the_whole_grid(small: Surface) -> None:
    whole = small.grid_s
    found = make_row(small, "a way", [made(0.01 * whole, 0.04 * whole, BEST)])
    never = make_row(small, "a way", [made(None, 0.09 * whole, DEFAULT)])
    (line,) = total([found, never])
    assert line.a_share == pytest.approx(0.1)  # √(0.01 × 1)
    assert line.b_share == pytest.approx(0.06)  # √(0.04 × 0.09)
    assert (line.surfaces, line.seeds, line.found, line.near, line.never) == (2, 2, 1, 1, 1)
    assert line.min_recommended == never.min_recommended


@pytest.mark.parametrize("way", sorted(all_ways()))
def test_every_way_searches_and_the_same_seed_does_the_same(small: Surface, way: str) -> None:
    search = all_ways()[way]
    trace = search(small, 8, 1)
    assert trace == search(small, 8, 1)
    assert len(trace.steps) >= 8
    assert 0 < trace.ended_s < math.inf
    assert [step.spent_s for step in trace.steps] == sorted(step.spent_s for step in trace.steps)


def test_how_many_search_at_a_time_changes_nothing(small: Surface, tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(small.study.model_dump(mode="json")), encoding="utf-8")
    found = []
    for jobs in (1, 2):
        with pool_of(jobs) as pool:
            found.append([*searches(file, small, "optuna tpe", 4, 3, pool)])
    assert found[0] == found[1]
    assert len(found[0]) == 3
    assert default_jobs() >= 1


def test_the_plot_rises_with_each_seed_that_has_found_the_best(small: Surface) -> None:
    whole = small.grid_s
    traces = [made(0.2 * whole, whole, BEST), made(None, whole, DEFAULT), made(0.1 * whole, whole, BEST)]
    row = make_row(small, "a & way", traces)
    assert [share and round(share, 6) for share in row.a_shares] == [0.2, None, 0.1]
    shares, parts = zip(*found_by(row), strict=True)
    assert shares == pytest.approx((0.1, 0.2))
    assert parts == pytest.approx((1 / 3, 2 / 3))
    drawn = ElementTree.fromstring(plot([row, replace(row, way="autotuner")], "autotuner"))
    assert len(drawn.findall(".//{*}polyline")) == 2
    assert "a & way" in [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]


def test_a_way_that_never_finds_the_best_has_a_flat_line(small: Surface) -> None:
    row = make_row(small, "a way", [made(None, 1.0, DEFAULT)])
    assert found_by(row) == []
    assert "polyline" in plot([row], "autotuner")


def test_the_whole_grid_finds_the_best(small: Surface) -> None:
    trace = all_ways()["grid, random order"](small, 12, 0)
    assert trace.recommended == BEST
    assert trace.ended_s == pytest.approx(small.grid_s)
    found = trace.found_s(small)
    assert found is not None
    assert found <= small.grid_s


# ── the surfaces of the repository ────────────────────────────────────────────────────────────

FILES = sorted(SURFACES.glob("*/*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_a_surface_of_the_repository_is_a_study_that_its_table_answers(file: Path) -> None:
    report = check(load_study(file).study)
    assert report.count.number is not None
    assert report.count.number >= 10_000


def test_the_simulated_tables_are_what_their_program_makes() -> None:
    from pyarrow import parquet

    scene = next(scene for scene in formula.SCENES if scene.name == "dense-70b")
    kept = parquet.read_table(SURFACES / scene.name / "table.parquet").to_pylist()
    assert [{name: value for name, value in row.items() if value is not None} for row in kept] == [
        {name: value for name, value in row.items() if value is not None} for row in formula.rows(scene)
    ]
