"""SLOs in a line, as they are given on the command line: ``ttft.p90=300ms``."""

from __future__ import annotations

import re
import typing
from collections.abc import Sequence

from autotuner.errors import InputError
from autotuner.study._problem import nearest_name
from autotuner.study.slo_sections import LATENCIES, Statistic

_STATISTICS: tuple[str, ...] = typing.get_args(Statistic)
_UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0, "min": 60_000.0}
_DURATION = re.compile(r"(?P<number>[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*(?P<unit>[A-Za-z]*)")
_ERROR_RATE = "error_rate"


def read_slos(texts: Sequence[str]) -> dict[str, typing.Any]:
    """The ``slo`` section that ``METRIC.STATISTIC=DURATION`` texts ask for, and ``error_rate=SHARE``.

    ``ttft.p90=300ms`` is ``{ttft: {p90: {threshold_ms: 300}}}``. Raises InputError.
    """
    section: dict[str, typing.Any] = {}
    for text in texts:
        name, sign, value = (part.strip() for part in text.partition("="))
        if not sign or not value:
            raise _error(text, text, "METRIC.STATISTIC=DURATION, as ttft.p90=300ms", None)
        if name == _ERROR_RATE:
            section[name] = _share(value, text)
            continue
        metric, statistic = _term(name, text)
        terms = section.setdefault(metric, {})
        if statistic in terms:
            raise _error(text, name, "each limit once", None)
        terms[statistic] = {"threshold_ms": milliseconds(value, f"slo {name}")}
    return section


def milliseconds(text: str, key: str) -> float:
    """A duration with its unit (us, ms, s, m) in milliseconds. Raises InputError that names ``key``."""
    found = _DURATION.fullmatch(text)
    rule = "a duration above 0 with its unit, as 300ms, 0.5s or 2s"
    if found is None or not found["unit"]:
        nearest = f"{text}ms" if found is not None else None
        raise _error(f"{key}={text}", text, rule, nearest, key)
    unit = found["unit"] if found["unit"] in _UNITS_MS else found["unit"].lower()
    if unit not in _UNITS_MS:
        nearest = nearest_name(unit, _UNITS_MS)
        raise _error(f"{key}={text}", text, rule, f"{found['number']}{nearest}" if nearest else None, key)
    value = float(found["number"]) * _UNITS_MS[unit]
    if not 0 < value < float("inf"):
        raise _error(f"{key}={text}", text, rule, None, key)
    return round(value, 6)


def _term(name: str, text: str) -> tuple[str, str]:
    metric, _, statistic = name.partition(".")
    known = [f"{one}.{other}" for one in LATENCIES for other in _STATISTICS]
    if metric in LATENCIES and statistic in _STATISTICS:
        return metric, statistic
    rule = f"a metric ({', '.join(LATENCIES)}), a dot and a statistic ({', '.join(_STATISTICS)}), or {_ERROR_RATE}"
    raise _error(text, name, rule, nearest_name(name, [*known, _ERROR_RATE]))


def _share(value: str, text: str) -> float:
    try:
        share = float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise _error(text, value, "a share from 0 to 1, or a percentage, as 0.01 or 1%", None)
    return share


def _error(text: str, value: str, rule: str, nearest: str | None, key: str = "slo") -> InputError:
    hint = f"; did you mean {nearest!r}?" if nearest else ""
    return InputError(
        f"--slo {text.removeprefix('slo ')}: {rule}{hint}", key=key, value=value, rule=rule, nearest=nearest
    )
