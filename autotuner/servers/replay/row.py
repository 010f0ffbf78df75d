"""One row of a table: (Config, load level, repeat) → what was measured. Its columns, and what is wrong with a row."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from autotuner.errors import Failure, StudyError
from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.metrics.registry import METRICS, find_metric
from autotuner.nearest import nearest_word
from autotuner.servers.replay.recorded import RecordedRequest

KEY = "launcher.table"
CONFIG = "config."  # what the columns of parameters start with
COLUMNS = ("load_kind", "level", "repeat", "status", "failure", "startup_s", "gpus", "requests")
_NEEDED = ("load_kind", "level", "status", "startup_s", "gpus")
_OK, _FAILED = "ok", "failed"
_EMPTY = (None, "")
_AT_START = frozenset({Failure.INVALID_CONFIG, Failure.OUT_OF_MEMORY_AT_START, Failure.STARTUP_TIMEOUT})
ConfigKey = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Row:
    """``number`` counts from 1. ``level`` is ``None`` where the launch failed before any."""

    number: int
    config: Mapping[str, Any]
    level: LoadLevel | None
    repeat: int
    failure: Failure | None
    startup_s: float
    gpus: int
    requests: tuple[RecordedRequest, ...]
    metrics: Mapping[str, float]

    @property
    def key(self) -> ConfigKey:
        return config_key(self.config)


def config_key(values: Mapping[str, Any]) -> ConfigKey:
    """Equal for Configs that are the same, whether their values come from a study or from a text file.

    A parameter without a value is as good as absent.
    """
    return tuple(sorted((name, canonical(value)) for name, value in values.items() if value not in _EMPTY))


def canonical(value: Any) -> str:
    """One text for ``16``, ``16.0`` and ``"16"``, for ``true`` and ``"true"``."""
    value = _as_value(value)
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(float(value))
    return json.dumps(value, sort_keys=True)


def check_columns(columns: Sequence[str]) -> None:
    """Raises StudyError for one that is missing or unknown, with the nearest."""
    known = [*COLUMNS, *(metric.column for metric in METRICS)]
    for column in columns:
        if not column.startswith(CONFIG) and column not in known:
            refuse(f"column {column!r}", "a column of a table", nearest_word(column, known))
    for column in _NEEDED:
        if column not in columns:
            refuse(f"column {column!r}", "is missing: a table has " + ", ".join(_NEEDED))
    if "requests" not in columns and not any(find_metric(column) for column in columns):
        refuse("its columns", "has raw requests (column requests) or metric columns, and this has neither")


def read_row(number: int, cells: Mapping[str, Any]) -> Row:
    """Raises StudyError that names row and column."""
    cell = _Cells(number, cells)
    failure = cell.failure()
    level = cell.level(may_lack=failure is not None)
    requests = () if failure is not None else cell.requests()
    metrics = {} if failure is not None or requests else cell.metrics()
    if failure is None and not requests and not metrics:
        cell.refuse("requests", None, "raw requests, or metrics in their columns")
    return Row(
        number=number,
        config={n.removeprefix(CONFIG): _as_value(v) for n, v in cells.items() if n.startswith(CONFIG)},
        level=level,
        repeat=cell.whole("repeat", default=0),
        failure=failure,
        startup_s=cell.number_of("startup_s"),
        gpus=cell.whole("gpus"),
        requests=requests,
        metrics=metrics,
    )


class _Cells:
    def __init__(self, number: int, cells: Mapping[str, Any]) -> None:
        self._number = number
        self._cells = cells

    def refuse(self, column: str, value: Any, rule: str, nearest: str | None = None) -> NoReturn:
        refuse(f"row {self._number}, column {column}", rule, nearest, value)

    def number_of(self, column: str) -> float:
        value = self._cells.get(column)
        found = as_number(value)
        if found is None or not math.isfinite(found) or found < 0:
            self.refuse(column, value, "a number from 0")
        return found

    def whole(self, column: str, default: int | None = None) -> int:
        value = self._cells.get(column)
        if value in _EMPTY and default is not None:
            return default
        found = self.number_of(column)
        if found != int(found):
            self.refuse(column, value, "a whole number from 0")
        return int(found)

    def failure(self) -> Failure | None:
        status, failure = self._cells.get("status"), self._cells.get("failure")
        if status not in (_OK, _FAILED):
            self.refuse("status", status, f"{_OK} or {_FAILED}", nearest_word(status, (_OK, _FAILED)))
        if (status == _FAILED) != (failure not in _EMPTY):
            self.refuse("failure", failure, "names the failure where status is failed, and nothing elsewhere")
        if status == _OK:
            return None
        try:
            return Failure(str(failure))
        except ValueError:
            known = [str(one) for one in Failure]
            self.refuse("failure", failure, f"one of {', '.join(known)}", nearest_word(failure, known))

    def level(self, *, may_lack: bool) -> LoadLevel | None:
        kind, level = self._cells.get("load_kind"), self._cells.get("level")
        if may_lack and level in _EMPTY:
            return None
        kinds = [str(one) for one in LoadKind]
        if kind not in kinds:
            self.refuse("load_kind", kind, f"one of {', '.join(kinds)}", nearest_word(kind, kinds))
        value = self.number_of("level")
        if value <= 0:
            self.refuse("level", level, "above 0")
        return LoadLevel(LoadKind(kind), value)

    def requests(self) -> tuple[RecordedRequest, ...]:
        given = self._cells.get("requests")
        if given in _EMPTY:
            return ()
        if isinstance(given, str):
            try:
                given = json.loads(given)
            except ValueError:
                self.refuse("requests", given[:40], "a list of [sent_s, ttft_s, e2e_s, output_tokens]")
        found = [self._request(index, one) for index, one in enumerate(given)]
        return tuple(sorted(found, key=lambda request: request.sent_s))

    def _request(self, index: int, given: Any) -> RecordedRequest:
        column = f"requests[{index}]"
        if not isinstance(given, Sequence) or isinstance(given, str) or len(given) != 4:
            self.refuse(column, given, "[sent_s, ttft_s, e2e_s, output_tokens]")
        sent_s, ttft_s, e2e_s, tokens = (as_number(value) for value in given)
        if sent_s is None or sent_s < 0 or (ttft_s is None) != (e2e_s is None):
            self.refuse(column, given, "sent_s from 0; ttft_s and e2e_s both, or both null where the request failed")
        if ttft_s is not None and e2e_s is not None and not 0 <= ttft_s <= e2e_s:
            self.refuse(column, given, "0 ≤ ttft_s ≤ e2e_s, both in seconds from the send")
        return RecordedRequest(sent_s, ttft_s, e2e_s, int(tokens or 0))

    def metrics(self) -> dict[str, float]:
        found = {}
        for column, value in self._cells.items():
            if find_metric(column) is not None and value not in _EMPTY:
                found[column] = self.number_of(column)
        return found


def refuse(where: str, rule: str, nearest: str | None = None, value: Any = None) -> NoReturn:
    hint = f"; did you mean {nearest!r}?" if nearest else ""
    shown = "" if value is None else f" {value!r:.60}:"
    raise StudyError(f"{KEY}: {where}:{shown} {rule}{hint}", key=KEY, value=where, rule=rule, nearest=nearest)


def is_at_start(row: Row) -> bool:
    """Whether the launch itself failed, and not one of its load points."""
    return row.failure is not None and (row.level is None or row.failure in _AT_START)


def _as_value(value: Any) -> Any:
    """What a text stands for, as files of text have it: a number, a truth value, a map, or itself."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def as_number(value: Any) -> float | None:
    """The number that a cell holds, or its text; ``None`` where it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return None if math.isnan(value) else float(value)
    try:
        return float(value) if isinstance(value, str) and value else None
    except ValueError:
        return None
