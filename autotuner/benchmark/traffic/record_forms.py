"""Forms in which people have prompts and traces: read in words of our own, or refused with what converts them."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from autotuner.benchmark.traffic.record_file import Record, RecordFile
from autotuner.errors import WorkloadError

Kind = Literal["dataset", "trace"]
Values = Mapping[str, Any]

_OTHER: Mapping[Kind, Kind] = {"dataset": "trace", "trace": "dataset"}
_OWN_KEYS: Mapping[Kind, str] = {
    "dataset": "prompt or messages, and output_tokens",
    "trace": "timestamp_s, input_tokens and output_tokens",
}
_ASKS, _ANSWERS = ("human", "user"), ("gpt", "assistant", "chatgpt", "bing", "bard", "model")
_BYTES_PER_TOKEN = 4  # of text, about: OpenAI's "What are tokens and how to count them"


@dataclass(frozen=True)
class Form:
    """``keys`` are those of each of its records; ``own`` gives a record in our words, ``None`` for one to leave out.

    ``told``: what people must know of it. ``left_out``: which records are.
    """

    name: str
    kind: Kind
    keys: frozenset[str]
    own: Callable[[Values], Values | None]
    told: str = ""
    left_out: str = ""


@dataclass(frozen=True)
class Refused:
    """A form that does not say all that is needed. ``filter`` is jq's, from one of its records to one of ours."""

    name: str
    kind: Kind
    keys: frozenset[str]
    missing: str
    filter: str


@dataclass(frozen=True)
class OwnRecords:
    """Records in our words: a dataset's prompts, or a trace's times and sizes. ``told``: what people must know."""

    records: Sequence[Record]
    told: tuple[str, ...] = ()


def own_records(file: RecordFile, kind: Kind) -> OwnRecords:
    """Raises WorkloadError for a file that can't be read, and for a form that is known not to say enough."""
    records = file.read()
    keys = frozenset(records[0].values)
    if _is_own(keys, kind):
        return OwnRecords(records)
    other = _OTHER[kind]
    form = next((form for form in (*_FORMS, *_REFUSED) if form.keys <= keys), None)
    if _is_own(keys, other) or (form is not None and form.kind == other):
        name = f"a {other}" if form is None or _is_own(keys, other) else form.name
        raise file.error(None, name, f"is no {kind}: give it as {{{other}: FILE}}")
    if form is None:
        raise _unknown(file, kind, records)
    if isinstance(form, Refused):
        raise _refusal(file, form, records[0])
    return _translated(form, records, file)


def _is_own(keys: frozenset[str], kind: Kind) -> bool:
    if kind == "trace":
        return keys >= {"timestamp_s", "input_tokens", "output_tokens"}
    return "output_tokens" in keys and not keys.isdisjoint({"prompt", "messages"})


def _translated(form: Form, records: Sequence[Record], file: RecordFile) -> OwnRecords:
    found = []
    for record in records:
        missing = form.keys - set(record.values)
        if missing:
            rule = f"a line of a {form.name} has {', '.join(sorted(form.keys))}"
            raise file.error(record.place, f"no {', '.join(sorted(missing))}", rule)
        own = form.own(record.values)
        if own is not None:
            found.append(Record(record.place, own))
    told = [f"{form.name}: {form.told}"] if form.told else []
    if len(found) < len(records):
        told.append(f"{form.name}: {len(records) - len(found)} of {len(records)} are left out: {form.left_out}")
    if not found:
        raise file.error(None, told[-1], "at least one that can be sent")
    return OwnRecords(found, tuple(told))


def _unknown(file: RecordFile, kind: Kind, records: Sequence[Record]) -> WorkloadError:
    """Unlike all that is known: what it has, and what it should."""
    first = records[0]
    wrapped = next((key for key, value in first.values.items() if isinstance(value, list)), None)
    if len(records) == 1 and wrapped is not None:
        unwrap = f"jq -c {shlex.quote(f'.{json.dumps(wrapped)}[]')} {shlex.quote(file.path)} > {_out(file)}"
        return file.error(None, f"one record that holds all under {wrapped!r}", f"a record a line: {unwrap}")
    return file.error(first.place, f"the keys {', '.join(first.values)}", f"a {kind}'s records have {_OWN_KEYS[kind]}")


def _out(file: RecordFile) -> str:
    return shlex.quote(Path(file.path).with_suffix(".own.jsonl").name)


def _refusal(file: RecordFile, form: Refused, first: Record) -> WorkloadError:
    every = ".[] | " if first.place.startswith("item") else ""
    command = f"jq -c {shlex.quote(every + form.filter)} {shlex.quote(file.path)} > {_out(file)}"
    return file.error(first.place, form.name, f"{form.missing}; convert it: {command}")


# ── what is read ──────────────────────────────────────────────────────────────────────────────


