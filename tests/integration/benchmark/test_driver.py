"""The load driver against a mock server in another process: what it sends, sees and leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from autotuner.benchmark import (
    BenchOptions,
    DriverSettings,
    LoadPoint,
    Target,
    bench,
    discover_target,
    open_driver,
)
from autotuner.benchmark.ask import Prober
from autotuner.benchmark.hopeless import LostAt
from autotuner.benchmark.probe import find_api
from autotuner.benchmark.real_driver import is_saturated
from autotuner.benchmark.stand_ins.mock_process import mock_server
from autotuner.engines.engine import RequestFeatures
from autotuner.errors import InfrastructureError, WorkloadError
from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.metrics.request import PointRun, RequestError, RequestRecord
from autotuner.study.model import ConcurrencyLoad, Dataset, RateLoad, Trace, TraceLoad, Workload

WAIT_S = 60.0  # at most, for what takes a moment on a machine that is not busy
FORCED = RequestFeatures(token_ids=True, ignore_eos=True)
FAST: dict[str, Any] = {"ttft_ms": 5, "itl_ms": 1}


def closed(concurrency: int = 2, **keys: Any) -> Workload:
    return Workload.model_validate({"scenario": "D(40,6)", "load": {"concurrency": [concurrency]}, **keys})


def rated(rate: float, arrival: str = "poisson") -> Workload:
    return Workload.model_validate({"scenario": "D(40,6)", "load": {"rate": [rate], "arrival": arrival}})


def level_of(workload: Workload) -> LoadLevel:
    load = workload.load
    if isinstance(load, ConcurrencyLoad):
        return LoadLevel(LoadKind.CONCURRENCY, load.concurrency[0])
    if isinstance(load, RateLoad):
        return LoadLevel(LoadKind.RATE, load.rate[0])
    assert isinstance(load, TraceLoad)
    return LoadLevel(LoadKind.SPEED, load.speed[0])


def press(
    url: str,
    workload: Workload,
    requests: int,
    *,
    first_index: int = 0,
    features: RequestFeatures = FORCED,
    timeout_s: float = 10.0,
    deadline_s: float = 30.0,
    allowed_s: float | None = None,
    seed: int = 0,
    cores: tuple[int, ...] = (),
    lost_at: tuple[LostAt, ...] = (),
) -> PointRun:
    settings = DriverSettings(workload, timeout_s, seed, cores)
    with open_driver(Target((url,), "mock", features), settings) as driver:
        point = LoadPoint(level_of(workload), requests, first_index, lost_at)
        return driver.run(point, deadline_s=deadline_s, allowed_s=allowed_s)


def measured(run: PointRun) -> list[RequestRecord]:
    return [record for record in run.records if not record.warmup]


def bodies(log: Path) -> list[dict[str, Any]]:
    """The streamed requests that the server got, in order of their prompts."""
    asked = [json.loads(line) for line in log.read_text().splitlines()]
    return sorted((body for body in asked if body["stream"]), key=lambda body: json.dumps(body))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with mock_server(**FAST) as base:
        yield base


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_closed_loop_keeps_its_slots_busy(url: str, api: str) -> None:
    run = press(url, closed(4, api=api), 20)
    warmup = [record for record in run.records if record.warmup]
    assert len(warmup) == 4
    assert sorted(record.index for record in measured(run)) == list(range(20))
    assert all(record.ok and record.output_tokens == 6 for record in measured(run))
    assert run.stopped_early is None
    for record in run.records:
        in_flight = sum(1 for other in run.records if other.sent_s <= record.sent_s < other.end_s)
        assert in_flight <= 4
    for record in measured(run):
        assert record.first_token_s is not None
        assert record.last_token_s is not None
        assert record.scheduled_s <= record.sent_s < record.first_token_s <= record.last_token_s <= record.end_s
        assert len(record.chunk_s) == 6
        assert record.chunk_s[0] == record.first_token_s
        assert record.chunk_s[-1] == record.last_token_s


def test_prompt_lengths_are_exact_by_token_ids_and_near_by_text(url: str) -> None:
    by_ids = press(url, closed(scenario="D(200,2)"), 4)
    assert {record.prompt_tokens for record in measured(by_ids)} == {200}
    text_only = RequestFeatures(token_ids=False, ignore_eos=True)
    for api in ("completions", "chat"):  # a word is 1.25 of the mock's tokens, the chat template 7
        by_text = press(url, closed(scenario="D(200,2)", api=api), 4, features=text_only)
        assert all(abs((record.prompt_tokens or 0) - 200) <= 1 for record in measured(by_text))


def test_text_where_token_ids_are_refused() -> None:
    with mock_server(**FAST, refuse_token_ids=True) as url:
        run = press(url, closed(scenario="D(200,2)"), 4)
    assert all(record.ok and abs((record.prompt_tokens or 0) - 200) <= 1 for record in measured(run))


def test_open_loop_sends_when_due(url: str) -> None:
    run = press(url, rated(100.0, "constant"), 30)
    due = sorted(record.scheduled_s for record in measured(run))
    assert [b - a for a, b in pairwise(due)] == pytest.approx([0.01] * 29)
    assert all(record.sent_s >= record.scheduled_s for record in run.records)
    assert all(record.scheduled_s < due[0] for record in run.records if record.warmup)
    assert any(record.warmup for record in run.records)


def test_poisson_rungs_continue_one_process(url: str) -> None:
    whole = press(url, rated(200.0), 30)
    later = press(url, rated(200.0), 20, first_index=10)

    def gaps(run: PointRun, first: int) -> list[float]:
        due = {record.index: record.scheduled_s for record in measured(run)}
        return [due[i + 1] - due[i] for i in range(first, 29)]

    assert gaps(whole, 10) == pytest.approx(gaps(later, 10))


def test_a_trace_is_played_at_its_speed(url: str, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    times = [0.0, 1.0, 1.5, 4.0]
    lines = [{"timestamp_s": t, "input_tokens": 20 + i, "output_tokens": 2 + i} for i, t in enumerate(times)]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    run = press(url, Workload(scenario=Trace(trace=str(path)), load=TraceLoad(speed=[20.0])), 4)
    records = sorted(measured(run), key=lambda record: record.index)
    assert [(r.prompt_tokens, r.output_tokens) for r in records] == [(20, 2), (21, 3), (22, 4), (23, 5)]
    start = records[0].scheduled_s
    assert [r.scheduled_s - start for r in records] == pytest.approx([0, 0.05, 0.075, 0.2])


def test_same_seed_same_requests_over_shards_too(tmp_path: Path) -> None:
    cores = tuple(sorted(os.sched_getaffinity(0)))[:2]
    logs = []
    for number, (seed, where) in enumerate([(7, ()), (7, cores), (8, ())]):
        logs.append(tmp_path / f"{number}.log")
        with mock_server(**FAST, log=logs[-1]) as url:
            press(url, closed(3, scenario="N(40,8)/(6,2)", shared_prefix_tokens=8), 12, seed=seed, cores=where)
    one, sharded, other = (bodies(log) for log in logs)
    assert len(one) == 15
    assert one == sharded
    assert one != other


def test_no_prompt_twice_over_levels_and_rungs(tmp_path: Path) -> None:
    log = tmp_path / "log"
    load = ConcurrencyLoad(concurrency=[2, 4])
    with mock_server(**FAST, log=log) as url:
        settings = DriverSettings(Workload(scenario="D(16,2)", load=load), 10.0, 0)
        with open_driver(Target((url,), "mock", FORCED), settings) as driver:
            for first in (0, 8):
                for concurrency in load.concurrency:
                    level = LoadLevel(LoadKind.CONCURRENCY, concurrency)
                    driver.run(LoadPoint(level, 8, first), deadline_s=30.0)
    prompts = [tuple(body["prompt"]) for body in bodies(log)]
    assert len(prompts) == len(set(prompts)) == 2 * (10 + 12)


def test_dataset_messages_and_extra_body_are_sent(tmp_path: Path) -> None:
    data, log = tmp_path / "d.jsonl", tmp_path / "log"
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}]
    data.write_text(json.dumps({"messages": messages, "output_tokens": 3}))
    workload = closed(1, scenario=Dataset(dataset=str(data)), api="chat", cache="warm", extra_body={"temperature": 0.5})
    with mock_server(**FAST, log=log) as url:
        run = press(url, workload, 2)
    assert all(record.ok for record in run.records)
    for body in bodies(log):
        assert body["messages"] == messages
        assert (body["temperature"], body["ignore_eos"], body["max_tokens"]) == (0.5, True, 3)


@pytest.mark.parametrize("load", [{"concurrency": [4]}, {"rate": [100.0]}])
def test_adapters_share_the_requests_alike_over_any_number_of_shards(tmp_path: Path, load: dict[str, Any]) -> None:
    lora = {"adapters": {"poet": "/a/poet", "clerk": "/a/clerk"}, "base_share": 0.5}
    workload = closed(load=load, lora=lora)
    cores = tuple(sorted(os.sched_getaffinity(0)))[:2]
    asked = []
    for number, where in enumerate([(), cores]):
        log = tmp_path / f"{number}.log"
        with mock_server(**FAST, models="mock,poet,clerk", log=log) as url:
            run = press(url, workload, 20, cores=where)
        assert all(record.ok for record in run.records)
        assert Counter(record.model for record in measured(run)) == {"mock": 10, "poet": 5, "clerk": 5}
        assert {record.model for record in run.records if record.warmup} == {"mock", "poet", "clerk"}
        assert Counter(record.model for record in run.records) == Counter(body["model"] for body in bodies(log))
        asked.append({(record.warmup, record.index): record.model for record in run.records})
    assert asked[0] == asked[1]


def test_a_warm_prompt_is_asked_of_the_adapter_that_warmed_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    workload = closed(2, cache="warm", lora={"adapters": {"poet": "/a/poet", "clerk": "/a/clerk"}})
    with mock_server(**FAST, models="mock,poet,clerk", log=log) as url:
        press(url, workload, 6)
    sent = {(tuple(body["prompt"]), body["model"]) for body in bodies(log)}
    assert len(bodies(log)) == 8
    assert len(sent) == 6


def test_engines_have_their_own_names_for_adapters() -> None:
    features = RequestFeatures(token_ids=True, ignore_eos=True, adapter_model="{served}:{adapter}")
    workload = closed(lora={"adapters": {"poet": "/a/poet", "{x}": "/a/x"}})
    with mock_server(**FAST, models="mock,mock:poet,mock:{x}") as url:
        run = press(url, workload, 6, features=features)
    assert Counter(record.model for record in measured(run)) == {"mock:poet": 3, "mock:{x}": 3}
    assert all(record.ok for record in run.records)


def test_an_adapter_that_the_server_lacks_is_an_error_of_the_request() -> None:
    workload = closed(1, lora={"adapters": {"poet": "/a/poet"}, "base_share": 0.5})
    with mock_server(**FAST, models="mock") as url:
        run = press(url, workload, 8)
    assert {record.model for record in run.records if record.ok} == {"mock"}
    assert {(record.model, record.status) for record in run.records if not record.ok} == {("poet", 404)}


@pytest.mark.parametrize(
    ("fault", "error", "status"),
    [
        ("500", RequestError.HTTP_STATUS, 500),
        ("error", RequestError.HTTP_STATUS, 200),
        ("cut", RequestError.CUT, 200),
        ("reset", RequestError.CUT, None),
        ("short", RequestError.WRONG_LENGTH, 200),
        ("hang", RequestError.TIMEOUT, 200),
    ],
)
def test_errors_are_told_apart(fault: str, error: RequestError, status: int | None) -> None:
    with mock_server(**FAST, fault=fault, fault_every=3) as url:
        run = press(url, closed(1), 6, timeout_s=4.0)
    bad = [record for record in run.records if not record.ok]
    assert [(record.error, record.status) for record in bad] == [(error, status)] * 2
    assert all(record.detail for record in bad)
    assert len(run.records) == 7


def test_length_is_judged_only_where_it_was_forced() -> None:
    with mock_server(**FAST, tokens=4, ignore_length=True) as url:
        forced = press(url, closed(1), 3)
        free = press(url, closed(1), 3, features=RequestFeatures(token_ids=True, ignore_eos=False))
    assert {record.error for record in measured(forced)} == {RequestError.WRONG_LENGTH}
    assert {(r.error, r.output_tokens, r.expected_output_tokens) for r in measured(free)} == {(None, 4, None)}


def test_a_server_that_is_gone() -> None:
    with mock_server(**FAST) as url:
        pass
    run = press(url, closed(2), 500)
    errors = Counter(record.error for record in run.records)
    assert set(errors) <= {RequestError.REFUSED, RequestError.CANCELLED}  # what was on its way when it was given up
    assert errors[RequestError.REFUSED] >= 8
    assert len(run.records) < 20
    assert "all failed (refused)" in (run.stopped_early or "")


def test_chunks_are_not_tokens() -> None:
    with mock_server(**FAST, tokens_per_chunk=4) as url:
        run = press(url, closed(1, scenario="D(20,10)"), 2)
    assert {(record.output_tokens, len(record.chunk_s)) for record in measured(run)} == {(10, 3)}


def test_the_deadline_ends_a_point() -> None:
    with mock_server(ttft_ms=5, itl_ms=1000) as url:
        run = press(url, closed(2, scenario="D(20,60)"), 8, deadline_s=1.5)
    assert "deadline" in (run.stopped_early or "")
    assert {record.error for record in run.records} == {RequestError.TIMEOUT}
    assert max(record.end_s for record in run.records) < 30.0, "their sixty tokens take a minute"


def test_only_what_is_allowed_makes_a_point_hopeless() -> None:
    """200 requests of 50 ms on one slot take 10 s."""
    with mock_server(ttft_ms=50, itl_ms=0) as url:
        cut = press(url, closed(1, scenario="D(20,1)"), 200, deadline_s=2.0, allowed_s=60.0)
        given_up = press(url, closed(1, scenario="D(20,1)"), 200, deadline_s=60.0, allowed_s=2.0)
    assert "the deadline of 2 s passed" in (cut.stopped_early or "")
    assert "2 s are allowed" in (given_up.stopped_early or "")


@pytest.mark.parametrize("cores", [1, 2])
def test_a_point_that_has_lost_an_slo_is_given_up(cores: int) -> None:
    """2000 requests of 50 ms on four slots take 25 s; 20 of them say enough."""
    lost = LostAt("ttft", 0.02, 20)
    pinned = tuple(sorted(os.sched_getaffinity(0)))[:cores]
    with mock_server(ttft_ms=50, itl_ms=0) as url:
        run = press(url, closed(4, scenario="D(20,1)"), 2000, deadline_s=60.0, cores=pinned, lost_at=(lost,))
    assert "have a ttft over 20 ms" in (run.stopped_early or "")
    assert 20 <= len(measured(run)) < 2000


def test_an_overloaded_open_loop_is_given_up() -> None:
    with mock_server(ttft_ms=20, itl_ms=10, slots=1) as url:
        run = press(url, rated(60.0), 1800, deadline_s=60.0, cores=tuple(sorted(os.sched_getaffinity(0)))[:2])
    assert "queue grows" in (run.stopped_early or "")
    assert len(run.records) < 1800
    assert any(record.error is RequestError.CANCELLED for record in run.records)


def test_replicas_share_the_requests(tmp_path: Path) -> None:
    logs = [tmp_path / "a", tmp_path / "b"]
    with mock_server(**FAST, log=logs[0]) as one, mock_server(**FAST, log=logs[1]) as other:
        settings = DriverSettings(closed(2), 10.0, 0)
        with open_driver(Target((one, other), "mock", FORCED), settings) as driver:
            driver.run(LoadPoint(level_of(closed(2)), 8, 0), deadline_s=30.0)
    assert [len(bodies(log)) for log in logs] == [5, 5]


def test_bad_workloads_are_refused_before_anything_starts(url: str) -> None:
    with pytest.raises(WorkloadError, match="D\\(1000"):
        open_driver(Target((url,), "mock", FORCED), DriverSettings(closed(scenario="D(1000"), 10.0, 0))


def test_headers_reach_no_second_line(url: str) -> None:
    target = Target((url,), "mock", FORCED, {"Authorization": "Bearer x\r\nX-More: y"})
    with pytest.raises(WorkloadError, match="Authorization") as caught:
        open_driver(target, DriverSettings(closed(), 10.0, 0))
    assert "Bearer" not in str(caught.value)


@pytest.mark.parametrize(("lag_ms", "ttft_ms", "expected"), [(4.9, 10, False), (5.1, 90, True), (5.1, 200, False)])
def test_saturation_is_lag_against_ttft(lag_ms: float, ttft_ms: float, expected: bool) -> None:
    assert is_saturated(lag_ms, ttft_ms) is expected


def test_a_study_says_itself_how_late_its_client_may_be() -> None:
    assert [is_saturated(lag_ms, 10, 40.0) for lag_ms in (39, 41)] == [False, True]
    assert is_saturated(41, 10_000, 40.0)


def test_a_client_that_is_held_up_says_that_it_is_saturated(url: str) -> None:
    """Its worker process is stopped for 30 ms, again and again, as on a machine that has no time for it."""
    done = threading.Event()

    def hold_up() -> None:
        while not done.is_set():
            workers = [p for p in psutil.Process().children() if any("client.worker" in word for word in p.cmdline())]
            for worker in workers:
                worker.suspend()
            done.wait(0.03)
            for worker in workers:
                worker.resume()
            done.wait(0.03)

    holding = threading.Thread(target=hold_up)
    with open_driver(Target((url,), "mock", FORCED), DriverSettings(closed(8), 10.0, 0)) as driver:
        holding.start()
        try:
            run = driver.run(LoadPoint(level_of(closed(8)), 200, 0), deadline_s=30.0)
        finally:
            done.set()
            holding.join()
    assert run.saturated
    assert run.lag_p99_ms > 10


def test_bench_finds_out_what_a_server_takes() -> None:
    with mock_server(**FAST, tokens=5, ignore_length=True, refuse_token_ids=True) as poor, mock_server(**FAST) as url:
        target = discover_target(url + "/v1/", api="completions", model=None, headers={})
        assert (target.served_name, target.is_known, list(target.urls)) == ("mock", False, [url])
        assert find_api(Prober(target, "completions", {}, 10.0), 0, 64).features.forces_length
        target = discover_target(poor, api="chat", model=None, headers={})
        assert not find_api(Prober(target, "chat", {}, 10.0), 0, 64).features.forces_length
        seen: list[tuple[str, bool]] = []
        workload = closed(scenario="D(30,4)", load=ConcurrencyLoad(concurrency=[2, 1]))
        runs = bench(url, BenchOptions(workload, requests=6), lambda level, run: seen.append((str(level), run is None)))
    assert [level.value for level, _ in runs] == [1, 2]
    assert all(record.ok for _, run in runs for record in run.records)
    assert seen == [
        ("concurrency 1", True), ("concurrency 1", False), ("concurrency 2", True), ("concurrency 2", False)
    ]  # fmt: skip
    with pytest.raises(InfrastructureError, match="does not answer"):
        bench(url, BenchOptions(workload))
    with pytest.raises(WorkloadError, match="http://"):
        bench("localhost:8000", BenchOptions(workload))


DRIVE = """
import sys
from autotuner.benchmark import DriverSettings, LoadPoint, Target, open_driver
from autotuner.engines.engine import RequestFeatures
from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.study.model import ConcurrencyLoad, Workload
workload = Workload(scenario="D(20,1000)", load=ConcurrencyLoad(concurrency=[4]))
target = Target((sys.argv[1],), "mock", RequestFeatures(token_ids=True, ignore_eos=True))
cores = tuple(int(core) for core in sys.argv[2].split(","))
with open_driver(target, DriverSettings(workload, 60.0, 0, cores)) as driver:
    driver.run(LoadPoint(LoadLevel(LoadKind.CONCURRENCY, 4), 1000, 0), deadline_s=60.0)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_worker_outlives_its_driver(number: signal.Signals, tmp_path: Path) -> None:
    cores = ",".join(str(core) for core in sorted(os.sched_getaffinity(0))[:2])
    log = tmp_path / "log"
    with mock_server(ttft_ms=5, itl_ms=50, log=log) as url:
        driver = subprocess.Popen([sys.executable, "-c", DRIVE, url, cores], stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: log.exists() and len(bodies(log)) >= 4)  # the load is on
            workers = psutil.Process(driver.pid).children(recursive=True)
            assert len(workers) == len(cores.split(","))
            driver.send_signal(number)
            driver.wait(WAIT_S)
            _, alive = psutil.wait_procs(workers, timeout=WAIT_S)
            assert alive == []
        finally:
            driver.kill()
            driver.wait()


def wait_for(holds: Any) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_driver_lives_on_after_losing_a_worker(url: str) -> None:
    with open_driver(Target((url,), "mock", FORCED), DriverSettings(closed(2), 10.0, 0)) as driver:
        point = LoadPoint(level_of(closed(2)), 4, 0)
        driver.run(point, deadline_s=30.0)
        (worker,) = (p for p in psutil.Process().children() if "autotuner.benchmark.client.worker" in p.cmdline())
        worker.kill()
        psutil.wait_procs([worker], timeout=WAIT_S)
        with pytest.raises(InfrastructureError, match="load driver process ended"):
            driver.run(point, deadline_s=30.0)
        assert len(measured(driver.run(point, deadline_s=30.0))) == 4
