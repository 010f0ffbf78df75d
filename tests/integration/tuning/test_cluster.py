"""The nodes as placement sees them, on a real Ray cluster of several raylets."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.util import placement_group, remove_placement_group

from autotuner.errors import StudyError
from autotuner.study.model import Study
from autotuner.tuning.decisions.placement_policy import Need, Node, Share
from autotuner.tuning.on_ray import cluster as cluster_module
from autotuner.tuning.on_ray.cluster import Cluster, accelerator_of
from autotuner.tuning.on_ray.cluster_checks import nodes_without_secrets
from autotuner.tuning.on_ray.node_tasks import on_every_node
from benchmarks.raylets import NodeKind, Raylets, raylets
from tests.e2e.studies import wait_until

H100 = "H100-80GB"
RAY = str(Path(sys.executable).with_name("ray"))


@pytest.fixture(scope="module")
def nodes() -> Iterator[Raylets]:
    with raylets([NodeKind(4, H100, cpus=8, env={"ON_ONE": "x"}), NodeKind(2, "L40S", cpus=8)]) as running:
        ray.init(address=running.address, log_to_driver=False, logging_level="ERROR")
        yield running
        ray.shutdown()


@pytest.fixture
def cluster(nodes: Raylets, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setattr(cluster_module, "_FRESH_S", 0.0)
    return Cluster()


def gpus(cluster: Cluster) -> dict[str, Node]:
    return {node.accelerator: node for node in cluster.nodes() if node.gpus}


def test_nodes_with_their_types_by_the_names_of_their_profiles(cluster: Cluster) -> None:
    found = gpus(cluster)
    assert {name: (node.gpus, node.free_gpus, node.cpus) for name, node in found.items()} == {
        H100: (4, 4, 8.0),
        "L40S-48GB": (2, 2, 8.0),
    }
    assert all(node.open for node in found.values())
    assert cluster.name_of(found[H100].node_id).endswith("/" + found[H100].node_id[:8])


def test_what_the_studys_own_trials_hold_is_taken_by_word_alone(cluster: Cluster) -> None:
    node = gpus(cluster)[H100]
    mine = placement_group([{"GPU": 2, "CPU": 1}], bundle_label_selector=[{"ray.io/node-id": node.node_id}])
    assert mine.wait(120)
    try:
        assert gpus(cluster)[H100].free_gpus == 4, "a group that Ray keeps for the next trial counts for nothing"
        [taken] = [n for n in cluster.nodes({node.node_id: [Share(2, 1.0)]}) if n.node_id == node.node_id]
        assert (taken.free_gpus, taken.free_cpus) == (2, 7.0)
    finally:
        remove_placement_group(mine)


_OTHER_JOB = """
import sys, ray
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
group = ray.util.placement_group([{"GPU": 3, "CPU": 1}])
assert group.wait(120)
print("held", flush=True)
sys.stdin.read()
"""


def test_what_others_hold_is_not_free(cluster: Cluster, nodes: Raylets) -> None:
    command = [sys.executable, "-c", _OTHER_JOB, nodes.address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        wait_until(lambda: gpus(cluster)[H100].free_gpus == 1, "the other job's GPUs to be seen")
        other.communicate()
    wait_until(lambda: gpus(cluster)[H100].free_gpus == 4, "them to be free again")


_NAMED_JOB = """
import sys, ray
from ray.job_config import JobConfig
told = JobConfig(metadata={"autotuner_study": "llama", "autotuner_folder": "/data/llama"})
ray.init(address=sys.argv[1], job_config=told, log_to_driver=False, logging_level="ERROR")
group = ray.util.placement_group([{"GPU": 1, "CPU": 1}], name="training")
assert group.wait(120)
@ray.remote(num_gpus=2, num_cpus=0)
class Trainer:
    def up(self): ...
