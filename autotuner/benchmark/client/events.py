"""Reading a stream of server-sent events of the OpenAI completions and chat APIs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class StreamReader:
    """Fed with the bytes of a response, knows what the answer said so far.

    ``chunks`` are the arrival times of events that carried text. ``ended`` is set by the end marker
    ``[DONE]``, ``finished`` by a finish reason, ``error`` by an error object in the stream.
    """

    chunks: list[float] = field(default_factory=list)
    last_choice_s: float | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    finished: bool = False
    ended: bool = False
    error: str | None = None
    _rest: bytes = b""

    def feed(self, data: bytes, now_s: float) -> None:
        """Takes bytes that arrived at ``now_s``."""
        lines = (self._rest + data if self._rest else data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if line.startswith(b"data:"):
                self._event(line[5:].strip(), now_s)
            elif line.startswith(b"error:"):
                self.error = line[6:].decode(errors="replace").strip()

    def _event(self, data: bytes, now_s: float) -> None:
        if data == b"[DONE]":
            self.ended = True
            return
        try:
            event = json.loads(data)
        except ValueError:
            self.error = f"not JSON: {data[:100].decode(errors='replace')}"
            return
        if not isinstance(event, dict):
            return
        if event.get("error"):
            self.error = json.dumps(event["error"])
            return
        usage = event.get("usage")
        if usage:
            self.prompt_tokens = usage.get("prompt_tokens")
            self.output_tokens = usage.get("completion_tokens")
        choices = event.get("choices")
        if choices:
            self._choice(choices[0], now_s)

    def _choice(self, choice: dict[str, Any], now_s: float) -> None:
        if choice.get("text") or _delta_says(choice.get("delta")):
            self.chunks.append(now_s)
        self.last_choice_s = now_s
        if choice.get("finish_reason"):
            self.finished = True


def _delta_says(delta: dict[str, Any] | None) -> bool:
    """Whether a chat delta carries something generated; the first one names just the role."""
    if not delta:
        return False
    return bool(
        delta.get("content") or delta.get("reasoning_content") or delta.get("reasoning") or delta.get("tool_calls")
    )
