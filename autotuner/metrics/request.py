"""What is kept of every request, and of one run of a load point."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from autotuner.metrics.load_level import LoadLevel
from autotuner.metrics.telemetry import Telemetry


class RequestError(StrEnum):
    """Why a request did not end well."""

    REFUSED = "refused"  # no connection
    HTTP_STATUS = "http_status"  # a status other than 200, or an error object in the stream
    CUT = "cut"  # the stream ended before its end marker
    TIMEOUT = "timeout"
    WRONG_LENGTH = "wrong_length"  # fewer or more output tokens than were forced
    CANCELLED = "cancelled"  # the load point was stopped early; counts as not sent


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request. Times are seconds on the load point's own clock (0 = its start).

    ``scheduled_s`` is when the request was due (open loop) or when its slot was free (closed loop);
    ``chunk_s`` are the arrival times of streamed chunks that carried text: a chunk is not a token.
    ``index`` numbers the prompts of a level over all rungs: no prompt is sent twice to one server. ``model`` is the
    name that the request asked for: the served model's, or an adapter's.
    """

    index: int
    warmup: bool
    scheduled_s: float
    sent_s: float
    first_token_s: float | None
    last_token_s: float | None
    end_s: float
    prompt_tokens: int | None
    output_tokens: int | None
    expected_output_tokens: int | None
    chunk_s: tuple[float, ...] = ()
    error: RequestError | None = None
    status: int | None = None
    detail: str = ""
    model: str | None = None

    @property
    def ok(self) -> bool:
        return self.error is None


@dataclass(frozen=True, slots=True)
class PointRun:
    """One run of one load point: what the load driver hands back.

    ``lag_p99_ms`` is the client's own lag (how late its event loop ran); ``saturated`` is set when
    that lag makes the figures the client's rather than the server's. ``stopped_early`` says why a
    hopeless point was given up, else ``None``. ``started_at`` is its time 0 in seconds since the epoch, ``None``
    where time is not real; ``telemetry`` what servers and GPUs told meanwhile, ``None`` where nobody asked.
    """

    level: LoadLevel
    records: tuple[RequestRecord, ...]
    lag_p99_ms: float = 0.0
    saturated: bool = False
    stopped_early: str | None = None
    started_at: float | None = None
    telemetry: Telemetry | None = None
