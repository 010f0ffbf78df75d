"""Servers asked while they are pressed: what they tell is true, and asking spoils nothing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

import pytest

from autotuner.benchmark import DriverSettings, LoadDriver, LoadPoint, Target, open_driver
from autotuner.benchmark.stand_ins.mock_process import mock_server
from autotuner.engines import Counter, Gauge, MetricSource, ServerMetric
from autotuner.engines.deployment import Probe
from autotuner.engines.engine import RequestFeatures
from autotuner.metrics import LoadKind, LoadLevel, MeasureContext, PointRun, Telemetry, TelemetrySample, measure
from autotuner.servers.telemetry import Sampler, WatchTarget, watch_driver
from autotuner.servers.telemetry.server_meter import get_page
from autotuner.study.model import Workload

SOURCES: dict[ServerMetric, MetricSource] = {
    ServerMetric.RUNNING: Gauge("mock:running"),
    ServerMetric.WAITING: Gauge("mock:waiting"),
    ServerMetric.PREEMPTIONS: Counter("mock:streams"),  # something that counts up
}
PAGE_END = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"


def watched(urls: Sequence[str], page_urls: Sequence[str], path: str = "/metrics") -> LoadDriver:
    workload = Workload.model_validate({"scenario": "D(40,8)", "load": {"concurrency": [6]}})
    target = Target(tuple(urls), "mock", RequestFeatures(token_ids=True, ignore_eos=True))
    driver = open_driver(target, DriverSettings(workload, request_timeout_s=30.0, seed=0))
    return watch_driver(driver, WatchTarget(page_urls, Probe(path), SOURCES))


def press(driver: LoadDriver, requests: int = 24, concurrency: int = 6) -> PointRun:
    with driver:
        return driver.run(LoadPoint(LoadLevel(LoadKind.CONCURRENCY, concurrency), requests, 0), deadline_s=60)


def told(run: PointRun) -> Telemetry:
    assert run.telemetry is not None
    return run.telemetry


def columns(run: PointRun) -> dict[str, float]:
    metrics = measure(run.level, [run], MeasureContext(gpus=0, replicas=1, request_timeout_s=30)).metrics
    return {name: value for name, value in metrics.items() if name.startswith("server_")}


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server on a port of its own that treats each connection with ``answer``; gives its URL."""
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as held:

        def serve() -> None:
            while True:
                try:
                    connection = held.enter_context(server.accept()[0])
                except OSError:
                    return
                threading.Thread(target=guarded, args=(connection,), daemon=True).start()

        def guarded(connection: socket.socket) -> None:
            with suppress(OSError):
                connection.recv(65536)
                answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_servers_slots_and_queue_are_told() -> None:
    """Two slots, six requests at a time: two run, four wait, all the while."""
    with mock_server(ttft_ms=100, itl_ms=50, slots=2) as url:
        run = press(watched([url], [url]), requests=18)
    found = columns(run)
    assert found["server_running_mean"] == pytest.approx(2, abs=0.3)
    assert found["server_waiting_mean"] == pytest.approx(4, abs=1)
    assert found["server_waiting_max"] == pytest.approx(4, abs=1)
    sent = len(run.records)
    assert found["server_preemptions"] == pytest.approx(sent, abs=2), "counted from just before the start"
    at_s = [sample.at_s for sample in told(run).samples]
    assert at_s == sorted(at_s)
    assert sum(t <= 0 for t in at_s) == 1
    assert at_s[-1] >= max(record.end_s for record in run.records)
    assert told(run).missed == 0


def test_replicas_are_added_up() -> None:
    with mock_server(ttft_ms=200, itl_ms=100) as one, mock_server(ttft_ms=200, itl_ms=100) as other:
        found = columns(press(watched([one, other], [one, other])))
    assert found["server_running_mean"] == pytest.approx(6, abs=0.5)
    assert found["server_preemptions"] == pytest.approx(30, abs=3)  # 24 requests and 6 of warm-up