trainer = Trainer.remote()
ray.get(trainer.up.remote())
@ray.remote(num_gpus=3, num_cpus=0)
def task(): sys.stdin.read()
print("held", flush=True)
sys.stdin.read()
"""


def test_who_holds_what_others_hold(cluster: Cluster, nodes: Raylets) -> None:
    command = [sys.executable, "-c", _NAMED_JOB, nodes.address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        wait_until(lambda: sum(node.free_gpus for node in cluster.nodes()) == 3, "the other job's GPUs to be seen")
        found = cluster.holders(Need((Share(1, 1.0),)))
        assert sum(holder.gpus for holder in found) == 3
        assert {(h.study, h.folder, h.pid) for h in found} == {("llama", "/data/llama", None)}
        assert {name for h in found for name in h.placement_groups} == {"training"}
        assert {name for h in found for name in h.actors} == {"Trainer"}
        assert all(nodes.address in h.entrypoint and h.job_id for h in found)
        of_h100 = cluster.holders(Need((Share(1, 1.0),), H100))
        assert {h.node for h in of_h100} <= {cluster.name_of(gpus(cluster)[H100].node_id)}
        other.communicate()
    wait_until(lambda: not cluster.holders(Need((Share(1, 1.0),))), "nobody to hold anything")


def test_what_waits_in_ray_for_what_others_hold(cluster: Cluster, nodes: Raylets) -> None:
    command = [sys.executable, "-c", _OTHER_JOB, nodes.address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        wait_until(lambda: gpus(cluster)[H100].free_gpus == 1, "the other job's GPUs to be seen")
        too_large = placement_group([{"GPU": 100}])
        mine = placement_group([{"GPU": 4, "CPU": 1}])
        try:
            held = wait_until(cluster.held_up_in_ray, "it to wait")
            assert held == Need((Share(4, 1.0),)), "and not the one that fits on no node at all"
            other.communicate()
            assert mine.wait(120)
            assert cluster.held_up_in_ray() is None
        finally:
            remove_placement_group(mine)
            remove_placement_group(too_large)


def test_work_is_done_once_on_every_node(nodes: Raylets) -> None:
    assert len(set(on_every_node(lambda: ray.get_runtime_context().get_node_id()).values())) == 3


def secret_study(variable: str, **sections: Any) -> Study:
    engine = {"name": "vllm", "env": {"TOKEN": {"from_env": variable}}}
    return Study.model_validate(
        {"model": {"id": "org/m"}, "engine": engine, "workload": {"scenario": "D(8,8)"}, **sections}
    )


def test_a_secret_is_asked_for_where_trials_run(nodes: Raylets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE_ALONE", "x")  # this machine starts nothing
    with pytest.raises(StudyError, match="HERE_ALONE is set on no node") as caught:
        nodes_without_secrets(secret_study("HERE_ALONE"))
    assert caught.value.key == "engine.env.TOKEN"
    (told,) = nodes_without_secrets(secret_study("ON_ONE"))
    assert "engine.env.TOKEN: the environment variable ON_ONE is not set on" in told
    assert nodes_without_secrets(secret_study("PATH")) == []


def test_nodes_that_join_are_seen_and_those_that_are_drained_are_closed(cluster: Cluster, nodes: Raylets) -> None:
    joined = nodes.add(NodeKind(1, "A100-80GB", cpus=2))
    wait_until(lambda: "A100-80GB" in gpus(cluster), "the node to join")

    held = placement_group([{"GPU": 1}], bundle_label_selector=[{"ray.io/node-id": joined.node_id}])
    assert held.wait(120)  # Ray ends a drained node that is idle at once
    words = ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "t", "--deadline-remaining-seconds", "60"]
    drained = subprocess.run(
        [RAY, "drain-node", "--address", nodes.address, "--node-id", joined.node_id, *words],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert drained.returncode == 0, drained.stderr
    wait_until(lambda: (node := gpus(cluster).get("A100-80GB")) is None or not node.open, "the node to be closed")


@pytest.mark.parametrize(
    ("labels", "resources", "name"),
    [
        ({"autotuner/accelerator": "H100"}, {}, H100),
        ({"autotuner/accelerator": "X9000"}, {}, "X9000"),
        ({}, {"accelerator_type:L40S": 1.0}, "L40S-48GB"),
        ({}, {"accelerator_type:A100": 1.0}, ""),
        ({}, {}, ""),
    ],
)
def test_a_gpu_type_by_our_label_or_by_rays_where_it_says_enough(
    labels: dict[str, str], resources: dict[str, float], name: str
) -> None:
    assert accelerator_of(labels, resources) == name
