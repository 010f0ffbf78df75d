"""Dialect: how a server's OpenAI API differs from the usual one, as far as the load has to know."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dialect:
    """``stream_options``: whether a request may have them, which ask for the token counts of a stream.

    ``length_key`` is what the number of output tokens is called in a request. ``tokens_per_chunk`` is what a probe
    found where streams tell no count, ``None`` where they do or where nothing could be found.
    """

    stream_options: bool = True
    length_key: str = "max_tokens"
    tokens_per_chunk: float | None = None

    def keys(self, output_tokens: int, *, stream: bool) -> dict[str, object]:
        """The keys of a request that depend on it."""
        asked: dict[str, object] = {self.length_key: output_tokens, "stream": stream}
        if stream and self.stream_options:
            asked["stream_options"] = {"include_usage": True}
        return asked
