"""Studies on a cluster of several raylets: each trial on nodes that fit, over several of them, and on others when one
is lost."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from autotuner.results import OutputFolder
from autotuner.servers.machine.node_label import ACCELERATOR_LABEL
from autotuner.servers.machine.ports import lease_port
from autotuner.servers.supervision.tags import STUDY, TRIAL
from benchmarks.raylets import NodeKind, Raylets, count_nodes, raylets
from tests.e2e.studies import PROGRAMS, Workplace, assert_nothing_left, living, rows, wait_for_row, wait_until
from tests.integration.hub import Hub, serve

pytestmark = pytest.mark.long
H100, A100, L40S, L4 = "H100-80GB", "A100-80GB", "L40S-48GB", "L4-24GB"
WEIGHTS = {"config.json": b"{}", "model.safetensors": b"weights" * 1000}
RAY = str(Path(sys.executable).with_name("ray"))
ENGINE = {"name": "vllm", "command": [sys.executable, str(PROGRAMS / "multi_rank_server.py")]}
_LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "num_hidden_layers": 4,
    "vocab_size": 512,
    "max_position_embeddings": 4096,
    "torch_dtype": "bfloat16",
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Raylets]:
    with raylets([NodeKind(2, H100), NodeKind(2, H100), NodeKind(2, L40S)]) as running:
        yield running


def write_study(place: Workplace, **changes: Any) -> Path:
    """A study of vLLM's flags, served by the program of several ranks."""
    model = place.folder / "model"
    model.mkdir(exist_ok=True)
    (model / "config.json").write_text(json.dumps(_LLAMA), encoding="utf-8")
    keys = {
        "name": "ranks",
        "model": {"id": str(model), "served_name": place.mark},
        "engine": ENGINE,
        "hardware": {"accelerators": [H100], "gpus_per_node": 2, "server_cpus": 1},
        "space": {"parallelism": {"tp": [2], "pp": [2]}, "parameters": {"max-num-seqs": [32, 64]}},
        "workload": {"scenario": "D(32,8)", "load": {"concurrency": [8]}, "requests": {"per_slot": 4, "min": 16}},
        "timeouts": {"start_s": 300, "request_s": 60, "rung_s": 300},
        "objective": "ttft_p50",
        "search": {"algorithm": "grid", "trials": 2, "confirm": 0, "heed_disturbance": False},
        "fidelity": {"rungs": 1},
        **changes,
    }
    path = place.folder / "study.yaml"
    path.write_text(yaml.safe_dump(keys), encoding="utf-8")
    return path


def logs(folder: Path, trial: str) -> dict[str, str]:
    """Of its first launch; a busy machine's load driver may have asked for another."""
    paths = sorted((folder / "logs" / trial).glob(f"{trial}-l1-*.log"))
    return {path.name: path.read_text(encoding="utf-8") for path in paths}


def test_a_server_of_two_nodes_has_its_ranks_on_two_nodes_of_one_type(workplace: Workplace, cluster: Raylets) -> None:
    folder = workplace.folder / "out"
    done = workplace.run("run", write_study(workplace), "--address", cluster.address, "--out", folder, "--json")
    assert done.returncode == 0, done.stderr
    trials = rows(folder, "SELECT * FROM trials")
    assert [(row["state"], row["gpus"], row["accelerator"]) for row in trials] == [("completed", 4, H100)] * 2
    told = logs(folder, "0000")
    assert list(told) == ["0000-l1-rank0.log", "0000-l1-rank1.log"]
    assert "rank 0 of 2 sees GPUs '0,1'" in told["0000-l1-rank0.log"]
    assert "rank 1 has come" in told["0000-l1-rank0.log"]
    assert "rank 1 of 2 sees GPUs '0,1'" in told["0000-l1-rank1.log"]
    assert_nothing_left(workplace, folder)


