"""A simulated rig: servers and requests in virtual time, whose speed is a function of the Config alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import TracebackType
from typing import Self

from autotuner.benchmark import DriverSettings, LoadDriver, LoadPoint, Target
from autotuner.benchmark.hopeless import Progress, hopeless
from autotuner.errors import Failure, InfrastructureError, LaunchError
from autotuner.metrics import LoadLevel, PointRun, RequestError, RequestRecord
from autotuner.servers import LaunchRequest
from autotuner.servers.launcher import Diagnose
from autotuner.tuning.trial.rig import Rig

START_S = 3.0
TPOT_S = 0.01
OUTPUT_TOKENS = 4


class Incident(StrEnum):
    """What befalls the n-th call of a load driver."""

    SATURATED = "saturated"  # the client was too slow: nothing it measured counts
    CLIENT_LOST = "client lost"
    SERVER_DIES = "server dies"
    NO_ANSWER = "no answer"  # every request runs into the deadline
    ALL_FAIL = "all fail"  # given up early, with no good request
    HOPELESS = "hopeless"  # given up early, with good requests
    KILLED = "killed"  # the process ends here
    DISTURBED = "disturbed"  # others spin beside it


@dataclass
class VirtualClock:
    now_s: float = 1000.0

    def epoch_s(self) -> float:
        return 1.7e9 + self.now_s

    def monotonic_s(self) -> float:
        return self.now_s


@dataclass
class World:
    """The machine. ``launch_failures`` befall the launches in order, ``incidents`` the load points by number.

    ``keeps``: what it does not give back when a server ends.
    """

    launch_failures: list[Failure | None] = field(default_factory=list)
    incidents: Mapping[int, Incident] = field(default_factory=dict)
    clock: VirtualClock = field(default_factory=VirtualClock)
    launches: list[LaunchRequest] = field(default_factory=list)
    points: list[LoadPoint] = field(default_factory=list)
    servers: list[SimulatedServer] = field(default_factory=list)
    open_drivers: int = 0
    keeps: str = ""
    served_name: str | None = None  # as an endpoint tells it
    jitter_s: float = 0.0  # one request in ten comes half as much later, the others earlier
    warms_up: bool = False  # each slot's first request of a load point is its warm-up

    @property
    def rig(self) -> Rig:
        return Rig(self, self.open_driver, self.clock, leases_cores=False)

    @property
    def live_servers(self) -> int:
        return sum(not server.stopped for server in self.servers)

    def launch(self, request: LaunchRequest, diagnose: Diagnose) -> SimulatedServer:
        number = len(self.launches)
        self.launches.append(request)
        (request.log_dir / f"server-{number}.log").write_text(f"launch {request.launch_id}\n", encoding="utf-8")
        self.clock.now_s += START_S
        failure = self.launch_failures[number] if number < len(self.launch_failures) else None
        if failure is not None:
            raise LaunchError(f"no start: {failure}", failure, log_tail="last words")
        self.servers.append(SimulatedServer(self, number, _ttft_s(request), served_name=self.served_name))
        return self.servers[-1]

    def open_driver(self, target: Target, settings: DriverSettings) -> LoadDriver:
        server = next(s for s in self.servers if s.urls == tuple(target.urls))
        return SimulatedDriver(self, server)


@dataclass
class SimulatedServer:
    world: World
    number: int
    ttft_s: float
    code: int | None = None
    stopped: bool = False
    startup_s: float = START_S
    engine_version: str = "simulated-1"
    served_name: str | None = None
    recorded_load: Mapping[LoadLevel, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def urls(self) -> tuple[str, ...]:
        return (f"http://simulated:{self.number}",)

    def exit_code(self, within_s: float = 0.0) -> int | None:
        return self.code

    def log_tail(self, max_bytes: int = 16384) -> str:
        return "the server's last words"

    def stop(self) -> None:
        self.stopped = True
        if self.world.keeps:
            raise InfrastructureError(self.world.keeps)


@dataclass
class SimulatedDriver:
    """Closed loop: each slot sends its next request when its last has ended."""

    world: World
    server: SimulatedServer

    def __enter__(self) -> Self:
        self.world.open_drivers += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.world.open_drivers -= 1

    def run(self, point: LoadPoint, *, deadline_s: float, allowed_s: float | None = None) -> PointRun:
        incident = self.world.incidents.get(len(self.world.points))
        self.world.points.append(point)
        if incident is Incident.CLIENT_LOST:
            raise InfrastructureError("the load driver's process is gone")
        if incident is Incident.KILLED:
            raise KeyboardInterrupt
        if incident is Incident.SERVER_DIES:
            self.server.code = -9
        slow = incident is Incident.NO_ANSWER
        cut = RequestError.CUT if incident in (Incident.SERVER_DIES, Incident.ALL_FAIL) else None
        records = self._records(point, deadline_s, 1e9 if slow else self.server.ttft_s * point.level.value, cut)
        records, given_up = _given_up(point, records, allowed_s or deadline_s)
        if self.world.warms_up:
            records = tuple(replace(r, warmup=n < point.level.value) for n, r in enumerate(records))
        self.world.clock.now_s += max(r.end_s for r in records)
        is_hopeless = incident in (Incident.ALL_FAIL, Incident.HOPELESS)
        saturated = incident is Incident.SATURATED
        return PointRun(
            point.level,
            records,
            lag_p99_ms=80.0 if saturated else 0.5,
            saturated=saturated,
            stopped_early="the queue grows" if is_hopeless else given_up,
            disturbed="others spin" if incident is Incident.DISTURBED else "",
        )

    def _records(
        self, point: LoadPoint, deadline_s: float, ttft_s: float, error: RequestError | None
    ) -> tuple[RequestRecord, ...]:
        free = [0.0] * int(point.level.value)
        records = []
        for index in range(point.first_index, point.first_index + point.requests):
            slot = free.index(min(free))
            sent = free[slot]
            if sent >= deadline_s:
                break
            first = sent + ttft_s + self.world.jitter_s * (index % 10 - 8.5)
            end = first + TPOT_S * (OUTPUT_TOKENS - 1)
            if end > deadline_s:
                records.append(_record(index, sent, None, deadline_s, RequestError.TIMEOUT))
            else:
                records.append(_record(index, sent, None if error else first, end, error))
            free[slot] = records[-1].end_s
        return tuple(records)


def _given_up(
    point: LoadPoint, records: tuple[RequestRecord, ...], allowed_s: float
) -> tuple[tuple[RequestRecord, ...], str | None]:
    """The records up to where the real load driver would give the point up, and why."""
    for n in range(1, len(records)):
        progress = Progress(records[:n], [], point.requests, int(point.level.value), records[n - 1].end_s, allowed_s)
        if reason := hopeless(progress):
            return records[:n], reason
    return records, None


def _record(
    index: int, sent_s: float, first_s: float | None, end_s: float, error: RequestError | None
) -> RequestRecord:
    return RequestRecord(
        index=index,
        warmup=False,
        scheduled_s=sent_s,
        sent_s=sent_s,
        first_token_s=first_s,
        last_token_s=None if error else end_s,
        end_s=end_s,
        prompt_tokens=8,
        output_tokens=0 if error else OUTPUT_TOKENS,
        expected_output_tokens=OUTPUT_TOKENS,
        error=error,
    )


def _ttft_s(request: LaunchRequest) -> float:
    """0.1 s at a ubatch-size of 64, twice that at half of it; times the concurrency."""
    argv = request.deployment.groups[0].ranks[0].argv
    size = int(argv[argv.index("--ubatch-size") + 1]) if "--ubatch-size" in argv else 64
    return 6.4 / size
