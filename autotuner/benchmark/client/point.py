"""One worker's share of one load point, from its first warm-up request to its last record."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import deque
from collections.abc import Coroutine
from typing import Any

from autotuner.benchmark.client.connector import Connector
from autotuner.benchmark.client.exchange import Exchange
from autotuner.benchmark.client.lag import LagMonitor
from autotuner.benchmark.client.tickets import Ticket, TicketOffice
from autotuner.benchmark.client.token_count import count_tokens
from autotuner.benchmark.client.wire import Job, Outcome, PointResult
from autotuner.benchmark.hopeless import Progress, all_failing, hopeless

_JUDGE_EVERY_S = 0.5


class PointRun:
    """Runs one job. The requests are made by the constructor, before the clock starts."""

    def __init__(self, job: Job, office: TicketOffice, connector: Connector, *, forced: bool) -> None:
        self._job = job
        self._office = office
        self._connector = connector
        self._forced = forced
        self._closed = job.kind == "concurrency"
        if self._closed:
            self._first, measured = office.closed_loop(job)
            self._queue = deque(measured)
            self._slot_count = len(self._first)
            self._total = len(measured)
        else:
            self._first = office.open_loop(job)
            self._queue = deque[Ticket]()
            self._slot_count = 0
            self._total = sum(1 for ticket in self._first if not ticket.warmup)
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: dict[Exchange, float] = {}
        self._ended: list[Outcome] = []
        self._start_s = self._allowed_s = 0.0
        self._stopped: tuple[str, str] | None = None  # error of what is in flight, why

    async def run(self, start_s: float, deadline_s: float, allowed_s: float) -> PointResult:
        """Sends everything, or what it can until it is stopped.

        ``start_s`` is a ``time.monotonic`` time, ``deadline_s`` counts from there, and so does ``allowed_s``: a point
        that would take far longer is given up.
        """
        self._start_s, self._allowed_s = start_s, allowed_s
        loop = asyncio.get_running_loop()
        reason = f"the deadline of {deadline_s:.0f} s passed"
        deadline = loop.call_later(max(0.0, start_s + deadline_s - time.monotonic()), self.stop, reason, "timeout")
        judge = asyncio.create_task(self._judge())
        try:
            async with LagMonitor() as lag, asyncio.TaskGroup() as group:
                self._group = group
                self._spawn(self._slots() if self._closed else self._arrivals())
        finally:
            deadline.cancel()
            judge.cancel()
        return PointResult(tuple(self._ended), lag.p99_ms, self._stopped[1] if self._stopped else None)

    def stop(self, reason: str, error: str = "cancelled") -> None:
        """Gives the point up: nothing more is sent, what is in flight ends with ``error``."""
        if self._stopped is not None:
            return
        self._stopped = (error, reason)
        self._queue.clear()
        for task in list(self._tasks):
            task.cancel()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._group is not None
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _slots(self) -> None:
        for ticket in self._first:
            self._spawn(self._slot(ticket))

    async def _slot(self, ticket: Ticket) -> None:
        """One slot: its warm-up request, then measured ones as long as there are any."""
        await self._until(ticket.due_s)
        await self._request(ticket, self._now())
        while self._queue:
            await self._request(self._queue.popleft(), self._now())

    async def _arrivals(self) -> None:
        for ticket in self._first:
            await self._until(ticket.due_s)
            self._spawn(self._request(ticket, ticket.due_s))

    async def _until(self, due_s: float) -> None:
        """Waits; the loop's timers are rounded to milliseconds and may be early, so the rest is yielded away."""
        while (left_s := due_s - self._now()) > 0:
            await asyncio.sleep(left_s if left_s > 0.0015 else 0)

    async def _request(self, ticket: Ticket, scheduled_s: float) -> None:
        address = self._connector.address(ticket.index)
        exchange = Exchange(self._office.payload(self._job, ticket), asyncio.get_running_loop())
        self._waiting[exchange] = scheduled_s
        try:
            await self._connector.perform(exchange, address)
        except asyncio.CancelledError:
            exchange.end(*(self._stopped or ("cancelled", "")))
            raise
        finally:
            del self._waiting[exchange]
            self._ended.append(self._outcome(ticket, scheduled_s, exchange))
        if self._ended[-1].error is not None and (reason := all_failing(self._ended, self._slot_count)):
            self.stop(reason)

    def _outcome(self, ticket: Ticket, scheduled_s: float, exchange: Exchange) -> Outcome:
        stream, start_s = exchange.stream, self._start_s
        times = stream.chunks
        if not times and exchange.error is None and stream.last_choice_s is not None:
            times = [stream.last_choice_s]  # tokens that make no text still came
        expected = ticket.output_tokens if self._forced else None
        count = count_tokens(stream, expected, self._office.tokens_per_chunk)
        error, detail = exchange.error, exchange.detail
        wrong = count.beyond_belief(stream, ticket.output_tokens, self._office.tokens_per_chunk)
        if wrong is None and expected is not None:
            wrong = count.wrong_length(expected)
        if error is None and wrong is not None:
            error, detail = "wrong_length", wrong
        visible_s = stream.first_visible_s
        return Outcome(
            index=ticket.index,
            warmup=ticket.warmup,
            scheduled_s=scheduled_s,
            sent_s=exchange.sent_s - start_s,
            end_s=(exchange.end_s or time.monotonic()) - start_s,
            first_token_s=times[0] - start_s if times else None,
            last_token_s=times[-1] - start_s if times else None,
            prompt_tokens=stream.prompt_tokens,
            output_tokens=count.tokens,
            expected_output_tokens=expected,
            error=error,
            status=exchange.status,
            detail=detail,
            model=ticket.model,
            asked_output_tokens=ticket.output_tokens,
            tokens_by=count.by,
            first_visible_s=visible_s - start_s if visible_s is not None else None,
            reasoning_tokens=stream.reasoning_tokens,
            chunk_s=array("d", [at - start_s for at in stream.chunks]),
        )

    async def _judge(self) -> None:
        while True:
            await asyncio.sleep(_JUDGE_EVERY_S)
            if reason := hopeless(self._progress()):
                self.stop(reason)

    def _progress(self) -> Progress:
        return Progress(
            ended=self._ended,
            waiting_since_s=[due for exchange, due in self._waiting.items() if not exchange.stream.chunks],
            total=self._total,
            slots=self._slot_count,
            now_s=self._now(),
            allowed_s=self._allowed_s,
            planned_s=0.0 if self._closed else self._first[-1].due_s,
            lost_at=self._job.lost_at,
        )

    def _now(self) -> float:
        return time.monotonic() - self._start_s
