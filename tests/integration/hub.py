"""A hub of models on this machine that speaks what huggingface_hub asks for; it remembers who asked for what."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_of_the_test"


@dataclass
class Hub:
    """``models``: id → name of a file → its content.

    ``private`` ones are for bearers of TOKEN alone, of ``gated`` ones nobody gets a file. ``pause_s`` is how long each
    file takes; ``fault`` makes the hub answer everything with that status.
    """

    models: Mapping[str, Mapping[str, bytes]]
    private: frozenset[str] = frozenset()
    gated: frozenset[str] = frozenset()
    pause_s: float = 0.0
    fault: int | None = None
    url: str = ""
    got: list[str] = field(default_factory=list)  # files whose content was sent, as MODEL/FILE
    asked: int = 0


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    class Handler(_Handler):
        of = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    of: Hub

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        self.of.asked += 1
        words = unquote(urlsplit(self.path).path).strip("/").split("/")
        is_api = words[:2] == ["api", "models"]
        model = "/".join(words[2:4] if is_api else words[:2])
        if self.of.fault is not None:
            self._send(self.of.fault, b"the hub is on fire", {}, with_body)
        elif model not in self.of.models or self._is_hidden(model):
            said = {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
            self._send(401, b"{}", said, with_body)
        elif model in self.of.gated and not is_api:
            said = {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to this model is restricted"}
            self._send(403, b"{}", said, with_body)
        elif is_api:
            self._tell(model, words[4:], with_body)
        else:
            self._hand_out(model, "/".join(words[4:]), with_body)

    def _is_hidden(self, model: str) -> bool:
        return model in self.of.private and self.headers.get("Authorization") != f"Bearer {TOKEN}"

    def _tell(self, model: str, words: list[str], with_body: bool) -> None:
        files = self.of.models[model]
        if words[:1] == ["tree"]:
            content: object = [
                {"type": "file", "path": name, "size": len(data), "oid": _etag(data)} for name, data in files.items()
            ]
        else:
            content = {"id": model, "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"}, with_body)

    def _hand_out(self, model: str, name: str, with_body: bool) -> None:
        data = self.of.models[model].get(name)
        if data is None:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"}, with_body)
            return
        if with_body:
            time.sleep(self.of.pause_s)
            self.of.got.append(f"{model}/{name}")
        self._send(200, data, {"ETag": f'"{_etag(data)}"', "X-Repo-Commit": COMMIT}, with_body)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str], with_body: bool) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)


def _etag(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()
