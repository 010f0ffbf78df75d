"""What is found out about a server before the load: its model's name, what its API takes, how long its tokens are."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from urllib.parse import urlsplit

from autotuner.benchmark.ask import Answer, Prober
from autotuner.benchmark.dialect import Dialect
from autotuner.benchmark.driver import Target
from autotuner.benchmark.http_question import STARTING
from autotuner.benchmark.traffic.sizing import WORDS, Sizing, TextSizing, TokenIdSizing
from autotuner.engines.engine import RequestFeatures
from autotuner.errors import InfrastructureError, WorkloadError

_PROBE_IDS = 8
_PROBE_WORDS = ((16, 64), (4, 16))  # the smaller pair for servers with very little context
_PROBE_TOKENS = 16
_MAX_ADDED_IDS = 4
_POLL_S = 0.5
_WARMING_S = 60.0  # a server that says that it is starting is waited for so long, whatever was asked for


@dataclass(frozen=True)
class ServerApi:
    """What a server's API takes, and what prompts for it are made of."""

    dialect: Dialect
    features: RequestFeatures
    sizing: Sizing


def find_api(prober: Prober, seed: int, output_tokens: int) -> ServerApi:
    """Asks a server what the load must know; ``output_tokens`` is as long as its answers will be.

    Of an engine that is known only how long its tokens are; of a server that does not answer nothing: the load itself
    will tell what is wrong.
    """
    dialect, features = Dialect(), prober.target.features
    if not prober.target.is_known:
        answer, dialect = find_dialect(prober)
        if answer.status == 0:
            return ServerApi(dialect, features, TextSizing())
        features = find_features(prober, dialect, output_tokens)
    return ServerApi(dialect, features, find_sizing(prober, seed, dialect))


def find_sizing(prober: Prober, seed: int, dialect: Dialect) -> Sizing:
    """What prompts are to be made of: token ids where the server takes them, else words sized by its usage.

    A server that does not answer gets words of one token.
    """
    features = prober.target.features
    if features.token_ids and prober.api == "completions":
        first, end = features.token_id_range
        ids = Random(f"{seed} probe ids").choices(range(first, end), k=_PROBE_IDS)  # noqa: S311
        answer = prober.complete(ids, 1, dialect)
        if answer.status == 0:
            return TextSizing()
        seen = answer.usage("prompt_tokens")
        if seen is not None and 0 <= seen - _PROBE_IDS <= _MAX_ADDED_IDS:
            return TokenIdSizing(first, end, seen - _PROBE_IDS)
    return _word_sizing(prober, seed, dialect)


def _word_sizing(prober: Prober, seed: int, dialect: Dialect) -> TextSizing:
    for pair in _PROBE_WORDS:
        counts = []
        for words in pair:
            text = " ".join(Random(f"{seed} probe {words}").choices(WORDS, k=words))  # noqa: S311
            answer = prober.complete(text, 1, dialect)
            if answer.status == 0:
                return TextSizing()
            counts.append(answer.usage("prompt_tokens"))
        low, high = counts
        if low is not None and high is not None and high > low:
            per_word = (high - low) / (pair[1] - pair[0])
            return TextSizing(per_word, low - pair[0] * per_word)
    return TextSizing()


def find_dialect(prober: Prober) -> tuple[Answer, Dialect]:
    """How the server wants to be asked, and how its tokens can be counted, from one or a few short streams.

    What a server refuses by name is left out, or called as it wants. Where its streams tell no token count, a plain
    answer to the same question is compared: so many tokens came in so many chunks.
    """
    dialect = Dialect()
    answer, stream = prober.stream(WORDS[0], _PROBE_TOKENS, dialect)
    while answer.status in (400, 422) and (other := _as_asked(dialect, answer.text)) is not None:
        dialect = other
        answer, stream = prober.stream(WORDS[0], _PROBE_TOKENS, dialect)
    if answer.status == 200 and stream.chunks and not stream.output_tokens:
        plain = prober.complete(WORDS[0], _PROBE_TOKENS, dialect)
        tokens = plain.usage("completion_tokens")
        if tokens and tokens >= len(stream.chunks):
            dialect = dataclasses.replace(dialect, tokens_per_chunk=tokens / len(stream.chunks))
    return answer, dialect


