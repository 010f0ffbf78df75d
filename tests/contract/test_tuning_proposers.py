"""What every searcher must do, whatever it rests on."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from autotuner.engines import build_space
from autotuner.errors import MissingExtraError
from autotuner.results.records import TrialState
from autotuner.scoring import Direction, parse_objective, parse_objectives
from autotuner.space import SearchSpace
from autotuner.space.config import Config
from autotuner.study.model import Study
from autotuner.tuning.decisions.baseline import baseline_config
from autotuner.tuning.decisions.outcome import outcome as told_of
from autotuner.tuning.decisions.outcome import refused
from autotuner.tuning.proposers import Outcome, OutcomeKind, Proposer, make_proposer
from tests.scores import joined, made_score

HAS_TORCH = importlib.util.find_spec("torch") is not None
SAMPLERS = ["auto", "random", "tpe", "cmaes", "nsga2", "hyperopt", *(["gp"] if HAS_TORCH else [])]
ALL = ["grid", *SAMPLERS]

# Every kind of parameter: 4 × 3 × 2 × (3 + 1) raw points, of which conditions and constraints leave fewer.
FINITE = {
    "parameters": {
        "slots": {"int": [2, 8], "step": 2},
        "share": {"float": [0.1, 0.3], "step": 0.1},
        "cache": [True, False],
        "draft": {"choices": {"off": None, "short": {"tokens": 2, "modes": ["a"]}, "long": {"tokens": 8}}},
    },
    "conditions": {"draft": "cache"},
    "constraints": ["slots * share <= 2"],
}
ENDLESS = {
    "parameters": {
        "batch": {"int": [1, 4096], "log": True},
        "rate": {"float": [0.001, 1.0], "log": True},
        "gap": {"float": [-1.0, 1.0]},
        "kind": ["a", "b", 1, None],
        "extra": {"int": [0, 100], "step": 7},
    },
    "conditions": {"extra": "kind == 'a'", "gap": "batch > 8"},
    "constraints": ["batch * rate <= 2000"],
}
# Two engines with flags of their own, normalised names, a preset, and what neither engine can do.
ENGINES = {
    "parallelism": {"tp": [1, 2, 4], "dp": [1, 2]},
    "quantization": {"preset": ["default", "kv-cache-fp8"]},
    "parameters": {"vllm.max-num-seqs": [16, 32], "sglang.schedule-policy": ["lpm", "fcfs", "lof"]},
    "conditions": {"vllm.max-num-seqs": "tp < 4"},
    "constraints": ["gpus <= 4"],
}


def make(
    algorithm: str,
    space: Mapping[str, Any] = FINITE,
    *,
    engine: str | Sequence[str] = "llamacpp",
    objective: str | Sequence[str] = "throughput",
    trials: int = 24,
    seed: int = 7,
) -> tuple[Proposer, SearchSpace]:
    study = Study.model_validate(
        {
            "model": {"id": "m.gguf"},
            "engine": {"name": engine if isinstance(engine, str) else list(engine)},
            "space": space,
            "workload": {"scenario": "D(8,4)"},
            "objective": objective if isinstance(objective, str) else list(objective),
            "search": {"algorithm": algorithm, "trials": trials, "seed": seed},
        }
    )
    built = build_space(study)
    return make_proposer(study, built), built


def completed(*scores: float, names: Sequence[str] = ("throughput",)) -> Outcome:
    measured = joined(*(made_score(s, n) for s, n in zip(scores, names, strict=True)))
    return told_of(TrialState.COMPLETED, None, [measured], parse_objectives(names))


def infeasible(*names: str) -> Outcome:
    return refused(parse_objectives(names or ("throughput",)))


PRUNED = Outcome(OutcomeKind.PRUNED, (), {0: 1.5, 1: 1.25})
STOPPED_AT_ONCE = Outcome(OutcomeKind.PRUNED)
UNKNOWN = Outcome(OutcomeKind.UNKNOWN)


def outcomes(*names: str) -> list[Outcome]:
    """One of each kind, for the objectives of these names."""
    found = completed(*(10.0 + i for i in range(len(names))), names=names)
    return [found, infeasible(*names), PRUNED, STOPPED_AT_ONCE, UNKNOWN]


def propose_and_tell(proposer: Proposer, count: int, told: Sequence[Outcome], first: int = 0) -> list[Config]:
    """Up to ``count`` proposals, told ``told`` in turn."""
    configs = []
    for number, outcome in zip(range(first, first + count), itertools.cycle(told), strict=False):
        config = proposer.propose(f"{number:04d}")
        if config is None:
            break
        configs.append(config)
        proposer.tell(f"{number:04d}", outcome)
    return configs


@pytest.mark.parametrize("algorithm", SAMPLERS)
def test_proposals_are_valid_and_new_in_an_endless_space(algorithm: str) -> None:
    proposer, space = make(algorithm, ENDLESS)
    configs = propose_and_tell(proposer, 40, outcomes("throughput"))
    assert len(configs) == len(set(configs)) == 40
    assert all(space.contains(config) for config in configs)
    assert {"extra" in config.values for config in configs} == {True, False}


@pytest.mark.parametrize("algorithm", ALL)
def test_a_finite_space_is_proposed_once_and_then_exhausted(algorithm: str) -> None:
    proposer, space = make(algorithm)
    every = set(space.grid())
    configs = propose_and_tell(proposer, 1000, outcomes("throughput"))
    assert len(configs) == len(set(configs))
    assert set(configs) == every
    assert proposer.propose("9999") is None
    assert proposer.propose("9999") is None


@pytest.mark.parametrize("algorithm", ALL)
def test_a_space_of_several_engines_is_proposed_once_and_then_exhausted(algorithm: str) -> None:
    proposer, space = make(algorithm, ENGINES, engine=["vllm", "sglang"])
    configs = propose_and_tell(proposer, 1000, outcomes("throughput"))
    # vllm: tp · dp ≤ 4 and a flag of two values where tp < 4; sglang: tp % dp == 0 and a flag of three values
    assert len(configs) == len(set(configs)) == 2 * (4 * 2 + 1) + 2 * (5 * 3)
    assert set(configs) == set(space.grid())
    assert space.count().number == len(configs)


def grid_of(space: Mapping[str, Any], baseline: Any = "default") -> list[Any]:
    """The Configs that a grid proposes beside a baseline."""
    study = Study.model_validate(
        {
            "model": {"id": "org/model"},
            "engine": {"name": "vllm"},
            "space": space,
            "workload": {"scenario": "D(8,4)"},
            "search": {"algorithm": "grid", "baseline": baseline},
        }
    )
    whole = build_space(study)
    proposer = make_proposer(study, whole)
    proposer.replay("0000", baseline_config(study, whole), None)
    return [dict(config.values) for config in propose_and_tell(proposer, 100, [UNKNOWN])]


def test_a_grid_leaves_out_the_baseline_that_is_measured_anyway() -> None:
    degrees = {"parallelism": {"tp": [1, 2, 4]}}
    assert grid_of(degrees) == [{"tp": 2}, {"tp": 4}]
    assert grid_of(degrees, {"tp": 2}) == [{"tp": 1}, {"tp": 4}]
    flags = {"parameters": {"max-num-seqs": [None, 16], "block-size": [16, 32]}}
    assert len(grid_of(flags)) == 4, "the default's block size is the server's to choose"
    assert grid_of(flags, {"block-size": 16}) == [
        {"max-num-seqs": None, "block-size": 32},
        {"max-num-seqs": 16, "block-size": 16},
        {"max-num-seqs": 16, "block-size": 32},
    ]


NULLS = {"parameters": {"cache": [None, True], "slots": [2, 4], "draft": [None, 8]}, "conditions": {"draft": "cache"}}


@pytest.mark.parametrize("algorithm", ALL)
def test_a_baseline_is_not_proposed_again(algorithm: str) -> None:
    """Null is the server's own default: a baseline that leaves the flag out is the same server."""
    proposer, space = make(algorithm, NULLS)
    proposer.replay("0000", Config({"slots": 2}), None)
    first = proposer.propose("0001")
    proposer.tell("0000", completed(5.0))
    assert first is not None
    proposer.tell("0001", completed(6.0))
    later = propose_and_tell(proposer, 100, outcomes("throughput"), first=2)
    assert {first, *later} == set(space.grid()) - {Config({"cache": None, "slots": 2})}


