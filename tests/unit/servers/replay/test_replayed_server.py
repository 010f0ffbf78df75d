"""What a launch and its load points take of a table, and what they are charged for it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from autotuner.benchmark import LoadPoint
from autotuner.engines import FailureReport
from autotuner.errors import Failure, LaunchError, SpaceError
from autotuner.metrics import measure, measure_context
from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.metrics.request import RequestError
from autotuner.servers import LaunchRequest
from autotuner.servers.replay.clock import VirtualClock
from autotuner.servers.replay.launcher import ReplayDriver, ReplayedServer, ReplayLauncher
from autotuner.servers.replay.lookup import find_lookup, replayed_deployment
from autotuner.servers.replay.truth import true_score
from autotuner.space.config import Config
from tests.replay_tables import STARTUP_S, requests, row, study, surface, write

LEVEL = LoadLevel(LoadKind.CONCURRENCY, 2)
A = {"batch-size": 64, "ubatch-size": 16}
OTHER = {"batch-size": 128, "ubatch-size": 16}


class Replay:
    """A table's launcher, with the clock that it moves."""

    def __init__(self, tmp_path: Path, rows: list[dict[str, Any]], seed: int = 0, **launcher: Any) -> None:
        path = write(tmp_path / "table.jsonl", rows)
        self.study = study(path, launcher={"kind": "replay", "table": str(path), **launcher})
        self.clock = VirtualClock(1000.0)
        self.launcher = ReplayLauncher(find_lookup(self.study), self.clock, seed)
        self.folder = tmp_path

    def launch(self, config: dict[str, Any], launch_id: str = "0001-l1") -> ReplayedServer:
        request = LaunchRequest(
            replayed_deployment(self.study, Config(config)), launch_id, self.folder, self.folder, {}, 1.0
        )
        return self.launcher.launch(request, lambda *_: FailureReport(Failure.CRASH, ""))

    def driver(self, config: dict[str, Any]) -> ReplayDriver:
        return ReplayDriver(self.launch(config), self.clock)

    @property
    def passed_s(self) -> float:
        return self.clock.epoch_s() - 1000.0


def test_a_launch_takes_as_long_as_it_did(tmp_path: Path) -> None:
    replay = Replay(tmp_path, [row(A, startup_s=90.0, gpus=4)])
    server = replay.launch(A)
    assert (replay.passed_s, server.startup_s) == (90.0, 90.0)
    assert replayed_deployment(replay.study, Config(A)).gpus == 4


def test_a_launch_that_failed_fails_again_after_its_time(tmp_path: Path) -> None:
    replay = Replay(tmp_path, [row(A, None, startup_s=30.0, failure="OUT_OF_MEMORY_AT_START"), row(OTHER)])
    with pytest.raises(LaunchError) as caught:
        replay.launch(A)
    assert (caught.value.failure, replay.passed_s) == (Failure.OUT_OF_MEMORY_AT_START, 30.0)


