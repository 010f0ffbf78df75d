"""Tickets: the requests of one worker's share of a load point, in order."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from autotuner.benchmark.client.connector import Connector
from autotuner.benchmark.client.payload import body, encode_body, http_request
from autotuner.benchmark.client.wire import ClientSpec, Job
from autotuner.benchmark.traffic.arrivals import constant_gaps, due_times, poisson_gaps, trace_gaps, warmup_count
from autotuner.benchmark.traffic.datasets import SizeTrace
from autotuner.benchmark.traffic.prompts import Prompt, PromptWriter

_START_SPREAD_S = 0.5  # the slots' first requests are spread over so long …
_START_GAP_S = 0.02  # … but no further apart than this
_READY_BYTES = 64 * 2**20  # requests made before the clock starts; more are made when they are sent


@dataclass(frozen=True, slots=True)
class Ticket:
    """One request to send. ``due_s`` is when (open loop), or when its slot starts (first of a slot)."""

    index: int  # of the prompt; warm-up ones count down from −1
    warmup: bool
    due_s: float
    output_tokens: int
    model: str
    payload: bytes | None  # None: too many to be made ahead


class TicketOffice:
    """Makes the requests of a workload as bytes."""

    def __init__(self, spec: ClientSpec, writer: PromptWriter, connector: Connector) -> None:
        self._spec = spec
        self._writer = writer
        self._connector = connector
        self.tokens_per_chunk = spec.dialect.tokens_per_chunk
        self._path = "/v1/chat/completions" if spec.api == "chat" else "/v1/completions"

    def closed_loop(self, job: Job) -> tuple[list[Ticket], list[Ticket]]:
        """The warm-up requests, one for each of this worker's slots, and the measured ones.

        Warm-up answers have lengths spread evenly up to the full one, so that the slots do not go
        on in step.
        """
        slots = int(job.value)
        gap_s = min(_START_GAP_S, _START_SPREAD_S / slots)
        warmups = []
        for slot in range(job.shard, slots, job.shards):
            prompt = self._writer.warmup(job.level, job.first_index, slot)
            length = max(1, math.ceil(prompt.output_tokens * (slot + 1) / slots))
            model = self._spec.models.of(job.first_index + slot)
            warmups.append(self._made(Ticket(-1 - slot, True, slot * gap_s, length, model, None), prompt))
        mine = [n for n in range(job.requests) if n % slots % job.shards == job.shard]
        return warmups, list(self._measured(job, mine, [0.0] * job.requests))

    def open_loop(self, job: Job) -> list[Ticket]:
        """The warm-up requests and after them the measured ones, each with its due time."""
        gaps, rate_per_s = self._gaps(job)
        lead = due_times(constant_gaps(rate_per_s, warmup_count(rate_per_s, job.requests)))
        tickets = []
        for n in range(job.shard, len(lead), job.shards):
            prompt = self._writer.warmup(job.level, job.first_index, n)
            model = self._spec.models.of(job.first_index + n)
            tickets.append(self._made(Ticket(-1 - n, True, lead[n], prompt.output_tokens, model, None), prompt))
        mine = list(range(job.shard, job.requests, job.shards))
        tickets.extend(self._measured(job, mine, due_times(gaps, lead[-1])))
        return tickets

    def payload(self, job: Job, ticket: Ticket) -> bytes:
        if ticket.payload is not None:
            return ticket.payload
        return self._payload(ticket, self._writer.measured(job.level, ticket.index))

    def _gaps(self, job: Job) -> tuple[list[float], float]:
        if job.kind == "speed":
            (source,) = self._writer.mix.sources
            assert isinstance(source, SizeTrace)
            gaps = trace_gaps(source.timestamps_s, job.value, job.first_index, job.requests)
            return gaps, min(job.requests / sum(gaps), 100.0) if sum(gaps) > 0 else 100.0
        if job.arrival == "constant":
            return constant_gaps(job.value, job.requests), job.value
        seed = f"{self._spec.seed} {job.level}"
        return poisson_gaps(job.value, job.first_index, job.requests, seed), job.value

    def _measured(self, job: Job, numbers: list[int], due_s: list[float]) -> Iterator[Ticket]:
        made_bytes = 0
        for n in numbers:
            index = job.first_index + n
            prompt = self._writer.measured(job.level, index)
            ticket = Ticket(index, False, due_s[n], prompt.output_tokens, self._spec.models.of(index), None)
            if made_bytes < _READY_BYTES:
                ticket = self._made(ticket, prompt)
                made_bytes += len(ticket.payload or b"")
            yield ticket

    def _made(self, ticket: Ticket, prompt: Prompt) -> Ticket:
        return replace(ticket, payload=self._payload(ticket, prompt))

    def _payload(self, ticket: Ticket, prompt: Prompt) -> bytes:
        address = self._connector.address(ticket.index)
        content = encode_body(body(self._spec, ticket.model, prompt, ticket.output_tokens))
        return http_request(address.prefix + self._path, address.host, dict(self._spec.headers), content)
