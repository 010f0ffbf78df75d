"""Files of real prompts (dataset) and of timestamped request sizes (trace)."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from autotuner.benchmark.traffic.record_file import Record, RecordFile
from autotuner.benchmark.traffic.record_forms import own_records
from autotuner.benchmark.traffic.scenario import MOST_TOKENS, Shape

_LATEST_S = 1e11  # the year 5138: a larger number is milliseconds, or less, since 1970


@dataclass(frozen=True)
class PromptSet:
    """Prompts of a dataset, in an order drawn from the seed; after the last one the first comes again.

    ``told``: what people must know of how they were read.
    """

    shapes: tuple[Shape, ...]
    told: tuple[str, ...] = ()

    def shape(self, rng: Random, index: int, position: int) -> Shape:
        return self.shapes[position % len(self.shapes)]

    @property
    def most_output_tokens(self) -> int:
        return max(shape.output_tokens for shape in self.shapes)


@dataclass(frozen=True)
class SizeTrace:
    """Request sizes and times in the order of a trace; seconds since the first, ascending. ``told`` as of PromptSet."""

    timestamps_s: tuple[float, ...]
    shapes: tuple[Shape, ...]
    told: tuple[str, ...] = ()

    def shape(self, rng: Random, index: int, position: int) -> Shape:
        return self.shapes[index % len(self.shapes)]

    @property
    def most_output_tokens(self) -> int:
        return max(shape.output_tokens for shape in self.shapes)


def read_dataset(path: str, seed: int, key: str = "workload.scenario.dataset") -> PromptSet:
    """Reads ``{"prompt": …}`` or ``{"messages": [{role, content}, …]}`` with ``output_tokens``, a line each, or
    another form that ``record_forms`` knows.

    Raises WorkloadError with the file, the line and what was found.
    """
    file = RecordFile(path, key)
    own = own_records(file, "dataset")
    shapes = [_prompt_shape(record, file) for record in own.records]
    Random(f"{seed} dataset").shuffle(shapes)  # noqa: S311
    return PromptSet(tuple(shapes), own.told)


def read_trace(path: str, key: str = "workload.scenario.trace") -> SizeTrace:
    """Reads ``{"timestamp_s": …, "input_tokens": …, "output_tokens": …}``, a line each, or another form that
    ``record_forms`` knows. Times are relative to the first, which may be seconds since 1970; ``hash_ids`` may say what
    the prompts share.

    Raises WorkloadError with the file, the line and what was found.
    """
    file = RecordFile(path, key)
    own = own_records(file, "trace")
    times = [_time(record, file) for record in own.records]
    for record, before, at in zip(own.records[1:], times, times[1:], strict=False):
        if at < before:
            raise file.error(record.place, at, f"timestamp_s never falls, and the line before has {before:g}: sort it")
    shapes = [
        Shape(_count(one, "input_tokens", file), _count(one, "output_tokens", file), blocks=_blocks(one, file))
        for one in own.records
    ]
    return SizeTrace(tuple(at - times[0] for at in times), tuple(shapes), own.told)


def _time(record: Record, file: RecordFile) -> float:
    at = record.values.get("timestamp_s")
    if isinstance(at, bool) or not isinstance(at, int | float) or not 0 <= at < float("inf"):
        raise file.error(record.place, at, "timestamp_s is a number of seconds from 0")
    if at > _LATEST_S:
        raise file.error(record.place, at, f"timestamp_s is in seconds: divide it by 1000, as {at / 1000:.3f}")
    return float(at)


def _prompt_shape(record: Record, file: RecordFile) -> Shape:
    values = record.values
    output_tokens = _count(record, "output_tokens", file)
    prompt, messages = values.get("prompt"), values.get("messages")
    if isinstance(prompt, str) and prompt and messages is None:
        return Shape(0, output_tokens, prompt)
    if prompt is None and isinstance(messages, list) and messages and all(_is_message(m) for m in messages):
        return Shape(0, output_tokens, tuple((m["role"], m["content"]) for m in messages))
    rule = "either prompt (text) or messages (a list of {role, content})"
    raise file.error(record.place, f"keys {', '.join(sorted(values))}", rule)


def _is_message(message: object) -> bool:
    return (
        isinstance(message, dict) and isinstance(message.get("role"), str) and isinstance(message.get("content"), str)
    )


def _blocks(record: Record, file: RecordFile) -> tuple[int, ...]:
    ids = record.values.get("hash_ids", [])
    if not isinstance(ids, list) or not all(isinstance(one, int) and not isinstance(one, bool) for one in ids):
        raise file.error(record.place, ids, "hash_ids is a list of whole numbers")
    return tuple(ids)


def _count(record: Record, name: str, file: RecordFile) -> int:
    value: Any = record.values.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise file.error(record.place, value, f"{name} is a whole number from 1")
    if value > MOST_TOKENS:
        raise file.error(record.place, value, f"token counts are at most {MOST_TOKENS:,}")
    return value
