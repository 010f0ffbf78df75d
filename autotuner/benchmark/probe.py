"""Asking a server, before the load: its model's name, what its API takes, how long its tokens are."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import urlsplit

from autotuner.benchmark.driver import Target
from autotuner.benchmark.sizing import WORDS, Sizing, TextSizing, TokenIdSizing
from autotuner.engines.engine import RequestFeatures
from autotuner.errors import InfrastructureError, WorkloadError

_PROBE_IDS = 8
_PROBE_WORDS = ((16, 64), (4, 16))  # the smaller pair for servers with very little context
_FORCED_TOKENS = 16
_MAX_ADDED_IDS = 4


@dataclass(frozen=True)
class Answer:
    """A plain (not streamed) answer; ``status`` 0 stands for none at all."""

    status: int
    content: Any

    def usage(self, name: str) -> int | None:
        if self.status != 200 or not isinstance(self.content, dict):
            return None
        value = (self.content.get("usage") or {}).get(name)
        return value if isinstance(value, int) else None


@dataclass(frozen=True)
class Prober:
    """Asks one server single questions with the API and the keys that the load will use."""

    target: Target
    api: str
    body: Mapping[str, Any]
    timeout_s: float

    def complete(self, prompt: str | Sequence[int], max_tokens: int, **more: object) -> Answer:
        asked: dict[str, Any] = {"model": self.target.served_name, "max_tokens": max_tokens, **more}
        if self.api == "chat":
            asked["messages"] = [{"role": "user", "content": prompt}]
        else:
            asked["prompt"] = prompt if isinstance(prompt, str) else list(prompt)
        path = "/v1/chat/completions" if self.api == "chat" else "/v1/completions"
        return self.ask("POST", path, {**asked, **self.body, "stream": False})

    def ask(self, method: str, path: str, content: Mapping[str, Any] | None = None) -> Answer:
        """One request; whatever goes wrong on the way is an Answer of status 0 that says so."""
        parts = urlsplit(self.target.urls[0])
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        try:
            connection = kind(parts.hostname or "", parts.port, timeout=self.timeout_s)
            try:
                data = json.dumps(content) if content is not None else None
                headers = {"Content-Type": "application/json", "Connection": "close", **self.target.headers}
                connection.request(method, parts.path.rstrip("/") + path, data, headers)
                response = connection.getresponse()
                return Answer(response.status, _json(response.read()))
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Answer(0, str(error))


def find_sizing(prober: Prober, seed: int) -> Sizing:
    """What prompts are to be made of: token ids where the server takes them, else words sized by its usage.

    A server that does not answer gets words of one token: the load itself will tell what is wrong.
    """
    features = prober.target.features
    if features.token_ids and prober.api == "completions":
        first, end = features.token_id_range
        ids = Random(f"{seed} probe ids").choices(range(first, end), k=_PROBE_IDS)  # noqa: S311
        answer = prober.complete(ids, 1)
        if answer.status == 0:
            return TextSizing()
        seen = answer.usage("prompt_tokens")
        if seen is not None and 0 <= seen - _PROBE_IDS <= _MAX_ADDED_IDS:
            return TokenIdSizing(first, end, seen - _PROBE_IDS)
    return _word_sizing(prober, seed)


def _word_sizing(prober: Prober, seed: int) -> TextSizing:
    for pair in _PROBE_WORDS:
        counts = []
        for words in pair:
            text = " ".join(Random(f"{seed} probe {words}").choices(WORDS, k=words))  # noqa: S311
            answer = prober.complete(text, 1)
            if answer.status == 0:
                return TextSizing()
            counts.append(answer.usage("prompt_tokens"))
        low, high = counts
        if low is not None and high is not None and high > low:
            per_word = (high - low) / (pair[1] - pair[0])
            return TextSizing(per_word, low - pair[0] * per_word)
    return TextSizing()


def discover_target(
    url: str, *, api: str, model: str | None, headers: Mapping[str, str], timeout_s: float = 30.0
) -> Target:
    """A Target for a server that nothing is known about: its first model, and what its API takes.

    Raises WorkloadError for what is no URL, InfrastructureError when the server does not answer.
    """
    base = url.rstrip("/").removesuffix("/v1")
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise WorkloadError(f"url: {url!r}: http:// or https:// and a host", key="url", value=url)
    unknown = RequestFeatures(token_ids=True, ignore_eos=False)
    name = model or _first_model(Prober(Target((base,), "", unknown, headers), api, {}, timeout_s))
    prober = Prober(Target((base,), name, unknown, headers), api, {}, timeout_s)
    forced = {"ignore_eos": True, "min_tokens": _FORCED_TOKENS}
    takes_both = prober.complete(WORDS[0], _FORCED_TOKENS, **forced).status == 200
    answer = prober.complete(WORDS[0], _FORCED_TOKENS, ignore_eos=True)
    forces = answer.usage("completion_tokens") == _FORCED_TOKENS
    features = RequestFeatures(token_ids=api == "completions", ignore_eos=forces, min_tokens=forces and takes_both)
    return Target((base,), name, features, dict(headers))


def _first_model(prober: Prober) -> str:
    answer = prober.ask("GET", "/v1/models")
    if answer.status == 0:
        raise InfrastructureError(f"{prober.target.urls[0]} does not answer: {answer.content}")
    try:
        return str(answer.content["data"][0]["id"])
    except (KeyError, IndexError, TypeError) as error:
        text = f"{prober.target.urls[0]}/v1/models names no model (status {answer.status}); give its name"
        raise InfrastructureError(text) from error


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode(errors="replace")
