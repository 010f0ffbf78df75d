"""ReplayLauncher and ReplayDriver: launches and requests take the seconds that were recorded."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from autotuner.benchmark import DriverSettings, LoadPoint, Target
from autotuner.errors import LaunchError
from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.metrics.request import PointRun, Replayed, RequestError, RequestRecord, TokensBy
from autotuner.servers.launcher import Diagnose, LaunchRequest, UnownedServer
from autotuner.servers.replay.clock import VirtualClock
from autotuner.servers.replay.lookup import VERSION, Lookup, values_text
from autotuner.servers.replay.recorded import RecordedLaunch, RecordedLevel, RecordedRequest

_SAID = "recorded as"


@dataclass(frozen=True, kw_only=True)
class ReplayedServer(UnownedServer):
    """A recorded launch that came up. ``note``: which Config it was of, where that is another."""

    recorded: RecordedLaunch
    note: str = ""

    @property
    def recorded_load(self) -> Mapping[LoadLevel, int]:
        return {level: len(recorded.requests) for level, recorded in self.recorded.levels.items()}

    @classmethod
    def of(cls, recorded: RecordedLaunch, url: str = "", note: str = "") -> Self:
        return cls(url, recorded.startup_s, VERSION, recorded=recorded, note=note)


@dataclass
class ReplayLauncher:
    """Of several repeats of a Config each launch draws one, by ``seed`` and its launch id."""

    lookup: Lookup
    clock: VirtualClock
    seed: int
    _live: dict[str, ReplayedServer] = field(default_factory=dict)

    def launch(self, request: LaunchRequest, diagnose: Diagnose) -> ReplayedServer:
        """Raises LaunchError with the failure that was recorded."""
        values = json.loads(request.deployment.groups[0].ranks[0].argv[1].format())
        found = self.lookup.find(values)
        draw = random.Random(zlib.crc32(f"{self.seed}/{request.launch_id}".encode()))  # noqa: S311  # a seeded draw
        recorded = draw.choice(found.launches)
        self.clock.sleep(recorded.startup_s)
        if recorded.failure is not None:
            raise LaunchError(f"{_SAID} {recorded.failure} at its start", recorded.failure)
        instead = found.instead
        note = "" if instead is None else f"taken from the nearest Config of the table: {values_text(instead)}"
        server = ReplayedServer.of(recorded, f"replay:{request.launch_id}", note)
        self._live[server.url] = server
        return server

    def open_driver(self, target: Target, settings: DriverSettings) -> ReplayDriver:
        return ReplayDriver(self._live[target.urls[0]], self.clock)


@dataclass(frozen=True)
class ReplayDriver:
    """Sends nothing: a load point takes its share of the recorded requests, and the time that these took."""

    server: ReplayedServer
    clock: VirtualClock

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def run(self, point: LoadPoint, *, deadline_s: float, allowed_s: float | None = None) -> PointRun:
        """``point.requests`` of the recorded requests from ``point.first_index`` on, as many as there are.

        What would have ended after ``deadline_s`` seconds is a TIMEOUT.
        """
        began_s = self.clock.epoch_s()
        recorded = self.server.recorded.levels.get(point.level, _NOT_RECORDED)
        notes = (self.server.note,) if self.server.note else ()
        if recorded.failure is not None or not recorded.requests:
            self.clock.sleep(min(deadline_s, _seconds(point, recorded)))
            replayed = Replayed(point.requests, recorded.metrics, recorded.failure)
            return PointRun(point.level, (), started_at=began_s, notes=notes, replayed=replayed)
        taken = _share(recorded.requests, point)
        records = tuple(
            _record(point.first_index + number, request, taken[0].sent_s, deadline_s)
            for number, request in enumerate(taken)
        )
        self.clock.sleep(max(record.end_s for record in records))
        return PointRun(point.level, records, started_at=began_s, notes=notes)


_NOT_RECORDED = RecordedLevel()


def _share(requests: tuple[RecordedRequest, ...], point: LoadPoint) -> tuple[RecordedRequest, ...]:
    """Those of the point's indices; a point that asks for more than were recorded begins at the first again."""
    first = point.first_index if point.first_index < len(requests) else 0
    return requests[first : first + point.requests]


def _record(index: int, request: RecordedRequest, since_s: float, deadline_s: float) -> RequestRecord:
    sent_s = request.sent_s - since_s
    failed = request.e2e_s is None or request.ttft_s is None
    end_s = sent_s + (request.e2e_s or 0.0)
    error = RequestError.CUT if failed else None
    if end_s > deadline_s:
        error, end_s = RequestError.TIMEOUT, deadline_s
    return RequestRecord(
        index=index,
        warmup=False,
        scheduled_s=sent_s,
        sent_s=sent_s,
        first_token_s=None if error or request.ttft_s is None else sent_s + request.ttft_s,
        last_token_s=None if error else end_s,
        end_s=end_s,
        prompt_tokens=None,
        output_tokens=None if error else request.output_tokens,
        expected_output_tokens=None,
        error=error,
        detail=f"{_SAID} failed" if failed else "",
        tokens_by=None if error else TokensBy.USAGE,
    )


def _seconds(point: LoadPoint, recorded: RecordedLevel) -> float:
    """How long so many requests took, by what the table has of them."""
    rate = recorded.metrics.get("requests_per_s", 0.0)
    if rate > 0:
        return point.requests / rate
    if point.level.kind is LoadKind.RATE:
        return point.requests / point.level.value
    each_s = recorded.metrics.get("e2e_mean_ms", 0.0) / 1000
    return point.requests * each_s / point.level.value
