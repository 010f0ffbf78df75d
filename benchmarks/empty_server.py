"""The least that can be measured: answers a ready probe and completions after a fixed wait, with no work in between.

Takes llama-server's flags, of which it reads ``--host`` and ``--port``. Run with ``python -S -E`` it is there in some
tens of milliseconds; it is the cost of a trial without it that ``benchmarks.scale`` looks at.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from typing import Any

WAIT_S = 2.0  # to the first token; a client among many on two cores is late by some tens of milliseconds
_CHARS_PER_TOKEN = 4


def main() -> None:
    words = sys.argv[1:]
    address = words[words.index("--host") + 1], int(words[words.index("--port") + 1])
    with socket.create_server(address, backlog=128) as listening:
        while True:
            threading.Thread(target=_serve, args=(listening.accept()[0],), daemon=True).start()


def _serve(connection: socket.socket) -> None:
    with connection, connection.makefile("rb") as asked:
        path = asked.readline().split(b" ")[1]
        length = 0
        while (header := asked.readline().strip()) != b"":
            if header.lower().startswith(b"content-length:"):
                length = int(header.split(b":")[1])
        body: dict[str, Any] = json.loads(asked.read(length)) if length else {}
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n")
        if path != b"/v1/completions":
            _send(connection, "application/json", b'{"status": "ok"}')
        elif body.get("stream"):
            time.sleep(WAIT_S)
            _send(connection, "text/event-stream", _stream(body))
        else:
            _send(connection, "application/json", json.dumps({"choices": [{"text": " a"}], **_usage(body)}).encode())


def _send(connection: socket.socket, kind: str, content: bytes) -> None:
    head = f"Content-Type: {kind}\r\nContent-Length: {len(content)}\r\n\r\n"
    connection.sendall(head.encode() + content)


def _stream(body: dict[str, Any]) -> bytes:
    token = {"choices": [{"index": 0, "text": " a", "finish_reason": None}]}
    end = {"choices": [{"index": 0, "text": "", "finish_reason": "length"}]}
    events = [token] * body["max_tokens"] + [end, {"choices": [], **_usage(body)}]
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n"


def _usage(body: dict[str, Any]) -> dict[str, Any]:
    prompt, tokens = body["prompt"], body["max_tokens"]
    sent = len(prompt) if isinstance(prompt, list) else -(-len(prompt) // _CHARS_PER_TOKEN)
    return {"usage": {"prompt_tokens": sent, "completion_tokens": tokens, "total_tokens": sent + tokens}}


if __name__ == "__main__":
    main()
