"""Requests as bytes on the wire."""

from __future__ import annotations

import json
from typing import Any

from autotuner.benchmark.client.wire import ClientSpec
from autotuner.benchmark.traffic.prompts import Prompt


def body(spec: ClientSpec, model: str, prompt: Prompt, output_tokens: int) -> dict[str, Any]:
    """The JSON body of a streamed request; the study's own keys win over what forces the length."""
    asked: dict[str, Any] = {"model": model}
    if spec.api == "chat":
        asked["messages"] = _messages(prompt)
    else:
        asked["prompt"] = prompt.content
    if spec.ignore_eos:
        asked["ignore_eos"] = True
    if spec.min_tokens:
        asked["min_tokens"] = output_tokens
    return {**asked, **spec.body, **spec.dialect.keys(output_tokens, stream=True)}


def http_request(path: str, host: str, headers: dict[str, str], content: bytes) -> bytes:
    """A POST that asks for one answer and then the end of the connection.

    Reused connections race with servers that close them: a new one a request costs little.
    """
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        "Content-Type: application/json",
        "Accept: text/event-stream",
        "Accept-Encoding: identity",
        f"Content-Length: {len(content)}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + content


def encode_body(asked: dict[str, Any]) -> bytes:
    return json.dumps(asked, separators=(",", ":")).encode()


def _messages(prompt: Prompt) -> list[dict[str, str]]:
    if isinstance(prompt.content, tuple):
        return [{"role": role, "content": text} for role, text in prompt.content]
    return [{"role": "user", "content": str(prompt.content)}]
