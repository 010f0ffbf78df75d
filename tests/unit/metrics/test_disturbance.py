"""Whether others had a part in a load point, on counts worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from autotuner.metrics import LoadKind, LoadLevel, MeasureContext, PointRun, RequestRecord, Telemetry, measure
from autotuner.metrics.disturbance import cpu_wait_share, disturbance
from autotuner.metrics.telemetry import TelemetrySample

LEVEL = LoadLevel(LoadKind.CONCURRENCY, 1)


def run(*samples: TelemetrySample, requests: int = 100) -> PointRun:
    record = RequestRecord(0, False, 0.0, 0.0, 0.1, 1.0, 1.0, 5, 10, 10)
    return PointRun(LEVEL, (record,) * requests, telemetry=Telemetry(samples))


def over_ten_seconds(**counts: float) -> PointRun:
    """From a moment before the start, by ``counts``; what came before does not count."""
    first = TelemetrySample(-9.0, **dict.fromkeys(counts, 0.0))
    began = TelemetrySample(-1.0, **dict.fromkeys(counts, 1000.0))
    ended = TelemetrySample(9.0, **{name: 1000.0 + count for name, count in counts.items()})
    return run(first, began, TelemetrySample(4.0), ended)


@pytest.mark.parametrize(
    ("ran_s", "waited_s", "others_s", "is_disturbed"),
    [
        (9.0, 1.0, 1.0, True),  # both a tenth
        (9.1, 0.9, 5.0, False),  # nobody waits for what others have
        (5.0, 15.0, 0.9, False),  # its own threads wait for each other
        (5.0, 5.0, 5.0, True),
        (0.0, 0.0, 10.0, False),
    ],
)
def test_threads_that_wait_for_cores_that_others_have(
    ran_s: float, waited_s: float, others_s: float, is_disturbed: bool
) -> None:
    found = disturbance(over_ten_seconds(cpu_run_s=ran_s, cpu_wait_s=waited_s, cpu_others_s=others_s))
    assert bool(found) is is_disturbed


def test_it_is_told_with_its_figures() -> None:
    told = disturbance(over_ten_seconds(cpu_run_s=5.0, cpu_wait_s=3.0, cpu_others_s=5.4))
    assert told == ("other processes had 54 % of its cores, for which its threads waited 38 % of their time")


@pytest.mark.parametrize(
    ("requests", "finished", "strange"), [(100, 102, 0), (100, 103, 3), (1000, 1010, 0), (1000, 1011, 11), (9, 0, 0)]
)
def test_requests_beyond_our_own(requests: int, finished: float, strange: int) -> None:
    counted = over_ten_seconds(finished=finished).telemetry
    assert counted is not None
    found = disturbance(run(*counted.samples, requests=requests))
    assert found == (f"the servers answered {strange} requests of others" if strange else "")


def test_another_program_on_its_gpus() -> None:
    def seen(*counts: float) -> str:
        return disturbance(run(*(TelemetrySample(float(at), gpu_strangers=n) for at, n in enumerate(counts))))

    assert seen(0, 0, 0) == ""
    assert seen(0, 2, 0) == "2 processes of others were on its GPUs"


def test_what_was_not_told_disturbs_nothing() -> None:
    half: dict[str, Any] = {"cpu_wait_s": 9.0, "cpu_others_s": 9.0}
    restarted = run(TelemetrySample(0.0, finished=500.0), TelemetrySample(9.0, finished=3.0))
    assert [disturbance(given) for given in (PointRun(LEVEL, ()), run(), over_ten_seconds(**half), restarted)] == [
        ""
    ] * 4


def test_the_share_is_of_the_time_in_which_a_core_was_wanted() -> None:
    assert cpu_wait_share(3.0, 1.0) == 0.25
    assert cpu_wait_share(0.0, 0.0) is cpu_wait_share(None, 1.0) is cpu_wait_share(1.0, None) is None
    runs = [over_ten_seconds(cpu_run_s=5.0, cpu_wait_s=5.0), over_ten_seconds(cpu_run_s=10.0, cpu_wait_s=0.0)]
    context = MeasureContext(gpus=1, replicas=1, request_timeout_s=9)
    assert measure(LEVEL, runs, context).metrics["cpu_wait_share"] == pytest.approx(0.25)


def test_a_measurement_says_what_disturbed_any_of_its_runs() -> None:
    context = MeasureContext(gpus=1, replicas=1, request_timeout_s=9)
    quiet, one, other = (PointRun(LEVEL, run().records, disturbed=why) for why in ("", "they spun", "they asked"))
    assert measure(LEVEL, [quiet, quiet], context).disturbed == ""
    assert measure(LEVEL, [quiet, one, one, other], context).disturbed == "they spun; they asked"