def test_tensorrt_llm_over_two_nodes_is_one_mpi_job(workplace: Workplace, cluster: Raylets) -> None:
    folder = workplace.folder / "out"
    launcher = {"PATH": f"{PROGRAMS}:{os.environ['PATH']}", "OMPI_MCA_btl": "tcp,self"}  # two nodes, but one /dev/shm
    server = [sys.executable, str(PROGRAMS / "mock_engine.py")]
    keys: dict[str, Any] = {
        "engine": {"name": "trtllm", "command": server, "env": launcher},
        "space": {"parallelism": {"tp": [2], "pp": [2]}, "parameters": {"max_batch_size": [32, 64]}},
    }
    done = workplace.run("run", write_study(workplace, **keys), "--address", cluster.address, "--out", folder, "--json")
    assert done.returncode == 0, done.stderr
    trials = rows(folder, "SELECT * FROM trials")
    assert [(row["state"], row["gpus"]) for row in trials] == [("completed", 4)] * 2, [
        (row["failure"], row["message"]) for row in trials
    ]
    told = logs(folder, "0000")
    assert list(told) == ["0000-l1-rank0.log", "0000-l1-rank1.log"]
    assert all(f"MPI rank {rank} of 4 sees GPUs '0,1'" in told["0000-l1-rank0.log"] for rank in range(4))
    assert_nothing_left(workplace, folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="a node that sees other files needs root")
def test_a_node_that_does_not_see_the_folder_sends_its_logs(workplace: Workplace, cluster: Raylets) -> None:
    folder = workplace.folder / "out"
    folder.mkdir()
    keys: dict[str, Any] = {
        "hardware": {"accelerators": [L4], "server_cpus": 1},
        "space": {"parallelism": {"tp": [1]}, "parameters": {"max-num-seqs": [32, 64]}},
    }
    with node_without(folder, cluster, L4):
        done = workplace.run("run", write_study(workplace, **keys), "--address", cluster.address, "--out", folder)
    assert done.returncode == 0, done.stderr
    trials = rows(folder, "SELECT * FROM trials")
    assert [(row["state"], row["accelerator"]) for row in trials] == [("completed", L4)] * 2
    assert [list(logs(folder, row["trial_id"])) for row in trials] == [["0000-l1-rank0.log"], ["0001-l1-rank0.log"]]
    assert "rank 0 of 0 sees GPUs '0'" in logs(folder, "0000")["0000-l1-rank0.log"]
    assert_nothing_left(workplace, folder)


