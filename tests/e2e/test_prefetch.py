"""Weights on a hub: fetched on each node of a trial before its servers start, once where nodes share a cache."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.raylets import NodeKind, Raylets, raylets
from tests.e2e.studies import Workplace, assert_nothing_left, rows
from tests.e2e.test_several_nodes import ENGINE, H100, write_study
from tests.integration.hub import Hub, serve

FILES = {"config.json": b"{}", "model.safetensors": b"weights" * 1000}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Raylets]:
    with raylets([NodeKind(2, H100), NodeKind(2, H100)]) as running:
        yield running


def test_trials_over_two_nodes_fetch_their_model_once(workplace: Workplace, cluster: Raylets) -> None:
    folder = workplace.folder / "out"
    with serve(Hub({"org/ranks": FILES}, pause_s=1.0)) as hub:
        env = {"TTFT_MS": "400", "HF_ENDPOINT": hub.url, "HF_HOME": str(workplace.folder / "hf")}
        study = write_study(
            workplace,
            model={"id": "org/ranks", "served_name": workplace.mark},
            engine={**ENGINE, "env": env},
        )
        done = workplace.run("run", study, "--address", cluster.address, "--out", folder, "--json")
    assert done.returncode == 0, done.stderr
    assert [(row["state"], row["gpus"]) for row in rows(folder, "SELECT * FROM trials")] == [("completed", 4)] * 2
    assert sorted(hub.got) == ["org/ranks/config.json", "org/ranks/model.safetensors"]
    assert_nothing_left(workplace, folder)


def test_a_model_that_the_hub_does_not_have_starts_no_server(workplace: Workplace, cluster: Raylets) -> None:
    folder = workplace.folder / "out"
    with serve(Hub({})) as hub:
        env = {"TTFT_MS": "400", "HF_ENDPOINT": hub.url, "HF_HOME": str(workplace.folder / "hf")}
        study = write_study(
            workplace,
            model={"id": "org/none", "served_name": workplace.mark},
            engine={**ENGINE, "env": env},
            search={"algorithm": "grid", "trials": 1, "confirm": 0},
        )
        done = workplace.run("run", study, "--address", cluster.address, "--out", folder, "--json")
    assert done.returncode == 1, done.stderr
    (trial,) = rows(folder, "SELECT * FROM trials")
    assert (trial["state"], trial["failure"], trial["startup_s"]) == ("failed", "INVALID_CONFIG", None)
    assert "org/none can't be fetched" in trial["message"]
    assert not list((folder / "logs" / "0000").glob("*rank*.log"))
    assert_nothing_left(workplace, folder)
