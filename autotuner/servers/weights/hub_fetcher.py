"""Fetches one model of a hub into its cache, in a process of its own: its environment says which hub, cache and token.

Imports nothing of this package, so that it can be started by path. Its last line on standard output is a JSON object:
``kind`` (``fetched``, ``refused``: the hub has no such model for us, or ``fault``), ``message`` and ``path``. What it
does is told on standard error. It ends when its standard input does: nobody waits for it any more::

    python -P autotuner/servers/weights/hub_fetcher.py org/model --revision main
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any

# What no server here loads: weights of other frameworks, and copies in the format that they were trained in.
_UNUSED = ("original/*", "*.pth", "*.gguf", "*.h5", "*.msgpack", "*.ot", "*.onnx", "onnx/*", "openvino/*", "*.tflite")
_OLD = ("*.bin", "*.pt")  # beside safetensors
_MESSAGE_CHARACTERS = 600
_REFUSED = (401, 403, 404)
_TOLD_EVERY_S = 10.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--revision")
    parser.add_argument("--cache-dir")
    arguments = parser.parse_args()
    threading.Thread(target=_end_with_input, daemon=True).start()
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        path = _fetch(arguments.model, arguments.revision, arguments.cache_dir)
    except Exception as error:  # noqa: BLE001  # of several libraries; told in the words of the hub
        _tell(f"{arguments.model}: {error}")
        kind = "refused" if _is_refused(error) else "fault"
        print(json.dumps({"kind": kind, "message": _words(error)}))  # noqa: T201
        return 1
    print(json.dumps({"kind": "fetched", "message": "", "path": path}))  # noqa: T201
    return 0


def unused_files(files: Iterable[str] | None) -> list[str]:
    """Patterns of the files of a model that need not be fetched; of those in a cache where ``files`` are not known."""
    has_safetensors = files is None or any(name.endswith(".safetensors") for name in files)
    return [*_UNUSED, *(_OLD if has_safetensors else ())]


def _fetch(model: str, revision: str | None, cache_dir: str | None) -> str:
    from huggingface_hub import snapshot_download

    began = time.monotonic()
    _tell(f"{model}: looking for it")
    with _Heartbeat(model):
        path = snapshot_download(
            model, revision=revision, cache_dir=cache_dir, ignore_patterns=unused_files(_files(model, revision))
        )
    _tell(f"{model}: is in {path} after {time.monotonic() - began:.1f} s")
    return str(path)


def _files(model: str, revision: str | None) -> list[str] | None:
    """Names of the model's files; ``None`` where the hub can't be asked: the cache may do."""
    from huggingface_hub import HfApi

    try:
        return [one.rfilename for one in HfApi().model_info(model, revision=revision).siblings or ()]
    except Exception as error:
        if _is_refused(error):
            raise
        return None


class _Heartbeat:
    """Says now and then that it still goes on."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._ended = threading.Event()

    def __enter__(self) -> None:
        threading.Thread(target=self._beat, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def _beat(self) -> None:
        began = time.monotonic()
        while not self._ended.wait(_TOLD_EVERY_S):
            _tell(f"{self._model}: fetching for {time.monotonic() - began:.0f} s")


def _is_refused(error: Any) -> bool:
    """Whether another try, or another node, would hear the same."""
    from huggingface_hub.errors import HFValidationError

    status = getattr(getattr(error, "response", None), "status_code", None)
    return status in _REFUSED or isinstance(error, HFValidationError)


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:_MESSAGE_CHARACTERS] or type(error).__name__


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def _end_with_input() -> None:
    while os.read(0, 4096):  # not by sys.stdin, whose lock would be held when the interpreter ends
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
