"""JSONL files of real prompts (dataset) and of timestamped request sizes (trace)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from autotuner.benchmark.scenario import Shape
from autotuner.errors import WorkloadError


@dataclass(frozen=True)
class PromptSet:
    """Prompts of a dataset, in an order drawn from the seed; after the last one the first comes again."""

    shapes: tuple[Shape, ...]

    def shape(self, rng: Random, index: int, position: int) -> Shape:
        return self.shapes[position % len(self.shapes)]

    @property
    def most_output_tokens(self) -> int:
        return max(shape.output_tokens for shape in self.shapes)


@dataclass(frozen=True)
class SizeTrace:
    """Request sizes and times (seconds, ascending) in the order of a trace."""

    timestamps_s: tuple[float, ...]
    shapes: tuple[Shape, ...]

    def shape(self, rng: Random, index: int, position: int) -> Shape:
        return self.shapes[index % len(self.shapes)]

    @property
    def most_output_tokens(self) -> int:
        return max(shape.output_tokens for shape in self.shapes)


def read_dataset(path: str, seed: int, key: str = "workload.scenario.dataset") -> PromptSet:
    """Reads ``{"prompt": …}`` or ``{"messages": [{role, content}, …]}`` with ``output_tokens``, a line each.

    Raises WorkloadError with the line's number.
    """
    shapes = [_prompt_shape(line, f"{key} line {number}") for number, line in _lines(path, key)]
    Random(f"{seed} dataset").shuffle(shapes)  # noqa: S311
    return PromptSet(tuple(shapes))


def read_trace(path: str, key: str = "workload.scenario.trace") -> SizeTrace:
    """Reads ``{"timestamp_s": …, "input_tokens": …, "output_tokens": …}``, a line each.

    Raises WorkloadError with the line's number.
    """
    times: list[float] = []
    shapes = []
    for number, line in _lines(path, key):
        where = f"{key} line {number}"
        at = line.get("timestamp_s")
        if isinstance(at, bool) or not isinstance(at, int | float) or not 0 <= at < float("inf"):
            raise _error(where, at, "timestamp_s is a number of seconds from 0")
        if times and at < times[-1]:
            raise _error(where, at, "timestamp_s never falls")
        times.append(float(at))
        shapes.append(Shape(_count(line, "input_tokens", where), _count(line, "output_tokens", where)))
    return SizeTrace(tuple(times), tuple(shapes))


def _lines(path: str, key: str) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise _error(key, path, f"a JSONL file that can be read ({reason})") from error
    found = False
    for number, raw in enumerate(text.splitlines(), start=1):
        if not raw.strip():
            continue
        found = True
        try:
            line = json.loads(raw)
        except json.JSONDecodeError as error:
            raise _error(f"{key} line {number}", raw[:80], f"one JSON object a line ({error.msg})") from error
        if not isinstance(line, dict):
            raise _error(f"{key} line {number}", raw[:80], "one JSON object a line")
        yield number, line
    if not found:
        raise _error(key, path, "a JSONL file with at least one line")


def _prompt_shape(line: dict[str, Any], where: str) -> Shape:
    output_tokens = _count(line, "output_tokens", where)
    prompt, messages = line.get("prompt"), line.get("messages")
    if isinstance(prompt, str) and prompt and messages is None:
        return Shape(0, output_tokens, prompt)
    if prompt is None and isinstance(messages, list) and messages and all(_is_message(m) for m in messages):
        return Shape(0, output_tokens, tuple((m["role"], m["content"]) for m in messages))
    raise _error(where, sorted(line), "either prompt (text) or messages (a list of {role, content})")


def _is_message(message: object) -> bool:
    return (
        isinstance(message, dict) and isinstance(message.get("role"), str) and isinstance(message.get("content"), str)
    )


def _count(line: dict[str, Any], name: str, where: str) -> int:
    value = line.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _error(where, value, f"{name} is a whole number from 1")
    return value


def _error(key: str, value: object, rule: str) -> WorkloadError:
    return WorkloadError(f"{key}: {value!r}: {rule}", key=key, value=value, rule=rule)
