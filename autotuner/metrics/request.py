"""What is kept of every request, and of one run of a load point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from autotuner.errors import Failure
from autotuner.metrics.load_level import LoadLevel
from autotuner.metrics.telemetry import Telemetry

# Nothing makes the tokens of one answer faster (the fastest machines of 2026 take 0.3 ms): what comes faster was held
# back on its way, in one chunk or in many, and says nothing about the time between tokens.
FASTEST_S = 2e-4
_SHARE_OF_SILENCE = 0.5  # of the time that unseen tokens take at the pace of the visible ones; it may have been higher


class RequestError(StrEnum):
    """Why a request did not end well."""

    REFUSED = "refused"  # no connection
    HTTP_STATUS = "http_status"  # a status other than 200, or an error object in the stream
    NOT_A_STREAM = "not_a_stream"  # an answer in one piece, compressed, or of another kind altogether
    EMPTY = "empty"  # ended in good order, without any text and without tokens
    ABORTED = "aborted"  # the server broke the answer off and says so: abort, error, cancelled, content_filter, …
    CUT = "cut"  # the stream ended before its end marker
    TIMEOUT = "timeout"
    WRONG_LENGTH = "wrong_length"  # fewer or more output tokens than were forced
    CANCELLED = "cancelled"  # the load point was stopped early; counts as not sent


class TokensBy(StrEnum):
    """How the output tokens of an answer were counted, surest first."""

    USAGE = "usage"  # the server's own count
    FORCED = "forced"  # it tells none: as many as were forced
    PROBE = "probe"  # so many tokens a chunk, as a probe found
    CHUNKS = "chunks"  # streamed chunks, each taken for a token

    @property
    def words(self) -> str:
        return _COUNTED_BY[self]


_COUNTED_BY = {
    TokensBy.USAGE: "by the server's usage",
    TokensBy.FORCED: "as the length that was forced: the server tells no count",
    TokensBy.PROBE: "by the tokens a chunk that a probe found: the server's streams tell no count",
    TokensBy.CHUNKS: "by streamed chunks, each taken for a token: the server tells no count",
}


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request. Times are seconds on the load point's own clock (0 = its start).

    ``scheduled_s`` is when the request was due (open loop) or when its slot was free (closed loop);
    ``chunk_s`` are the arrival times of streamed chunks that carried text: a chunk is not a token.
    ``index`` numbers the prompts of a level over all rungs: no prompt is sent twice to one server. ``model`` is the
    name that the request asked for: the served model's, or an adapter's. ``expected_output_tokens`` is the length that
    was forced, ``asked_output_tokens`` the most that was asked for. ``first_visible_s`` is the first chunk's that holds
    more than reasoning; ``reasoning_tokens`` are those of ``output_tokens`` that the server says were reasoning.
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
    asked_output_tokens: int | None = None
    tokens_by: TokensBy | None = None
    first_visible_s: float | None = None
    reasoning_tokens: int | None = None

    @property
    def ok(self) -> bool:
        return self.error is None

    @property
    def unseen_tokens(self) -> int:
        """Tokens of reasoning that were not streamed: the first token seen is then the first visible one.

        Reasoning that is streamed as any other text is told from it by its chunks, of which there are more than visible
        tokens, and by its time: what was not seen went by before the first token.
        """
        if not self.reasoning_tokens or self.first_visible_s != self.first_token_s:
            return 0
        visible = (self.output_tokens or 0) - self.reasoning_tokens
        if visible < 0 or len(self.chunk_s) > visible:
            return 0
        if visible > 1 and self.first_token_s is not None and self.last_token_s is not None:
            gap_s = (self.last_token_s - self.first_token_s) / (visible - 1)
            if self.first_token_s - self.sent_s < _SHARE_OF_SILENCE * self.reasoning_tokens * gap_s:
                return 0
        return self.reasoning_tokens

    @property
    def token_gap_s(self) -> float | None:
        """Mean seconds between the streamed tokens; ``None`` where they came at once, or are fewer than two."""
        tokens = (self.output_tokens or 0) - self.unseen_tokens
        if tokens < 2 or self.first_token_s is None or self.last_token_s is None:
            return None
        gap_s = (self.last_token_s - self.first_token_s) / (tokens - 1)
        return gap_s if gap_s >= FASTEST_S else None


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a table has of a load point where it has no raw requests: ``metrics`` by their columns, of ``requests``
    requests; or why there are none."""

    requests: int
    metrics: Mapping[str, float]
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class PointRun:
    """One run of one load point: what the load driver hands back.

    ``lag_p99_ms`` is the client's own lag (how late its event loop ran); ``saturated`` is set when
    that lag makes the figures the client's rather than the server's. ``stopped_early`` says why a
    hopeless point was given up, else ``None``. ``started_at`` is its time 0 in seconds since the epoch, ``None``
    where time is not real; ``telemetry`` what servers and GPUs told meanwhile, ``None`` where nobody asked. ``notes``
    are sentences on how it was measured that its requests alone do not tell. ``replayed`` stands in for requests that
    were not recorded. ``disturbed`` says what others did meanwhile that makes the figures theirs too; empty: nothing.
    """

    level: LoadLevel
    records: tuple[RequestRecord, ...]
    lag_p99_ms: float = 0.0
    saturated: bool = False
    stopped_early: str | None = None
    started_at: float | None = None
    telemetry: Telemetry | None = None
    notes: tuple[str, ...] = ()
    replayed: Replayed | None = None
    disturbed: str = ""

    @property
    def warmup_s(self) -> float:
        """Seconds until the first measured request was sent, where warm-up requests went before it; else 0."""
        if not any(record.warmup for record in self.records):
            return 0.0
        measured = [record.sent_s for record in self.records if not record.warmup]
        return max(0.0, min(measured, default=max(record.end_s for record in self.records)))