@contextmanager
def node_without(folder: Path, cluster: Raylets, accelerator: str) -> Iterator[None]:
    """A node of one GPU that sees an empty folder in place of this one."""
    nodes = count_nodes(cluster.address)
    ports = ("dashboard-agent-listen", "dashboard-agent-grpc", "runtime-env-agent", "metrics-export")
    with ExitStack() as held:
        leased = {name: held.enter_context(closing(lease_port("127.0.0.1"))).port for name in ports}
        start = [
            *(RAY, "start", "--block", f"--address={cluster.address}", "--num-cpus=8", "--num-gpus=1"),
            *(f"--labels={ACCELERATOR_LABEL}={accelerator}", "--min-worker-port=0", "--max-worker-port=0"),
            *(f"--{name}-port={port}" for name, port in leased.items()),
        ]
        hidden = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(folder)]
        process = subprocess.Popen([*hidden, *start], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        held.callback(process.wait)
        held.callback(process.terminate)
        wait_until(lambda: count_nodes(cluster.address) > nodes, "the node to join")
        yield


@pytest.mark.fault
def test_ranks_live_and_die_together(workplace: Workplace, cluster: Raylets) -> None:
    folder = workplace.folder / "out"
    long = {"scenario": "D(32,8)", "load": {"concurrency": [8]}, "requests": {"per_slot": 4, "min": 200}}
    started = workplace.start(
        "run", write_study(workplace, workload=long), "--address", cluster.address, "--out", folder
    )
    wait_for_row(folder, "SELECT * FROM trials WHERE trial_id = '0000' AND startup_s > 0", process=started)
    study = OutputFolder(folder).study_id
    assert study is not None
    first = ranks_of(study)
    assert set(first) == {0, 1}
    first[1].kill()
    wait_until(lambda: not any(process.is_running() for process in first.values()), "both ranks to end")
    code, _ = workplace.finish(started)
    assert code == 0, workplace.errors(started)
    ended = {row["trial_id"]: (row["state"], row["failure"]) for row in rows(folder, "SELECT * FROM trials")}
    assert ended == {"0000": ("failed", "CRASH"), "0001": ("completed", None)}
    assert_nothing_left(workplace, folder)


def ranks_of(study: str) -> dict[int, psutil.Process]:
    """The living rank processes of trial 0000, by number."""
    found = {}
    for process in living(STUDY, study):
        words = process.cmdline()
        if "--node-rank" in words and process.environ().get(TRIAL) == "0000" and "multi_rank_server.py" in words[1]:
            found[int(words[words.index("--node-rank") + 1])] = process
    return found


def test_a_node_that_is_slower_than_its_twins_measures_no_trial(workplace: Workplace, cluster: Raylets) -> None:
    folder = workplace.folder / "out"
    ttft_ms = ("500", "1000", "500")
    nodes = [cluster.add(NodeKind(1, A100, env={"TTFT_MS": ms})) for ms in ttft_ms]
    keys: dict[str, Any] = {
        "hardware": {"accelerators": [A100], "server_cpus": 1},
        "space": {"parallelism": {"tp": [1]}, "parameters": {"max-num-seqs": [16, 32, 64, 128]}},
        "search": {"algorithm": "random", "trials": 5, "confirm": 0, "check_nodes": "always"},
        "fidelity": {"rungs": 2, "eta": 2, "trial_scheduler": "none"},
    }
    done = workplace.run("run", write_study(workplace, **keys), "--address", cluster.address, "--out", folder, "--json")
    assert done.returncode == 0, done.stderr
    [quarantine] = rows(folder, "SELECT * FROM quarantines")
    slow = quarantine["node"]
    assert nodes[1].node_id.startswith(slow.rpartition("/")[2])
    told = r"slower than its twins: ttft_p50 of the default was 1\d{3} on it and [5-9]\d\d"
    assert re.match(told, quarantine["reason"]), quarantine["reason"]
    trials = rows(folder, "SELECT * FROM trials")
    explored = [row for row in trials if row["phase"] != "node_check"]
    assert [row["state"] for row in explored] == ["completed"] * 5
    assert slow not in {row["node"] for row in explored}
    checks = [(row["trial_id"], row["node"] == slow) for row in trials if row["phase"] == "node_check"]
    assert sorted(is_slow for _, is_slow in checks) == [False, False, True, True]
    assert len(rows(folder, "SELECT * FROM rungs WHERE trial_id LIKE '0000-n%'")) == 4, "one rung each"
    assert json.loads(done.stdout)["trials"]["total"] == 5
    assert "node_check" not in (folder / "trials.csv").read_text(encoding="utf-8")
    assert_nothing_left(workplace, folder)


@pytest.mark.fault
def test_a_node_that_is_lost_costs_no_trial(workplace: Workplace, cluster: Raylets) -> None:
    folder = workplace.folder / "out"
    keys: dict[str, Any] = {
        "engine": {**ENGINE, "env": {"TTFT_MS": "400"}},
        "hardware": {"accelerators": [H100, L40S], "server_cpus": 1},
        "space": {"parallelism": {"tp": [1]}, "parameters": {"max-num-seqs": [16, 32, 64, 128]}},
        "search": {"algorithm": "random", "trials": 5, "confirm": 0},
        "fidelity": {"rungs": 2, "eta": 2, "trial_scheduler": "none"},
    }
    cluster.add(NodeKind(2, H100))
    started = workplace.start("run", write_study(workplace, **keys), "--address", cluster.address, "--out", folder)
    query = "SELECT * FROM trials WHERE accelerator = ? AND startup_s > 0"
    name = wait_for_row(folder, query, H100, process=started)["node"]
    time.sleep(1)
    cluster.kill(next(node for node in cluster.nodes if node.node_id.startswith(name.rpartition("/")[2])))
    code, _ = workplace.finish(started)
    assert code == 0, workplace.errors(started)
    trials = rows(folder, "SELECT * FROM trials")
    assert [row["state"] for row in trials] == ["completed"] * 5
    assert {row["accelerator"] for row in trials} == {H100, L40S}
    rungs = rows(folder, "SELECT trial_id, rung FROM rungs")
    assert len(rungs) == len({(row["trial_id"], row["rung"]) for row in rungs}) == 10
    assert_nothing_left(workplace, folder)


# ── weights on a hub, which are fetched on each node before its servers start ──────────────────


def test_trials_over_two_nodes_fetch_their_model_once(workplace: Workplace, cluster: Raylets) -> None:
    folder = workplace.folder / "out"
    with serve(Hub({"org/ranks": WEIGHTS}, pause_s=1.0)) as hub:
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
