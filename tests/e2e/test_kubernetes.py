"""A cluster whose nodes are pods: they have the variable that Kubernetes sets in each of its containers."""

from __future__ import annotations

import json

from tests.e2e.ray_head import ray_head
from tests.e2e.studies import Workplace, assert_nothing_left, paced_study


def test_docker_is_refused_where_nodes_are_pods_and_processes_are_not(workplace: Workplace) -> None:
    out = workplace.folder / "out"
    with ray_head(workplace, KUBERNETES_SERVICE_HOST="10.0.0.1") as head:
        changes = {"launcher": {"kind": "docker"}, "engine": {"image": "llama.cpp:1"}}
        docker = workplace.study_file(workplace.folder, **changes)
        for command in (["check"], ["run", "--out", str(out)]):
            told = head.run(*command, docker, "--json")
            assert told.returncode == 2, told.stderr
            document = json.loads(told.stdout)
            assert (document["code"], document["key"], document["value"]) == ("study", "launcher.kind", "docker")
            assert "process launcher" in document["message"]
            assert "engine.command" in document["message"]
        assert not out.exists()
        processes = head.run("check", paced_study(workplace), "--json")
        assert (processes.returncode, json.loads(processes.stdout)["fits"]) == (0, 1)
    assert_nothing_left(workplace)
