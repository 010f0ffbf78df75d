"""Keys of a request that the load driver sets itself: ``extra_body`` can't have them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from autotuner.strict.problem import Problem, study_error

_LENGTH = "output tokens come from the scenario"
_CONTENT = "prompts come from the scenario, {dataset: FILE} for those of a file"
_SCENARIO, _MODEL = "workload.scenario", "model.served_name"


@dataclass(frozen=True)
class _Set:
    """Why a key is set already, and the key of a study that is meant."""

    reason: str
    meant: str | None = None


_SET_ALREADY: Mapping[str, _Set] = MappingProxyType(
    {
        "stream": _Set("every answer is streamed: the times of its tokens are measured"),
        "stream_options": _Set("a stream's token counts are asked for already"),
        "max_tokens": _Set(_LENGTH, _SCENARIO),
        "max_completion_tokens": _Set(_LENGTH, _SCENARIO),
        "n_predict": _Set(_LENGTH, _SCENARIO),  # llama-server's own
        "messages": _Set(_CONTENT, _SCENARIO),
        "prompt": _Set(_CONTENT, _SCENARIO),
        "model": _Set("the model's name in requests is given once for all", _MODEL),
    }
)


def extra_body_problems(
    body: Mapping[str, Any],
    key: str = "workload.extra_body",
    meant: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Problem]:
    """``meant``: how a key of studies is called where ``body`` comes from, ``--model`` for ``model.served_name``."""
    for name, value in body.items():
        if (known := _SET_ALREADY.get(name)) is not None:
            nearest = None if known.meant is None else meant.get(known.meant, known.meant)
            yield Problem(f"{key}.{name}", value, f"can't be set: {known.reason}", nearest)


def refuse_set_already(body: Mapping[str, Any], key: str, meant: Mapping[str, str] = MappingProxyType({})) -> None:
    """Raises StudyError for keys that ``extra_body`` can't have."""
    if problems := list(extra_body_problems(body, key, meant)):
        raise study_error(problems)
