"""A registry of one small image, as far as docker pulls from it.

Source: the OCI distribution specification, "Pull", and docker's "Image Manifest Version 2, Schema 2".
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import platform
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME = "tiny"
TAG = "1"
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_UNKNOWN = ("application/json", b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}')
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


@contextlib.contextmanager
def registry() -> Iterator[str]:
    """``host:port`` of a running one. Docker needs no certificate of a registry on the loopback."""
    answers = _answers()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, body = answers.get(self.path, _UNKNOWN)
            self.send_response(200 if self.path in answers else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Docker-Content-Digest", _digest(body))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def _answers() -> dict[str, tuple[str, bytes]]:
    """Path → content type and body."""
    files = io.BytesIO()
    with tarfile.open(fileobj=files, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("made-by-a-test"))
    layer = gzip.compress(files.getvalue())
    machine = _MACHINES.get(platform.machine(), platform.machine())
    rootfs = {"type": "layers", "diff_ids": [_digest(files.getvalue())]}
    config = json.dumps({"architecture": machine, "os": "linux", "config": {}, "rootfs": rootfs}).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": _described(_CONFIG, config),
        "layers": [_described(_LAYER, layer)],
    }
    body = json.dumps(manifest).encode()
    blobs = {f"/v2/{NAME}/blobs/{_digest(blob)}": ("application/octet-stream", blob) for blob in (config, layer)}
    manifests = {f"/v2/{NAME}/manifests/{reference}": (_MANIFEST, body) for reference in (TAG, _digest(body))}
    return {"/v2/": ("application/json", b"{}"), **blobs, **manifests}


def _described(kind: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": kind, "size": len(blob), "digest": _digest(blob)}


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"
