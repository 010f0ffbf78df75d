"""What only a real Ray can show: metrics on a node's port, and logs through the store actor."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import ray
from prometheus_client.parser import text_string_to_metric_families

from autotuner.errors import Failure
from autotuner.results import OutputFolder, Phase, TrialState
from autotuner.scoring import Score
from autotuner.servers import owner_tag, tags
from autotuner.tuning.events import (
    Event,
    NodeQuarantined,
    RungEnded,
    StudyEnded,
    StudyStarted,
    TrialEnded,
    TrialRepeated,
    TrialStarted,
)
from autotuner.tuning.on_ray.metrics_observer import STUDY_METRICS, MetricsObserver
from autotuner.tuning.on_ray.node_tasks import begin_reaping
from autotuner.tuning.on_ray.session import ray_session
from autotuner.tuning.on_ray.store_actor import RemoteStore, start_store
from autotuner.tuning.trial.log_shipper import LogShipper
from tests.scores import made_score
from tests.tuning_parts import study

WAIT_S = 60.0
STUDY = "watched"

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture(scope="module")
def port() -> Iterator[str]:
    """The address of a Ray node's metrics, of a Ray of this module's own that reports every second."""
    folder = tempfile.mkdtemp(prefix="at-", dir="/tmp")  # Ray puts sockets there, whose names must be short
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("RAY_TMPDIR", folder)
        patch.setenv("RAY_metrics_report_interval_ms", "1000")
        with ray_session(None):
            [node] = ray.nodes()
            yield f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    shutil.rmtree(folder, ignore_errors=True)


def score(value: float, *, slo_met: bool = True) -> Score:
    return made_score(value, "goodput", slo_met=slo_met)


def started(name: str = STUDY, **changes: Any) -> StudyStarted:
    return StudyStarted(name, "out", 9, 2, "goodput", "max", 3, **changes)


def trial(trial_id: str, gpus: int = 0, accelerator: str = "", phase: Phase = Phase.SEARCH) -> TrialStarted:
    return TrialStarted(trial_id, phase, {}, gpus, accelerator)


def ended(
    trial_id: str,
    state: TrialState,
    value: Score | None = None,
    failure: Failure | None = None,
    phase: Phase = Phase.SEARCH,
) -> TrialEnded:
    return TrialEnded(trial_id, phase, {}, state, failure, "", value, 0.0, 0.0)


def samples(port: str, study: str = STUDY) -> Samples:
    """A study's samples by name and labels, without the labels that Ray adds."""
    with urllib.request.urlopen(port, timeout=10) as answer:
        page = answer.read().decode()
    ours = ("state", "accelerator", "objective", "kind")
    return {
        (sample.name, tuple((name, sample.labels[name]) for name in ours if name in sample.labels)): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name.startswith("ray_autotuner_") and sample.labels.get("study") == study
    }


def wait_for(port: str, condition: Callable[[Samples], bool], study: str = STUDY) -> Samples:
    deadline = time.monotonic() + WAIT_S
    while not condition(found := samples(port, study)):
        assert time.monotonic() < deadline, found
        time.sleep(0.3)
    return found