def test_each_launch_draws_a_repeat_and_the_seed_says_which(tmp_path: Path) -> None:
    rows = [row(A, repeat=number, startup_s=float(number)) for number in range(3)]

    def drawn(seed: int) -> list[float]:
        replay = Replay(tmp_path, rows, seed)
        return [replay.launch(A, f"0001-l{number}").startup_s for number in range(60)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert set(Counter(drawn(1))) == {0.0, 1.0, 2.0}


def test_a_rung_takes_its_share_of_the_requests_and_is_charged_their_time(tmp_path: Path) -> None:
    replay = Replay(tmp_path, [row(A, 2, requests=requests(8, 2, 10.0))])
    driver = replay.driver(A)
    first = driver.run(LoadPoint(LEVEL, 4, 0), deadline_s=1e9)
    assert [record.sent_s for record in first.records] == [0.0, 0.0, 10.0, 10.0]
    assert replay.passed_s == STARTUP_S + 20.0
    rest = driver.run(LoadPoint(LEVEL, 4, 4), deadline_s=1e9)
    assert [(record.index, record.sent_s) for record in rest.records] == [(4, 0.0), (5, 0.0), (6, 10.0), (7, 10.0)]
    assert replay.passed_s == STARTUP_S + 40.0


def test_no_more_requests_are_taken_than_were_recorded(tmp_path: Path) -> None:
    replay = Replay(tmp_path, [row(A, 2, requests=requests(8, 2, 10.0))])
    driver = replay.driver(A)
    assert len(driver.run(LoadPoint(LEVEL, 100, 6), deadline_s=1e9).records) == 2
    assert len(driver.run(LoadPoint(LEVEL, 100, 8), deadline_s=1e9).records) == 8


def test_requests_are_measured_as_any_others(tmp_path: Path) -> None:
    replay = Replay(tmp_path, [row(A, 2, requests=[*requests(7, 2, 10.0), [30.0, None, None, 0]])])
    run = replay.driver(A).run(LoadPoint(LEVEL, 8, 0), deadline_s=1e9)
    found = measure(LEVEL, [run], measure_context(replay.study, gpus=1, cpus=0, replicas=1))
    assert (found.requests, found.errors) == (8, 1)
    assert found.metrics["ttft_p50_ms"] == 2500.0
    assert found.metrics["tpot_p50_ms"] == pytest.approx(7500 / 9)  # 10 tokens, 9 gaps


def test_what_would_end_after_the_deadline_is_a_timeout(tmp_path: Path) -> None:
    replay = Replay(tmp_path, [row(A, 2, requests=requests(8, 2, 10.0))])
    run = replay.driver(A).run(LoadPoint(LEVEL, 8, 0), deadline_s=25.0)
    assert [record.error for record in run.records] == [None] * 4 + [RequestError.TIMEOUT] * 4
    assert replay.passed_s == STARTUP_S + 25.0


@pytest.mark.parametrize(
    ("cells", "seconds"),
    [
        ({"requests_per_s": 2.0, "ttft_p90_ms": 5.0}, 4.0),
        ({"e2e_mean_ms": 500.0}, 2.0),  # 8 requests of half a second, 2 at a time
        ({"load_kind": "rate", "ttft_p90_ms": 5.0}, 4.0),  # 8 requests, 2 a second
    ],
)
def test_metrics_are_charged_by_what_they_say(tmp_path: Path, cells: dict[str, Any], seconds: float) -> None:
    replay = Replay(tmp_path, [row(A, 2, **cells)])
    kind = LoadKind(cells.get("load_kind", "concurrency"))
    replay.driver(A).run(LoadPoint(LoadLevel(kind, 2), 8, 0), deadline_s=1e9)
    assert replay.passed_s == STARTUP_S + seconds


def test_recorded_metrics_are_the_measurement_and_what_follows_from_them_is_added(tmp_path: Path) -> None:
    replay = Replay(tmp_path, [row(A, 2, gpus=4, output_tokens_per_s=100.0, requests_per_s=2.0, error_rate=0.25)])
    run = replay.driver(A).run(LoadPoint(LEVEL, 8, 0), deadline_s=1e9)
    found = measure(LEVEL, [run], measure_context(replay.study, gpus=4, cpus=0, replicas=1))
    assert (found.requests, found.errors) == (8, 2)
    assert found.metrics == {
        "output_tokens_per_s": 100.0,
        "requests_per_s": 2.0,
        "error_rate": 0.25,
        "output_tokens_per_s_per_gpu": 25.0,
        "requests_per_s_per_gpu": 0.5,
    }


def test_a_config_that_the_table_lacks_is_refused(tmp_path: Path) -> None:
    replay = Replay(tmp_path, surface())
    with pytest.raises(SpaceError, match=r"no Config with batch-size 100, .*`nearest: true`"):
        replay.launch({"batch-size": 100, "ubatch-size": 32})


@pytest.mark.parametrize(
    ("wanted", "nearest"),
    [
        ({"batch-size": 100, "ubatch-size": 32}, "batch-size 128, ubatch-size 32"),
        ({"batch-size": 64, "ubatch-size": 60}, "batch-size 64, ubatch-size 64"),
        ({"batch-size": 1, "ubatch-size": 1}, "batch-size 64, ubatch-size 16"),
    ],
)
def test_the_nearest_is_taken_where_that_is_asked_for_and_marked(
    tmp_path: Path, wanted: dict[str, Any], nearest: str
) -> None:
    replay = Replay(tmp_path, surface(), nearest=True)
    run = replay.driver(wanted).run(LoadPoint(LoadLevel(LoadKind.CONCURRENCY, 1), 4, 0), deadline_s=1e9)
    assert run.notes == (f"taken from the nearest Config of the table: {nearest}",)


def test_a_config_of_the_table_is_not_marked(tmp_path: Path) -> None:
    replay = Replay(tmp_path, surface(), nearest=True)
    assert replay.launch(A).note == ""


def test_a_parameter_that_the_study_fixes_chooses_rows(tmp_path: Path) -> None:
    rows = [row({**A, "threads": threads}, startup_s=float(threads)) for threads in (1, 2)]
    path = write(tmp_path / "table.jsonl", rows)
    fixed = study(path, engine={"name": "llamacpp", "args": {"threads": 2}})
    assert find_lookup(fixed).find(A).launches[0].startup_s == 2.0


# ── the truth ─────────────────────────────────────────────────────────────────────────────────


def test_the_true_score_is_of_all_repeats_together(tmp_path: Path) -> None:
    rows = [
        row(A, level, repeat=number, requests=requests(16, level, seconds), gpus=2)
        for number, seconds in enumerate((1.0, 3.0))
        for level in (1, 4)
    ]
    replay = Replay(tmp_path, rows)
    given = replay.study.model_copy(update={"objective": "ttft_mean"})
    truth = true_score(given, find_lookup(replay.study).find(A).launches)
    assert truth.score.value == pytest.approx(500.0)  # a quarter of 1 s and of 3 s
    seconds = STARTUP_S + (16 + 4) * 2.0  # of 16 requests one after another and 4 at a time, at 2 s on average
    assert (truth.cost_s, truth.gpu_s) == (seconds, 2 * seconds)


def test_a_config_that_fails_is_no_good(tmp_path: Path) -> None:
    replay = Replay(tmp_path, [row(A, None, startup_s=5.0, failure="CRASH", gpus=0), row(OTHER)])
    truth = true_score(replay.study, find_lookup(replay.study).find(A).launches)
    assert not truth.score.feasible
    assert truth.gpu_s == 5.0  # without GPUs a server counts as one
