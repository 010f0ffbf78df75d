from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autotuner.engines import build_space
from autotuner.errors import CapacityError
from autotuner.space.config import Config
from autotuner.tuning.decisions.baseline import Fits, baseline_config, baseline_configs
from autotuner.tuning.decisions.capacity import (
    bundle,
    check_capacity,
    fitting,
    fitting_by_type,
    misfit,
    misfit_values,
    need_of,
    need_text,
)
from autotuner.tuning.decisions.placement_policy import Need, Node, Share
from tests.replay_tables import study as replayed_study
from tests.replay_tables import surface, write
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


def test_trials_of_one_share_are_counted_however_many_of_several_up_to_a_thousand() -> None:
    assert fitting(need(1), [node(5000), node(7)]) == 5007
    assert fitting(need(1, ranks=2), [node(2000), node(1500)]) == 1000
    assert fitting(need(1, ranks=2), [node(999), node(1500)]) == 999


def test_a_trial_without_cpus_is_bound_by_gpus_alone_and_one_without_either_by_a_thousand() -> None:
    assert fitting(Need((Share(2, 0.0),)), [node(8, 4), node(8, 5)]) == 4
    assert fitting(Need((Share(0, 0.0),)), [node(8)]) == 1000


def test_what_is_taken_and_closed_now_is_not_asked_for() -> None:
    busy = Node("busy", "", 4, 8.0, 0, 0.5, open=False)
    assert fitting(need(2, 1), [busy]) == 4
    assert fitting(need(2, 1, ranks=2), [busy, node(8, 4)]) == 4


def test_a_trial_stays_on_its_gpu_type() -> None:
    mixed = [node(8, 8, "H100-80GB"), node(8, 4, "L40S-48GB")]
    assert fitting(need(1, 2, accelerator="L40S-48GB"), mixed) == 2
    assert fitting(need(1, 2), mixed) == 4 + 2
    assert misfit(need(1, 8, accelerator="L40S-48GB"), mixed) is not None
    assert misfit(need(1, 4, ranks=2), mixed) is not None, "ranks of one trial are never on two types"


@pytest.mark.parametrize(
    ("needs", "told"),
    [
        (need(4), "4 CPU"),
        (need(4.5, 8), "4.5 CPU and 8 GPU"),
        (need(4, 8, accelerator="H100-80GB"), "4 CPU and 8 GPU of H100-80GB"),
        (need(4, 8, ranks=2), "2 nodes of one GPU type, the first with 4 CPU and 8 GPU"),
        (need(4, 8, 3, "H100-80GB"), "3 nodes of one GPU type of H100-80GB, the first with 4 CPU and 8 GPU"),
    ],
)
def test_a_need_in_words(needs: Need, told: str) -> None:
    assert need_text(needs) == told


def test_why_no_node_can_hold_a_trial_names_each_kind_of_node_once() -> None:
    nodes = [node(8, 4, "H100-80GB"), node(8, 4, "H100-80GB"), node(64)]
    listed = "8 CPU and 4 GPU (H100-80GB); 64 CPU and 0 GPU"
    assert misfit(need(1, 8), nodes) == f"a trial needs 1 CPU and 8 GPU, and no node has that much: {listed}"
    several = misfit(need(9, 1, ranks=2), nodes)
    assert several is not None
    assert several.endswith(f", and the cluster has no such set: {listed}")
    assert misfit(need(2, 2, ranks=2), NODES) is None


def test_how_many_fit_is_told_by_the_type_that_each_default_needs() -> None:
    nodes = [node(8, 4, "H100-80GB"), node(8, 2, "L40S-48GB")]
    needs = [need(1, 1, accelerator=name) for name in ("H100-80GB", "L40S-48GB")]
    assert fitting_by_type(needs, nodes) == {"H100-80GB": 4, "L40S-48GB": 2}


def test_what_a_refused_trial_needs_is_over_all_its_nodes() -> None:
    with pytest.raises(CapacityError) as caught:
        check_capacity(need(9, 8, ranks=2), NODES)
    assert caught.value.value == {"CPU": 18, "GPU": 16}
    with pytest.raises(CapacityError) as caught:
        check_capacity(need(99), NODES)
    assert caught.value.value == {"CPU": 99}


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


def test_a_config_that_names_no_type_runs_on_the_studys_first() -> None:
    given = study(
        engine={"name": "vllm"},
        model={"id": "org/model"},
        hardware={"accelerators": ["H100-80GB", "L40S-48GB"]},
        parameters={"max-num-seqs": [64]},
    )
    assert need_of(given, Config({})).accelerator == "H100-80GB"
    assert need_of(given, Config({"accelerator": "L40S-48GB"})).accelerator == "L40S-48GB"
    anywhere = study(engine={"name": "vllm"}, model={"id": "org/model"}, parameters={"max-num-seqs": [64]})
    assert need_of(anywhere, Config({})).accelerator == ""
    on_cpus = study(hardware={"accelerators": ["H100-80GB"], "gpus_per_server": 0})
    assert need_of(on_cpus, Config({})) == Need((Share(0, 2.0),))


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


def test_a_replayed_trial_has_no_load_driver_that_needs_cpus(tmp_path: Path) -> None:
    table = write(tmp_path / "table.jsonl", surface(repeats=1))
    config = Config({"batch-size": 64, "ubatch-size": 32})
    replayed = need_of(replayed_study(table), config).shares[0].cpus
    served = need_of(study(hardware={"client_cpus": 3}), Config()).shares[0].cpus
    without = need_of(study(hardware={"client_cpus": 1}), Config()).shares[0].cpus
    assert served - without == 2
    assert replayed == need_of(replayed_study(table, hardware={"client_cpus": 3}), config).shares[0].cpus
