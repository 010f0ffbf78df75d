"""Short forms of SLOs as the maps they stand for, so that layers merge key by key: ``p90: 1s`` keeps a weight."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from autotuner.strict.durations import UnitError
from autotuner.study.sections.slo import LATENCIES, Statistic, spelled_out_metric, spelled_out_term

_SLO = "slo"
_STATISTICS: tuple[str, ...] = typing.get_args(Statistic)


def spelled_out(data: Mapping[str, Any]) -> dict[str, Any]:
    """A study's map with its SLOs in full. What has no good unit stays, to be refused when all is judged."""
    found = dict(data)
    if isinstance(slo := data.get(_SLO), dict):
        found[_SLO] = {name: _metric(value) if name in LATENCIES else value for name, value in slo.items()}
    return found


def spelled_out_override(keys: Sequence[str], value: Any) -> tuple[list[str], Any]:
    """Path and value of one override in full: of a short form the path of the limit itself."""
    if keys[0] != _SLO:
        return list(keys), value
    whole = value
    for key in reversed(keys):
        whole = {key: whole}
    rest: Any = spelled_out(whole)
    path: list[str] = []
    while isinstance(rest, dict) and (len(path) < len(keys) or isinstance(value, str)):
        ((key, rest),) = rest.items()
        path.append(key)
    return path, rest


def _metric(value: Any) -> Any:
    value = _tried(spelled_out_metric, value)
    if not isinstance(value, dict):
        return value
    return {name: _tried(spelled_out_term, one) if name in _STATISTICS else one for name, one in value.items()}


def _tried(read: Callable[[Any], Any], value: Any) -> Any:
    with suppress(UnitError):
        return read(value)
    return value