def test_each_point_has_samples_of_its_own() -> None:
    with mock_server(ttft_ms=100, itl_ms=20, slots=1) as url, watched([url], [url]) as driver:
        level = LoadLevel(LoadKind.CONCURRENCY, 2)
        runs = [driver.run(LoadPoint(level, 6, first), deadline_s=60) for first in (0, 6)]
    counts = [columns(run)["server_preemptions"] for run in runs]
    assert counts == [pytest.approx(8, abs=2), pytest.approx(8, abs=2)]


def _silence(connection: socket.socket) -> None:
    time.sleep(30)


def _trickle(connection: socket.socket) -> None:
    connection.sendall(PAGE_END)
    while True:
        connection.sendall(b"#")
        time.sleep(0.1)


def _garbage(connection: socket.socket) -> None:
    connection.sendall(PAGE_END + b'mock:running{a="\xff\x00 3\nmock:running 1 2 3 4\n')
    connection.close()


def _no_http(connection: socket.socket) -> None:
    connection.sendall(b"\x00\x01\x02")
    connection.close()


def _gone(connection: socket.socket) -> None:
    connection.close()


@pytest.mark.parametrize("answer", [_silence, _trickle, _garbage, _no_http, _gone])
def test_a_page_that_never_comes_changes_no_measurement(answer: Callable[[socket.socket], None]) -> None:
    with mock_server(ttft_ms=20, itl_ms=5) as url, answering(answer) as page:
        run = press(watched([url], [page]))
    assert len([r for r in run.records if not r.warmup]) == 24
    assert all(record.ok for record in run.records)
    assert columns(run) == {}
    assert told(run).samples == ()
    assert told(run).missed > 0


def test_a_page_that_is_not_there_is_missed() -> None:
    with mock_server(ttft_ms=20, itl_ms=5) as url:
        run = press(watched([url], [url], path="/nothing"), requests=6)
    assert told(run).samples == ()
    assert told(run).missed > 0


def test_one_replica_that_does_not_tell_makes_no_sum() -> None:
    with mock_server(ttft_ms=100, itl_ms=50) as url, answering(_gone) as page:
        run = press(watched([url], [url, page]))
    assert columns(run) == {}


def test_nothing_to_ask_leaves_the_driver_as_it_is() -> None:
    with mock_server() as url:
        target = Target((url,), "mock", RequestFeatures(token_ids=True, ignore_eos=True))
        workload = Workload.model_validate({"scenario": "D(40,8)", "load": {"concurrency": [6]}})
        driver = open_driver(target, DriverSettings(workload, request_timeout_s=30.0, seed=0))
        assert watch_driver(driver, WatchTarget((url,), None, SOURCES)) is driver
        assert watch_driver(driver, WatchTarget((url,), Probe("/metrics"), {})) is driver
        assert watch_driver(driver, WatchTarget((url,), None, SOURCES, cores=[0])) is driver, "nobody heeds them"
        assert watch_driver(driver, WatchTarget((url,), None, SOURCES, heeds_disturbance=True)) is driver
        watched = watch_driver(driver, WatchTarget((url,), None, SOURCES, cores=[], heeds_disturbance=True))
        assert watched is not driver


def test_a_page_ends_at_its_deadline_and_a_closed_port_at_once() -> None:
    with answering(_trickle) as page:
        assert get_page(page, {}, deadline_s=0.5) is None
    assert get_page(page, {}, deadline_s=0.5) is None


class _Stuck:
    """A meter that hangs until it is let go."""

    def __init__(self) -> None:
        self.free = threading.Event()

    def read(self) -> dict[str, float]:
        self.free.wait()
        return {"running": 1.0}

    def close(self) -> None: ...


def test_a_meter_that_hangs_is_left_behind() -> None:
    meter = _Stuck()
    sampler = Sampler(meter)
    sampler.start()
    sampler.end()
    assert sampler.result() == ([], 1)
    meter.free.set()


def test_readings_have_the_fields_of_a_sample() -> None:
    with mock_server() as url:
        run = press(watched([url], [url]), requests=6)
    assert isinstance(told(run).samples[0], TelemetrySample)
    assert told(run).samples[0].running == 0, "nothing ran before the start"
