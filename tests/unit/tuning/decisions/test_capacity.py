from __future__ import annotations

from typing import Any

import pytest

from autotuner.engines import build_space
from autotuner.errors import CapacityError
from autotuner.space.config import Config
from autotuner.tuning.decisions.baseline import Fits, baseline_config, baseline_configs
from autotuner.tuning.decisions.capacity import bundle, check_capacity, fitting, misfit, misfit_values, need_of
from autotuner.tuning.decisions.placement_policy import Need, Node, Share
from tests.tuning_parts import study


def node(cpus: float, gpus: int = 0, accelerator: str = "") -> Node:
    return Node(f"{cpus}-{gpus}-{accelerator}", accelerator, gpus, cpus, gpus, cpus)


def need(cpus: float, gpus: int = 0, ranks: int = 1, accelerator: str = "") -> Need:
    return Need((Share(gpus, cpus),) * ranks, accelerator)


NODES = [node(8, 4), node(3, 8), node(64)]


@pytest.mark.parametrize(
    ("needs", "count"),
    [
        (need(2), 4 + 1 + 32),
        (need(2, 1), 4 + 1),
        (need(1, 8), 1),
        (need(4, 8), 0),
        (need(65), 0),
        (need(2, 2, ranks=2), 1),
        (need(1, 1, ranks=2), 3),
        (need(1, 8, ranks=2), 0),
    ],
)
def test_whole_trials_at_a_time(needs: Need, count: int) -> None:
    assert fitting(needs, NODES) == count


def test_a_trial_stays_on_its_gpu_type() -> None:
    mixed = [node(8, 8, "H100-80GB"), node(8, 4, "L40S-48GB")]
    assert fitting(need(1, 2, accelerator="L40S-48GB"), mixed) == 2
    assert fitting(need(1, 2), mixed) == 4 + 2
    assert misfit(need(1, 8, accelerator="L40S-48GB"), mixed) is not None
    assert misfit(need(1, 4, ranks=2), mixed) is not None, "ranks of one trial are never on two types"


def test_what_fits_on_the_cluster_but_on_no_node_is_refused() -> None:
    with pytest.raises(CapacityError) as caught:
        check_capacity(need(4, 8), NODES)
    message = caught.value.message
    assert message.startswith("a trial needs 4 CPU and 8 GPU, and no node has that much: ")
    assert message.endswith("8 CPU and 4 GPU; 3 CPU and 8 GPU; 64 CPU and 0 GPU")
    assert caught.value.key == "hardware"


def test_a_cluster_without_nodes() -> None:
    with pytest.raises(CapacityError, match="the cluster has no node"):
        check_capacity(need(1), [])


@pytest.mark.parametrize(
    ("sections", "config", "needs"),
    [
        ({}, {}, {"CPU": 2.0}),
        ({}, {"threads": 3}, {"CPU": 4.0}),
        ({"hardware": {"client_cpus": 2, "server_cpus": 6}}, {"threads": 3}, {"CPU": 8.0}),
        ({"hardware": {"gpus_per_server": 2}}, {}, {"CPU": 2.0, "GPU": 2.0}),
        ({"launcher": {"kind": "endpoint", "url": "http://h:1"}, "hardware": {"client_cpus": 3}}, {}, {"CPU": 3.0}),
        ({}, {"no-such-flag": 1}, {"CPU": 1.0}),
    ],
)
def test_what_a_trial_reserves(sections: dict[str, Any], config: dict[str, Any], needs: dict[str, float]) -> None:
    assert bundle(study(**sections), Config(config)) == needs


def test_each_rank_of_a_server_over_nodes_has_a_share_of_its_own() -> None:
    given = study(
        engine={"name": "vllm"},
        model={"id": "org/model"},
        hardware={"accelerators": ["H100-80GB"], "gpus_per_node": 4},
        parameters={"max-num-seqs": [64]},
    )
    found = need_of(given, Config({"tp": 4, "pp": 2}))
    assert [share.gpus for share in found.shares] == [4, 4]
    assert found.shares[0].cpus == found.shares[1].cpus + 1, "the load driver runs beside rank 0"
    assert found.accelerator == "H100-80GB"
    assert need_of(given, Config({"tp": 2})).shares == (Share(2, 5.0),)


def test_values_that_no_node_can_hold_are_named() -> None:
    given = study(parameters={"threads": [1, 2, 16], "ubatch-size": [32]})
    space = build_space(given)
    told = misfit_values(given, space, baseline_config(given, space), [node(8)])
    assert told == ["threads: 16: a trial needs 17 CPU, and no node has that much: 8 CPU and 0 GPU"]


def test_the_default_is_the_smallest_parallelism_that_fits_on_each_gpu_type() -> None:
    given = study(
        engine={"name": "vllm"},
        model={"id": "org/model"},
        hardware={"accelerators": ["H100-80GB", "L40S-48GB"]},
        space={"parallelism": {"tp": [1, 2]}},
    )
    space = build_space(given)

    def fits(nodes: list[Node]) -> Fits:
        return lambda config: misfit(need_of(given, config), nodes) is None

    both = [node(16, 8, "H100-80GB"), node(16, 4, "L40S-48GB")]
    configs = [dict(config.values) for config in baseline_configs(given, space, fits(both))]
    assert configs == [{"accelerator": "H100-80GB", "tp": 1}, {"accelerator": "L40S-48GB", "tp": 1}]
    one = [node(16, 4, "L40S-48GB")]
    assert [config.values["accelerator"] for config in baseline_configs(given, space, fits(one))] == ["L40S-48GB"]
