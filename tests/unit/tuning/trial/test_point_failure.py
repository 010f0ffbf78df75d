"""Whether a load point has a measurement, and if not, why."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from autotuner.engines.engine import FailureReport
from autotuner.errors import Failure
from autotuner.metrics import LoadKind, LoadLevel, PointRun, RequestError, RequestRecord
from autotuner.tuning.trial.point_failure import Client, point_failure

CLIENT = Client(cpus=3, host_load=1.5, host_cores=8)
LEVEL = LoadLevel(LoadKind.CONCURRENCY, 4)


def request(error: RequestError | None = None, *, warmup: bool = False, detail: str = "") -> RequestRecord:
    return RequestRecord(0, warmup, 0.0, 0.0, 0.1, 0.2, 0.2, 8, 4, 4, (), error, None, detail)


def run(*records: RequestRecord, saturated: bool = False) -> PointRun:
    return PointRun(LEVEL, records, lag_p99_ms=80.0 if saturated else 0.0, saturated=saturated)


def saying(failure: Failure) -> Callable[[int | None], FailureReport]:
    return lambda code: FailureReport(failure, f"code {code}")


def never(code: int | None) -> FailureReport:
    raise AssertionError("the log of a live server was read")


def test_good_requests_make_a_measurement_however_many_failed() -> None:
    records = [request(), *[request(RequestError.HTTP_STATUS)] * 9]
    assert point_failure(run(*records), None, never, CLIENT) is None


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (Failure.CRASH, Failure.CRASH),
        (Failure.OUT_OF_MEMORY_AT_START, Failure.OUT_OF_MEMORY_UNDER_LOAD),
        (Failure.INFRASTRUCTURE, Failure.INFRASTRUCTURE),
    ],
)
@pytest.mark.parametrize("saturated", [True, False])
def test_a_dead_server_takes_the_point_with_it(said: Failure, kept: Failure, saturated: bool) -> None:
    failure = point_failure(run(request(), saturated=saturated), -9, saying(said), CLIENT)
    assert failure is not None
    assert (failure.level, failure.failure) == ("concurrency 4", kept)
    assert failure.message == "the server died under load: code -9"


def test_exit_code_0_is_death_too() -> None:
    failure = point_failure(run(request()), 0, saying(Failure.CRASH), CLIENT)
    assert failure is not None


def test_a_saturated_client_measures_itself() -> None:
    failure = point_failure(run(request(), saturated=True), None, never, CLIENT)
    assert failure is not None
    assert failure.failure is Failure.CLIENT_SATURATED
    assert "80.0 ms" in failure.message
    assert failure.message.endswith("hardware.client_cpus: 3; its host has a load of 1.5 on 8 cores: raise client_cpus")


def test_a_host_with_too_much_to_do_is_told_as_the_cause() -> None:
    busy = Client(cpus=1, host_load=11.25, host_cores=8)
    failure = point_failure(run(request(), saturated=True), None, never, busy)
    assert failure is not None
    assert "a load of 11.2 on 8 cores: let it do less beside the study" in failure.message


@pytest.mark.parametrize(
    ("errors", "kind"),
    [
        ([RequestError.TIMEOUT] * 3, Failure.HANG),
        ([RequestError.TIMEOUT] * 2 + [RequestError.CUT], Failure.HANG),
        ([RequestError.TIMEOUT, RequestError.CUT], Failure.BAD_RESPONSES),
        ([RequestError.HTTP_STATUS] * 3, Failure.BAD_RESPONSES),
        ([RequestError.CUT], Failure.BAD_RESPONSES),
        ([RequestError.WRONG_LENGTH], Failure.BAD_RESPONSES),
        ([RequestError.REFUSED], Failure.BAD_RESPONSES),
        ([], Failure.HANG),
    ],
)
def test_what_came_back_instead(errors: list[RequestError], kind: Failure) -> None:
    failure = point_failure(run(*[request(error) for error in errors]), None, never, CLIENT)
    assert failure is not None
    assert failure.failure is kind


def test_neither_warm_up_nor_cancelled_requests_are_measured() -> None:
    records = [request(warmup=True), request(RequestError.CANCELLED), request(RequestError.TIMEOUT)]
    failure = point_failure(run(*records), None, never, CLIENT)
    assert failure is not None
    assert failure.failure is Failure.HANG


def test_a_warm_up_that_failed_says_why() -> None:
    failure = point_failure(
        run(request(RequestError.HTTP_STATUS, warmup=True, detail="500: no slot")), None, never, CLIENT
    )
    assert failure is not None
    assert failure.failure is Failure.BAD_RESPONSES
    assert failure.message == "no request succeeded (1 http_status): 500: no slot"


def test_the_message_counts_the_errors() -> None:
    errors = [RequestError.CUT] * 2 + [RequestError.TIMEOUT]
    failure = point_failure(run(*[request(error) for error in errors]), None, never, CLIENT)
    assert failure is not None
    assert failure.message == "no request succeeded (2 cut, 1 timeout)"
