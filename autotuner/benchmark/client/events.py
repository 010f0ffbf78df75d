"""Reading a stream of server-sent events of the OpenAI completions and chat APIs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

# How servers say that an answer is whole, in whatever case: the words of OpenAI, Anthropic, TGI, Mistral and Cohere,
# and vLLM's for an answer that went in circles. Any other word (abort, error, cancelled, content_filter, timeout, …) is
# an answer that was broken off.
WHOLE = frozenset(
    (
        *("stop", "length", "tool_calls", "function_call", "model_length", "complete"),
        *("eos", "eos_token", "stop_sequence", "max_tokens", "end_turn", "tool_use", "repetition"),
    )
)
OUT_OF_TOKENS = frozenset(("length", "max_tokens"))  # … and that it was as long as it was asked to be

_GENERATED = frozenset(("logprobs", "tool_calls", "function_call"))  # whose keys are the model's words
_HEAD_BYTES = 2000
_HELD_BACK = 3  # tokens of single bytes that wait for the rest of their character


@dataclass(slots=True)
class StreamReader:
    """Fed with the bytes of a response, knows what the answer said so far.

    ``chunks`` are the arrival times of events that carried something generated: text, reasoning, a tool call;
    ``choices`` counts those that carried nothing too. ``first_visible_s`` is the first one's that carried more than
    reasoning, and ``reasoned`` whether any carried reasoning. ``ended`` is set by the end marker ``[DONE]``,
    ``finish`` is the finish reason, ``error`` an error object anywhere in the stream. ``head`` is the start of whatever
    was said beside choices and usage.
    """

    chunks: list[float] = field(default_factory=list)
    first_visible_s: float | None = None
    last_choice_s: float | None = None
    choices: int = 0
    reasoned: bool = False
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    finish: str | None = None
    ended: bool = False
    error: str | None = None
    events: int = 0
    head: bytes = b""
    _rest: bytes = b""
    _is_error: bool = False  # the event under way is named so

    def feed(self, data: bytes, now_s: float) -> None:
        """Takes bytes that arrived at ``now_s``."""
        lines = (self._rest + data if self._rest else data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            self._line(line, now_s)

    def close(self, now_s: float) -> None:
        """The response is over: what came last may have no line end."""
        line, self._rest = self._rest, b""
        self._line(line, now_s)

    def defect(self) -> tuple[str, str] | None:
        """Why an answer that ended as if all was well is none: a RequestError's value, and its reason."""
        if self.finish is not None and self.finish.casefold() not in WHOLE:
            return "aborted", f"finish_reason {self.finish!r} after {len(self.chunks)} chunks"
        if not self.chunks and self.output_tokens and not self._may_be_silent(self.output_tokens):
            return "empty", f"no text came of the {self.output_tokens} tokens that its usage tells"
        if not self.chunks and not self.output_tokens:
            said = f"; it said {self.head.decode(errors='replace')}" if self.head else ""
            return "empty", f"the stream ended without any text and without tokens in its usage{said}"
        return None

    def _may_be_silent(self, tokens: int) -> bool:
        """Whether so many tokens that make no text (an end mark, a piece of a character) could have come unseen."""
        return self.choices > 0 and tokens <= self.choices + _HELD_BACK

    def _line(self, line: bytes, now_s: float) -> None:
        if line.startswith(b"data:"):
            self._event(line[5:].strip(), now_s)
        elif line.startswith(b"error:"):
            self.error = line[6:].decode(errors="replace").strip()
        elif line.startswith(b"event:"):
            self._is_error = line[6:].strip() == b"error"
        elif not line.startswith((b"id:", b"retry:", b":")):
            self._note(line)

    def _note(self, said: bytes) -> None:
        if len(self.head) < _HEAD_BYTES:
            self.head = (self.head + said.strip())[:_HEAD_BYTES]

    def _event(self, data: bytes, now_s: float) -> None:
        self.events += 1
        if self._is_error:
            self.error = data.decode(errors="replace") or "an event named error"
            return
        if data == b"[DONE]":
            self.ended = True
            return
        if not data:
            return
        try:
            event = json.loads(data)
        except ValueError:
            self.error = f"not JSON: {data[:100].decode(errors='replace')}"
            return
        if b"error" in data and (error := told_error(event)) is not None:
            self.error = error
            return
        if not isinstance(event, dict):
            self._note(data)
            return
        usage, choices = event.get("usage"), event.get("choices")
        if isinstance(usage, dict):
            self._usage(usage)
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            self._choice(choices[0], now_s)
        elif not usage:
            self._note(data)

    def _usage(self, usage: dict[str, Any]) -> None:
        self.prompt_tokens = _count(usage.get("prompt_tokens"))
        self.output_tokens = _count(usage.get("completion_tokens"))
        details = usage.get("completion_tokens_details")
        found = details.get("reasoning_tokens") if isinstance(details, dict) else None
        self.reasoning_tokens = _count(usage.get("reasoning_tokens") if found is None else found)

    def _choice(self, choice: dict[str, Any], now_s: float) -> None:
        visible, reasoning = bool(choice.get("text")), False
        for part in (choice.get("delta"), choice.get("message")):
            if isinstance(part, dict):  # a chat's first delta names just the role
                visible = visible or bool(part.get("content") or part.get("tool_calls") or part.get("function_call"))
                reasoning = reasoning or bool(part.get("reasoning_content") or part.get("reasoning"))
        if visible or reasoning:
            self.chunks.append(now_s)
        if visible and self.first_visible_s is None:
            self.first_visible_s = now_s
        self.reasoned = self.reasoned or reasoning
        self.last_choice_s = now_s
        self.choices += 1
        finish = choice.get("finish_reason")
        if isinstance(finish, dict):  # SGLang's own form: {"type": "length", "length": 16}
            finish = finish.get("type")
        if finish:
            self.finish = str(finish)


def told_error(event: Any) -> str | None:
    """The error that an answer or an event tells of, at whatever depth, as JSON text; ``None`` without one.

    Servers put it at the top (``{"error": …}``), call the whole object one (``{"object": "error", …}``,
    ``{"type": "error", …}``), or leave it in a choice.
    """
    if isinstance(event, list):
        return next((error for part in event if (error := told_error(part)) is not None), None)
    if not isinstance(event, dict):
        return None
    if event.get("error"):
        return json.dumps(event["error"])
    if "error" in (event.get("object"), event.get("type")):
        return json.dumps(event)
    said = (part for name, part in event.items() if name not in _GENERATED)
    return next((error for part in said if (error := told_error(part)) is not None), None)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