def _as_asked(dialect: Dialect, refusal: str) -> Dialect | None:
    """The dialect with what the server's refusal names mended; ``None`` where it names nothing that can be."""
    if dialect.stream_options and "stream_options" in refusal:
        return dataclasses.replace(dialect, stream_options=False)
    if dialect.length_key == "max_tokens" and "max_completion_tokens" in refusal:
        return dataclasses.replace(dialect, length_key="max_completion_tokens")
    return None


def find_features(prober: Prober, dialect: Dialect, output_tokens: int) -> RequestFeatures:
    """What a server that nothing is known about takes: whether answers can be forced to a length, above all.

    It is asked for ``output_tokens`` tokens, as the load will ask: a server that honours no ``ignore_eos`` may well
    get to 16, and stop at 40.
    """
    features = prober.target.features
    for keys in ({"ignore_eos": True, "min_tokens": output_tokens}, {"ignore_eos": True}):
        answer = prober.complete(WORDS[0], output_tokens, dialect, **keys)
        if answer.status == 200:
            forces = _is_as_long(answer, output_tokens)
            return dataclasses.replace(features, ignore_eos=forces, min_tokens=forces and "min_tokens" in keys)
        if answer.status == 0:
            break
    return dataclasses.replace(features, ignore_eos=False, min_tokens=False)


def _is_as_long(answer: Answer, output_tokens: int) -> bool:
    tokens = answer.usage("completion_tokens")
    return answer.ran_out_of_tokens if tokens is None else tokens == output_tokens


def discover_target(
    url: str,
    *,
    api: str,
    model: str | None,
    headers: Mapping[str, str],
    insecure: bool = False,
    wait_s: float = 0.0,
    timeout_s: float = 30.0,
    waiting: Callable[[str], None] | None = None,
) -> Target:
    """A Target for a server that nothing is known about, with the name of its first model.

    A server that is starting, or for ``wait_s`` seconds one that is not there yet, is waited for. Raises WorkloadError
    for what is no URL, InfrastructureError when the server does not answer.
    """
    base = url.rstrip("/").removesuffix("/v1")
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise WorkloadError(f"url: {url!r}: http:// or https:// and a host", key="url", value=url)
    unknown = RequestFeatures(token_ids=api == "completions", ignore_eos=True)
    target = Target((base,), model or "", unknown, dict(headers), insecure=insecure, is_known=False)
    answer = _when_ready(Prober(target, api, {}, timeout_s), wait_s, waiting)
    return target if model else dataclasses.replace(target, served_name=_first_model(base, answer))


def _when_ready(prober: Prober, wait_s: float, waiting: Callable[[str], None] | None) -> Answer:
    """The server's answer to what it serves, once it says something other than that it is starting."""
    base, started = prober.target.urls[0], time.monotonic()
    told = False
    while True:
        answer = prober.ask("GET", "/v1/models")
        patience_s = max(wait_s, _WARMING_S) if answer.status in STARTING else wait_s
        is_there = answer.status != 0 and answer.status not in STARTING
        if is_there:
            return answer
        if answer.refused_certificate:
            text = f"{base}: {answer}; --insecure takes it as it is (launcher.insecure: true in a study)"
            raise InfrastructureError(text)
        if time.monotonic() - started >= patience_s:
            raise InfrastructureError(f"{base} does not answer: {answer}")
        if not told and waiting is not None:
            waiting(f"{base} is not ready ({answer}): waiting up to {patience_s:g} s")
            told = True
        time.sleep(_POLL_S)


def _first_model(base: str, answer: Answer) -> str:
    try:
        return str(answer.content["data"][0]["id"])
    except (KeyError, IndexError, TypeError) as error:
        text = f"{base}/v1/models names no model ({answer}); give its name"
        raise InfrastructureError(text) from error