@pytest.mark.parametrize("algorithm", ALL)
def test_a_baseline_that_the_space_cannot_say_does_no_harm(algorithm: str) -> None:
    proposer, space = make(algorithm)
    proposer.replay("0000", Config({"cache": True, "other": "flag"}), completed(5.0))
    proposer.replay("0001", Config(), None)
    proposer.tell("0001", infeasible())
    assert set(propose_and_tell(proposer, 1000, outcomes("throughput"), first=2)) == set(space.grid())


@pytest.mark.parametrize("algorithm", ALL)
def test_many_may_be_pending_and_end_in_any_order(algorithm: str) -> None:
    proposer, space = make(algorithm)
    pending = {f"{number:04d}": proposer.propose(f"{number:04d}") for number in range(8)}
    for number, outcome in zip(reversed(pending), itertools.cycle(outcomes("throughput")), strict=False):
        proposer.tell(number, outcome)
    later = propose_and_tell(proposer, 8, outcomes("throughput"), first=8)
    assert len({*pending.values(), *later}) == 16
    assert all(space.contains(config) for config in later)


@pytest.mark.parametrize("algorithm", ALL)
def test_same_seed_and_order_same_proposals(algorithm: str) -> None:
    space = FINITE if algorithm == "grid" else ENDLESS
    runs = [propose_and_tell(make(algorithm, space)[0], 20, outcomes("throughput")) for _ in range(2)]
    assert runs[0] == runs[1]


@pytest.mark.parametrize("algorithm", SAMPLERS)
def test_another_seed_other_proposals(algorithm: str) -> None:
    runs = [propose_and_tell(make(algorithm, ENDLESS, seed=seed)[0], 5, [UNKNOWN]) for seed in (1, 2)]
    assert runs[0] != runs[1]


