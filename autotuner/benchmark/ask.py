"""Single questions to a server, outside the load."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autotuner.benchmark.client.events import OUT_OF_TOKENS, StreamReader
from autotuner.benchmark.dialect import Dialect
from autotuner.benchmark.driver import Target
from autotuner.benchmark.http_question import HttpAnswer, http_question


@dataclass(frozen=True)
class Answer:
    """A whole answer: JSON where it is any, else text. ``status`` 0 stands for none at all, and says why.

    ``refused_certificate``: there was none because the server is not who its certificate says, for this machine.
    """

    status: int
    content: Any
    refused_certificate: bool = False

    def usage(self, name: str) -> int | None:
        if self.status != 200 or not isinstance(self.content, dict):
            return None
        value = (self.content.get("usage") or {}).get(name)
        return value if isinstance(value, int) else None

    @property
    def ran_out_of_tokens(self) -> bool:
        """Whether the server says that the answer is as long as it was asked to be."""
        try:
            return self.content["choices"][0]["finish_reason"] in OUT_OF_TOKENS
        except (KeyError, IndexError, TypeError):
            return False

    @property
    def text(self) -> str:
        return self.content if isinstance(self.content, str) else json.dumps(self.content)

    def __str__(self) -> str:
        return f"status {self.status}: {self.text[:300]}" if self.status else self.text[:300]


@dataclass(frozen=True)
class Prober:
    """Asks one server single questions with the API and the keys that the load will use."""

    target: Target
    api: str
    body: Mapping[str, Any]
    timeout_s: float

    def complete(self, prompt: str | Sequence[int], output_tokens: int, dialect: Dialect, **more: object) -> Answer:
        """Asks for a completion in one piece."""
        return self.ask("POST", self._path, self._completion(prompt, {**more, **self.body}, dialect, output_tokens))

    def stream(self, prompt: str, output_tokens: int, dialect: Dialect) -> tuple[Answer, StreamReader]:
        """Asks for a streamed completion; the answer's content is its text where that is no stream of events."""
        asked = self._completion(prompt, self.body, dialect, output_tokens, stream=True)
        answer = self._exchange("POST", self._path, asked)
        reader = StreamReader()
        if answer.status == 200:
            reader.feed(answer.body, 0.0)
            reader.close(0.0)
        return _read(answer), reader

    def ask(self, method: str, path: str, content: Mapping[str, Any] | None = None) -> Answer:
        """One request; whatever goes wrong on the way is an Answer of status 0 that says so."""
        return _read(self._exchange(method, path, content))

    @property
    def _path(self) -> str:
        return "/v1/chat/completions" if self.api == "chat" else "/v1/completions"

    def _completion(
        self,
        prompt: str | Sequence[int],
        keys: Mapping[str, object],
        dialect: Dialect,
        output_tokens: int,
        *,
        stream: bool = False,
    ) -> dict[str, object]:
        content: object = prompt if isinstance(prompt, str) else list(prompt)
        named = {"messages": [{"role": "user", "content": content}]} if self.api == "chat" else {"prompt": content}
        return {"model": self.target.served_name, **named, **keys, **dialect.keys(output_tokens, stream=stream)}

    def _exchange(self, method: str, path: str, content: Mapping[str, Any] | None) -> HttpAnswer:
        return http_question(
            method,
            self.target.urls[0].rstrip("/") + path,
            timeout_s=self.timeout_s,
            headers={"Content-Type": "application/json", **self.target.headers},
            body=json.dumps(content).encode() if content is not None else None,
            insecure=self.target.insecure,
        )


def _read(answer: HttpAnswer) -> Answer:
    if answer.status == 0:
        return Answer(0, answer.reason, answer.refused_certificate)
    try:
        return Answer(answer.status, json.loads(answer.body))
    except ValueError:
        return Answer(answer.status, answer.body.decode(errors="replace"))
