"""How figures, tables and the terminal write numbers, Configs and other people's text."""

from __future__ import annotations

import html
import json
import math
import textwrap
from collections.abc import Mapping
from typing import Any

from autotuner.scoring.select import Choice

_LONGEST_VALUE = 60


def number(value: float | None) -> str:
    """Four significant digits, thousands set apart; a dash for nothing."""
    if value is None or math.isnan(value):
        return "–"
    if value == 0:
        return "0"
    size = abs(value)
    if math.isinf(value) or size >= 1e9 or size < 1e-3:
        return f"{value:.3g}"
    decimals = max(0, 3 - math.floor(math.log10(size)))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def duration(seconds: float) -> str:
    """Seconds as people say them: ``48 s``, ``3 min 20 s``, ``2 h 05 min``."""
    whole = round(max(0.0, seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def percent(ratio: float) -> str:
    """A ratio to one as a signed change: 1.34 → ``+34 %``."""
    change = (ratio - 1) * 100
    digits = 0 if abs(change) >= 10 else 1
    return f"{change:+,.{digits}f}\N{NO-BREAK SPACE}%".replace("-", "−")


def value_text(value: Any, longest: int = _LONGEST_VALUE) -> str:
    """One Config value: text as it is, all else as JSON, shortened."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def violations_text(choice: Choice) -> str:
    """``ttft_p90_ms (+540 %), tpot_mean_ms (+12 %)``: where it is of several load points, the worst of each metric."""
    worst: dict[str, float] = {}
    for violation in choice.violations:
        worst[violation.metric] = max(violation.ratio, worst.get(violation.metric, 0.0))
    told = "" if choice.level is not None else "at worst "
    return ", ".join(f"{metric} ({told}{percent(1 + ratio)})" for metric, ratio in worst.items())


def config_text(config: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value_text(value)}" for name, value in config.items()) or "engine defaults"


def figure_text(text: str) -> str:
    """``text`` for a Plotly figure, which reads a subset of HTML in every label."""
    return html.escape(" ".join(text.split()), quote=False)


def figure_lines(text: str, width: int = 58) -> str:
    """As ``figure_text``, broken into lines."""
    return "<br>".join(html.escape(line, quote=False) for line in textwrap.wrap(text, width))


def is_finite_number(value: Any) -> bool:
    """Whether a Config's value can stand on a numeric axis; a truth value can't."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
