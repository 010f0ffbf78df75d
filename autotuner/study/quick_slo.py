"""SLOs in a line, as they are given on the command line: ``ttft.p90=300ms``."""

from __future__ import annotations

import typing
from collections.abc import Sequence

from autotuner.errors import InputError
from autotuner.strict.durations import UnitError, read_milliseconds, read_share
from autotuner.strict.problem import nearest_name
from autotuner.study.sections.slo import LATENCIES, Statistic

_STATISTICS: tuple[str, ...] = typing.get_args(Statistic)
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
    try:
        return read_milliseconds(text)
    except UnitError as error:
        raise _error(f"{key}={text}", text, error.rule, error.nearest, key) from None


def _term(name: str, text: str) -> tuple[str, str]:
    metric, _, statistic = name.partition(".")
    known = [f"{one}.{other}" for one in LATENCIES for other in _STATISTICS]
    if metric in LATENCIES and statistic in _STATISTICS:
        return metric, statistic
    rule = f"a metric ({', '.join(LATENCIES)}), a dot and a statistic ({', '.join(_STATISTICS)}), or {_ERROR_RATE}"
    raise _error(text, name, rule, nearest_name(name, [*known, _ERROR_RATE]))


def _share(value: str, text: str) -> float:
    try:
        return read_share(value)
    except UnitError as error:
        raise _error(text, value, error.rule, None) from None


def _error(text: str, value: str, rule: str, nearest: str | None, key: str = "slo") -> InputError:
    hint = f"; did you mean {nearest!r}?" if nearest else ""
    return InputError(
        f"--slo {text.removeprefix('slo ')}: {rule}{hint}", key=key, value=value, rule=rule, nearest=nearest
    )
