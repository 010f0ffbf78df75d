"""How many tokens an answer has, how that is known, and whether it is as long as was asked. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from autotuner.benchmark.client.events import OUT_OF_TOKENS, StreamReader

_OVER = 2.0  # so many times the tokens of a chunk may be, of an answer that is longer than was asked
ENOUGH = 0.9  # an estimate this near the forced length is not told from it


@dataclass(frozen=True)
class TokenCount:
    """``by`` is a TokensBy's value, ``None`` where nothing was counted."""

    tokens: int | None
    by: str | None

    def beyond_belief(self, stream: StreamReader, asked: int, tokens_per_chunk: float | None) -> str | None:
        """What is wrong with a server's own count that is more than was ``asked`` for, and more than came."""
        if self.by != "usage" or self.tokens is None:
            return None
        seen = self.tokens - (stream.reasoning_tokens or 0)
        chunks = len(stream.chunks)
        if seen <= asked or seen <= _OVER * chunks * (tokens_per_chunk or 1.0):
            return None
        return f"its usage tells {self.tokens} output tokens: {asked} were asked for, and {chunks} chunks came"

    def wrong_length(self, forced: int) -> str | None:
        """What is wrong with the length of an answer that was to have exactly ``forced`` tokens."""
        if self.tokens is None or self.tokens == forced:
            return None
        about = "" if self.by == "usage" else f" (counted by {self.by})"
        return f"{self.tokens} output tokens{about}, {forced} were asked for"


def count_tokens(stream: StreamReader, forced: int | None, tokens_per_chunk: float | None) -> TokenCount:
    """The server's own count; where it tells none, the forced length, else what its chunks come to.

    ``tokens_per_chunk`` is what a probe found, ``None`` without one. The forced length is not taken for an answer that
    says that it ended by itself, or that a probe's measure makes clearly shorter.
    """
    if stream.output_tokens or not stream.chunks:
        return TokenCount(stream.output_tokens, None if stream.output_tokens is None else "usage")
    chunks = len(stream.chunks)
    if tokens_per_chunk is None:
        estimate = TokenCount(chunks, "chunks")
    else:
        estimate = TokenCount(max(1, round(chunks * tokens_per_chunk)), "probe")
    if forced is None:
        return estimate
    ran_out = stream.finish in OUT_OF_TOKENS or (stream.finish is None and estimate.by == "chunks")
    near = estimate.tokens is not None and estimate.tokens >= ENOUGH * forced
    return TokenCount(forced, "forced") if ran_out or near else estimate