def test_a_study_is_told_on_the_metrics_port(port: str) -> None:
    now = 100.0
    observer = MetricsObserver(lambda: now)
    observer.on_event(started(resumed={TrialState.COMPLETED: 2}))
    observer.on_event(trial("0002", 4, "H100-80GB"))
    observer.on_event(trial("0003", 1, "L40S"))
    observer.on_event(trial("0004", 2, "L40S"))
    observer.on_event(trial("0005", 1))
    now = 110.0
    events: tuple[Event, ...] = (
        RungEnded("0002", Phase.SEARCH, {}, 0, score(5), {}),
        RungEnded("0002", Phase.SEARCH, {}, 1, score(7), {}),
        ended("0002", TrialState.COMPLETED, score(7)),
        TrialRepeated("0003", Failure.CRASH, "exit code 1", "node-b"),
        trial("0003", 1, "L40S"),
        ended("0003", TrialState.FAILED, failure=Failure.CRASH),
        TrialRepeated("0004", None, "its node is gone", ""),
        NodeQuarantined("node-b", "two Configs failed on it"),
        trial("0002-c1", 4, "H100-80GB", Phase.CONFIRM),
        ended("0002-c1", TrialState.COMPLETED, score(99), phase=Phase.CONFIRM),
    )
    for event in events:
        observer.on_event(event)
    found = wait_for(port, lambda s: s.get(("ray_autotuner_quarantined_nodes", ())) == 1)
    observer.on_event(StudyEnded("all trials done"))
    observer.on_event(RungEnded("0002", Phase.SEARCH, {}, 2, score(7), {}))  # after the end: nothing happens
    observer.close()
    assert found == {
        ("ray_autotuner_trials", (("state", "running"),)): 1,
        ("ray_autotuner_trials", (("state", "completed"),)): 3,
        ("ray_autotuner_trials", (("state", "stopped"),)): 0,
        ("ray_autotuner_trials", (("state", "failed"),)): 1,
        ("ray_autotuner_gpus_busy", (("accelerator", "H100-80GB"),)): 0,
        ("ray_autotuner_gpus_busy", (("accelerator", "L40S"),)): 0,
        ("ray_autotuner_gpus_busy", (("accelerator", "none"),)): 1,
        ("ray_autotuner_best_score", (("objective", "goodput"),)): 7,
        ("ray_autotuner_quarantined_nodes", ()): 1,
        ("ray_autotuner_failures_total", (("kind", "CRASH"),)): 2,
        ("ray_autotuner_failures_total", (("kind", "INFRASTRUCTURE"),)): 1,
        ("ray_autotuner_rungs_total", ()): 2,
        ("ray_autotuner_gpu_seconds_total", (("accelerator", "H100-80GB"),)): 40,
        ("ray_autotuner_gpu_seconds_total", (("accelerator", "L40S"),)): 30,
        ("ray_autotuner_gpu_seconds_total", (("accelerator", "none"),)): 10,
    }
    assert {name for name, _ in found} == {f"ray_{metric.name}" for metric in STUDY_METRICS}


def test_a_best_of_an_earlier_life_is_kept_until_it_is_beaten(port: str) -> None:
    observer = MetricsObserver()
    observer.on_event(started("resumed", resumed_best=("0001", score(50))))
    observer.on_event(ended("0002", TrialState.COMPLETED, score(60, slo_met=False)))
    best = ("ray_autotuner_best_score", (("objective", "goodput"),))
    assert wait_for(port, lambda s: best in s, "resumed")[best] == 50
    observer.on_event(ended("0003", TrialState.COMPLETED, score(51)))
    wait_for(port, lambda s: s[best] == 51, "resumed")


def test_a_metric_that_ray_refuses_costs_no_study(port: str, caplog: pytest.LogCaptureFixture) -> None:
    observer = MetricsObserver()
    observer.on_event(started(cast(Any, 5)))  # a label's value must be a text
    for number in range(3):
        observer.on_event(trial(f"{number:04}"))
    observer.close()
    [told] = [message for message in caplog.messages if "without metrics" in message]
    assert "str" in told


def test_what_dead_studies_left_on_a_node_is_ended_when_a_study_starts(port: str) -> None:
    ended = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    dead, living = owner_tag(ended.pid), owner_tag()
    ended.communicate()
    left, held = (
        subprocess.Popen(["sleep", "300"], env={**os.environ, **tags(f"reaped-{os.getpid()}", "0000", owner)})
        for owner in (dead, living)
    )
    try:
        begin_reaping()
        assert left.wait(WAIT_S) in (-signal.SIGTERM, -signal.SIGKILL)
        assert held.poll() is None
    finally:
        for process in (left, held):
            process.kill()
            process.wait()


def test_logs_reach_the_studys_folder_through_the_store_actor(port: str, tmp_path: Path) -> None:
    given = study()
    folder = OutputFolder(tmp_path / "study")
    folder.prepare(given, "s1")
    store = start_store(folder, given, "s1")
    logs = tmp_path / "node"
    logs.mkdir()
    said = b"".join(b"line %d\n" % number for number in range(100_000))
    try:
        with LogShipper(RemoteStore(store), "0001", logs, every_s=0.05):
            (logs / "0001-l1-rank0.log").write_bytes(said)
    finally:
        ray.kill(store)
    assert (folder.trial_logs("0001") / "0001-l1-rank0.log").read_bytes() == said
