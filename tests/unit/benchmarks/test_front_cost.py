"""What a front costs: volumes, the front in hand after each trial, and the rows that are made of it."""

from __future__ import annotations

import itertools

import pytest
import yaml

from autotuner.space.config import Config
from benchmarks.front_cost.fronts import Goal, Step, reached_s, steps
from benchmarks.front_cost.rows import make_rows
from benchmarks.front_cost.ways import NSGA2, OURS, WAYS
from benchmarks.search_cost.surface import load_surface
from benchmarks.search_cost.trial import try_config
from tests.replay_tables import study, surface, write

BEST = Config({"batch-size": 512, "ubatch-size": 32})
DEFAULT = Config({"batch-size": 64, "ubatch-size": 32})
FAILS = Config({"batch-size": 512, "ubatch-size": 64})


@pytest.fixture(scope="module")
def goal(tmp_path_factory: pytest.TempPathFactory) -> Goal:
    folder = tmp_path_factory.mktemp("surface")
    given = study(write(folder / "table.jsonl", surface(repeats=2)))
    (folder / "study.yaml").write_text(yaml.safe_dump(given.model_dump(mode="json")), encoding="utf-8")
    return Goal.of(load_surface(folder / "study.yaml"), ("throughput", "ttft_p90"))


def test_all_configs_have_the_whole_volume_and_what_fails_has_none(goal: Goal) -> None:
    assert goal.share(goal.surface.configs) == pytest.approx(1.0)
    assert goal.share([FAILS]) == goal.share([]) == 0.0
    assert 0 <= goal.share([DEFAULT]) < goal.share([DEFAULT, BEST]) <= 1.0


def test_slos_cut_nothing_off(goal: Goal) -> None:
    failing = [config for config in goal.surface.configs if goal.true_vector(config) is None]
    assert FAILS in failing
    assert len(goal.feasible) == len(goal.surface.configs) - len(failing)


def test_the_front_in_hand_is_that_of_what_was_measured(goal: Goal) -> None:
    tried = [try_config(goal.surface, config, 0, number) for number, config in enumerate((DEFAULT, FAILS, BEST))]
    found = steps(goal, ((one.gpu_s, one.config, one.score) for one in tried))
    assert [step.spent_s for step in found] == pytest.approx([sum(t.gpu_s for t in tried[: n + 1]) for n in range(3)])
    assert found[0].share == found[1].share == pytest.approx(goal.share([DEFAULT]))
    assert found[2].share == pytest.approx(goal.share([DEFAULT, BEST]))


def test_what_is_dominated_leaves_the_front_in_hand(goal: Goal) -> None:
    """Though its truth may be better than what was measured: a user holds what was measured to be the front."""
    tried = [try_config(goal.surface, config, 0, number) for number, config in enumerate((BEST, DEFAULT))]
    assert goal.vector(tried[0].score) is not None
    twice = [(1.0, DEFAULT, tried[0].score), (1.0, BEST, tried[1].score)]
    assert steps(goal, twice)[-1].share == pytest.approx(goal.share([DEFAULT]))


@pytest.mark.parametrize("way", WAYS)
def test_every_way_goes_through_its_trials(goal: Goal, way: str) -> None:
    found = WAYS[way](goal, 8, 0)
    assert 1 <= len(found) <= 8
    assert all(before.spent_s < after.spent_s for before, after in itertools.pairwise(found))
    assert found[-1].share > 0


def test_rows_compare_with_what_nsga2_ends_with() -> None:
    traces = {
        NSGA2: [[Step(10, 0.2), Step(20, 0.6)], [Step(10, 0.1), Step(20, 0.8)], [Step(10, 0.1), Step(20, 0.4)]],
        OURS: [[Step(5, 0.6)], [Step(5, 0.1), Step(10, 0.9)], [Step(5, 0.5)]],
        "random": [[Step(30, 0.5)]] * 3,
    }
    nsga2, ours, drawn = make_rows("s", ("throughput", "ttft_p90"), 100.0, traces)
    assert (nsga2.share, nsga2.worst_share, nsga2.cost_share, nsga2.over_nsga2) == (0.6, 0.4, 0.2, 1.0)
    assert (ours.share, ours.worst_share, ours.cost_share, ours.over_nsga2) == (0.6, 0.5, 0.05, 0.5)
    assert drawn.over_nsga2 is None


def test_a_share_is_reached_once_it_is_in_hand() -> None:
    trace = [Step(1.0, 0.2), Step(2.0, 0.5), Step(3.0, 0.4)]
    assert (reached_s(trace, 0.5), reached_s(trace, 0.6)) == (2.0, None)