@pytest.mark.parametrize("algorithm", ALL)
def test_what_an_earlier_life_proposed_is_not_proposed_again(algorithm: str) -> None:
    first, space = make(algorithm)
    before = propose_and_tell(first, 10, outcomes("throughput"))
    proposer, _ = make(algorithm)
    told: list[Outcome | None] = [*outcomes("throughput") * 2]
    told[-1] = None  # was still running
    for number, (config, outcome) in enumerate(zip(before, told, strict=True)):
        proposer.replay(f"{number:04d}", config, outcome)
    proposer.tell("0009", completed(3.0))
    after = propose_and_tell(proposer, 1000, outcomes("throughput"), first=10)
    assert len(after) == len(set(after))
    assert set(after) == set(space.grid()) - set(before)


@pytest.mark.parametrize("algorithm", SAMPLERS)
def test_replay_takes_every_kind_of_parameter(algorithm: str) -> None:
    source, space = make("random", ENDLESS)
    before = propose_and_tell(source, 30, [UNKNOWN])
    proposer, _ = make(algorithm, ENDLESS)
    for number, (config, outcome) in enumerate(zip(before, itertools.cycle(outcomes("throughput")), strict=False)):
        proposer.replay(f"{number:04d}", config, outcome)
    after = propose_and_tell(proposer, 10, outcomes("throughput"), first=30)
    assert len({*before, *after}) == 40
    assert all(space.contains(config) for config in after)


@pytest.mark.parametrize("names", [("throughput", "ttft_p90"), ("ttft_p90", "tpot_mean", "goodput", "cost_per_mtok")])
@pytest.mark.parametrize("algorithm", ALL)
def test_several_objectives(algorithm: str, names: tuple[str, ...]) -> None:
    space = FINITE if algorithm == "grid" else ENDLESS
    proposer, built = make(algorithm, space, objective=names)
    configs = propose_and_tell(proposer, 20, outcomes(*names))
    assert len(set(configs)) == 20
    assert all(built.contains(config) for config in configs)


@pytest.mark.parametrize("algorithm", ALL)
def test_a_space_without_parameters_has_one_config(algorithm: str) -> None:
    proposer, _ = make(algorithm, {})
    assert proposer.propose("0001") == Config()
    assert proposer.propose("0002") is None


@pytest.mark.skipif(HAS_TORCH, reason="torch is installed: gp is in the suite above")
def test_gp_says_which_extra_it_needs() -> None:
    with pytest.raises(MissingExtraError, match=r"autotuner-llm\[gp\]"):
        make("gp")


PLANE = {"parameters": {"x": {"float": [0.0, 1.0]}, "y": {"float": [0.0, 1.0]}}}
LEARNERS = ["auto", "tpe", "cmaes", "nsga2", "hyperopt", *(["gp"] if HAS_TORCH else [])]


def in_infeasible_region(algorithm: str, objective: str, seed: int) -> int:
    """Proposals 20 to 59 that fall where three quarters of the plane crash."""
    proposer, _ = make(algorithm, PLANE, objective=objective, trials=60, seed=seed)
    direction = parse_objective(objective).direction
    crashed = 0
    for number in range(60):
        config = proposer.propose(f"{number:04d}")
        assert config is not None
        x, y = config.values["x"], config.values["y"]
        if x > 0.5 or y > 0.5:
            proposer.tell(f"{number:04d}", infeasible(objective))
            crashed += number >= 20
        else:
            distance = (x - 0.3) ** 2 + (y - 0.3) ** 2
            score = 100 * distance if direction is Direction.MIN else 100 * (1 - distance)
            proposer.tell(f"{number:04d}", completed(score, names=[objective]))
    return crashed


@pytest.mark.parametrize("objective", ["throughput", "ttft_p90"])
def test_tpe_learns_where_configs_crash(objective: str) -> None:
    """In both directions. Random crashes in 30 of 40; the learner must at least halve that."""
    learner = sum(in_infeasible_region("tpe", objective, seed) for seed in range(3))
    chance = sum(in_infeasible_region("random", objective, seed) for seed in range(3))
    assert learner < chance / 2


def mean_height_of_late_proposals(algorithm: str, seed: int) -> float:
    """In a round valley whose mean height over the plane is 0.49."""
    proposer, _ = make(algorithm, PLANE, objective="ttft_p90", trials=60, seed=seed)
    late = []
    for number in range(60):
        config = proposer.propose(f"{number:04d}")
        assert config is not None
        height = (config.values["x"] - 0.1) ** 2 + (config.values["y"] - 0.9) ** 2
        proposer.tell(f"{number:04d}", completed(100 * height, names=["ttft_p90"]))
        late += [height] if number >= 30 else []
    return float(sum(late)) / len(late)


@pytest.mark.parametrize("algorithm", LEARNERS)
def test_learners_go_where_scores_are_better(algorithm: str) -> None:
    assert sum(mean_height_of_late_proposals(algorithm, seed) for seed in range(3)) / 3 < 0.36
