from __future__ import annotations

from typing import Any

import pytest

from autotuner.engines import build_space
from autotuner.errors import CapacityError
from autotuner.space.config import Config
from autotuner.study.model import Study
from autotuner.tuning.baseline import baseline_config
from autotuner.tuning.capacity import bundle, check_capacity, check_space_fits, fitting
from tests.tuning_parts import study

NODES = [{"CPU": 8.0, "GPU": 4.0}, {"CPU": 3.0, "GPU": 8.0}, {"CPU": 64.0}]


@pytest.mark.parametrize(
    ("needs", "count"),
    [
        ({"CPU": 2.0}, 4 + 1 + 32),
        ({"CPU": 2.0, "GPU": 1.0}, 4 + 1),
        ({"CPU": 1.0, "GPU": 8.0}, 1),
        ({"CPU": 4.0, "GPU": 8.0}, 0),
        ({"CPU": 65.0}, 0),
    ],
)
def test_whole_trials_per_node(needs: dict[str, float], count: int) -> None:
    assert fitting(needs, NODES) == count


def test_what_fits_on_the_cluster_but_on_no_node_is_refused() -> None:
    with pytest.raises(CapacityError) as caught:
        check_capacity({"CPU": 4.0, "GPU": 8.0}, NODES)
    message = caught.value.message
    assert message.startswith("a trial needs 4 CPU and 8 GPU, and no node has that much: ")
    assert message.endswith("8 CPU and 4 GPU; 3 CPU and 8 GPU; 64 CPU and 0 GPU")
    assert caught.value.key == "hardware"


def test_a_cluster_without_nodes() -> None:
    with pytest.raises(CapacityError, match="the cluster has no node"):
        check_capacity({"CPU": 1.0}, [])


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


def check(given: Study, *nodes: dict[str, float]) -> int:
    space = build_space(given)
    return check_space_fits(given, space, baseline_config(given, space), nodes)


def test_a_value_that_no_node_can_hold_is_named() -> None:
    given = study(parameters={"threads": [1, 2, 16], "ubatch-size": [32]})
    with pytest.raises(CapacityError, match=r"space\.parameters\.threads: 16: a trial needs 17 CPU") as caught:
        check(given, {"CPU": 8.0})
    assert (caught.value.key, caught.value.value) == ("space.parameters.threads", 16)


def test_baselines_that_fit_at_a_time() -> None:
    assert check(study(), {"CPU": 8.0}, {"CPU": 3.0}) == 5
    assert check(study(search={"baseline": {"threads": 3}}), {"CPU": 8.0}, {"CPU": 3.0}) == 2