def _mooncake(values: Values) -> Values:
    """github.com/kvcache-ai/Mooncake, FAST25-release/traces: ``timestamp`` in milliseconds, ``hash_ids`` of blocks of
    512 tokens: as many as begin alike are shared.
    """
    at = values["timestamp"]
    return {
        "timestamp_s": at / 1000 if isinstance(at, int | float) and not isinstance(at, bool) else at,
        "input_tokens": values["input_length"],
        "output_tokens": values["output_length"],
        "hash_ids": values.get("hash_ids", []),
    }


def _burst(values: Values) -> Values | None:
    """github.com/HPMLL/BurstGPT: ``Timestamp`` in seconds; a request that failed has no response tokens."""
    sizes = {"input_tokens": values["Request tokens"], "output_tokens": values["Response tokens"]}
    return None if 0 in sizes.values() else {"timestamp_s": values["Timestamp"], **sizes}


def _azure(values: Values) -> Values | None:
    """github.com/Azure/AzurePublicDataset, AzureLLMInferenceTrace: dates in UTC."""
    at: Any = values["TIMESTAMP"]
    try:
        at = datetime.fromisoformat(at)
        at = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError):
        pass  # told where times are judged
    sizes = {"input_tokens": values["ContextTokens"], "output_tokens": values["GeneratedTokens"]}
    return None if 0 in sizes.values() else {"timestamp_s": at, **sizes}


def _vidur(values: Values) -> Values:
    """github.com/microsoft/vidur, data/processed_traces: ``arrived_at`` in seconds."""
    return {
        "timestamp_s": values["arrived_at"],
        "input_tokens": values["num_prefill_tokens"],
        "output_tokens": values["num_decode_tokens"],
    }


def _sharegpt(values: Values) -> Values | None:
    """The first question, as vLLM's and SGLang's benchmarks take it, for about as many tokens as its answer has."""
    turns = values["conversations"]
    pair = turns[:2] if isinstance(turns, list) else []
    if pair and isinstance(pair[0], dict) and _speaker(pair[0]) == "system":
        pair = turns[1:3]
    if len(pair) < 2 or not all(isinstance(turn, dict) for turn in pair):
        return None
    question, answer = (_said(turn, by) for turn, by in zip(pair, (_ASKS, _ANSWERS), strict=True))
    if not question or not answer:
        return None
    return {"prompt": question, "output_tokens": math.ceil(len(answer.encode(errors="replace")) / _BYTES_PER_TOKEN)}


def _speaker(turn: Values) -> Any:
    return turn.get("from", turn.get("role"))


def _said(turn: Values, by: Sequence[str]) -> str | None:
    """In the words of ShareGPT, or of OpenAI's messages, which its copies often have."""
    text = turn.get("value", turn.get("content"))
    return text if _speaker(turn) in by and isinstance(text, str) else None


_FORMS = (
    Form(
        "ShareGPT dataset",
        "dataset",
        frozenset({"conversations"}),
        _sharegpt,
        told="each first question is asked for as many tokens as its answer has bytes, divided by 4",
        left_out="they begin with no question and answer",
    ),
    Form(
        "Mooncake trace",
        "trace",
        frozenset({"timestamp", "input_length", "output_length"}),
        _mooncake,
    ),
    Form(
        "BurstGPT trace",
        "trace",
        frozenset({"Timestamp", "Request tokens", "Response tokens"}),
        _burst,
        left_out="they failed when they were recorded (0 tokens)",
    ),
    Form(
        "Azure LLM inference trace",
        "trace",
        frozenset({"TIMESTAMP", "ContextTokens", "GeneratedTokens"}),
        _azure,
        left_out="they have 0 tokens",
    ),
    Form("Vidur trace", "trace", frozenset({"arrived_at", "num_prefill_tokens", "num_decode_tokens"}), _vidur),
)

# ── what is not ───────────────────────────────────────────────────────────────────────────────

_LENGTH = "output_tokens: (.max_tokens // .max_completion_tokens // 128)"  # the most it may be, else a guess
_NO_LENGTH = "does not say how long answers are (output_tokens)"
_REFUSED = (
    Refused(
        "OpenAI batch requests",
        "dataset",
        frozenset({"custom_id", "body"}),
        "say how long answers may be, not how long they are",
        "{messages: .body.messages, output_tokens: (.body.max_completion_tokens // .body.max_tokens)}",
    ),
    Refused(
        "Alpaca instructions",
        "dataset",
        frozenset({"instruction", "output"}),
        _NO_LENGTH,
        "{prompt: .instruction, output_tokens: 128}",
    ),
    Refused("chat messages alone", "dataset", frozenset({"messages"}), _NO_LENGTH, f"{{messages, {_LENGTH}}}"),
    Refused("prompts alone", "dataset", frozenset({"prompt"}), _NO_LENGTH, f"{{prompt, {_LENGTH}}}"),
    Refused("texts alone", "dataset", frozenset({"text"}), _NO_LENGTH, f"{{prompt: .text, {_LENGTH}}}"),
    Refused(
        "a trace with a timestamp of no unit",
        "trace",
        frozenset({"timestamp", "input_tokens", "output_tokens"}),
        "seconds or milliseconds? (timestamp_s)",
        "{timestamp_s: .timestamp, input_tokens, output_tokens}",
    ),
)
