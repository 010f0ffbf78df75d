"""Rows of the table: what each way took on a surface, over all seeds, as shares of the whole grid's cost."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from autotuner.study.model import Study
from benchmarks.search_cost.surface import Surface
from benchmarks.search_cost.trace import Trace

_NEVER = math.inf


@dataclass(frozen=True)
class Row:
    """``a_share``: median of what it took until the incumbent was as good as the best, ``b_share``: until the end;
    ``None``: never, in most of the seeds. ``found`` and ``near``: in how many seeds the incumbent at some time, and the
    recommendation, was within 2 % of the best. ``min_recommended`` is the worst recommendation, over the best;
    ``recommended_over_default`` the median one, over the default. ``a_shares`` are those of each seed."""

    surface: str
    slo: str
    way: str
    seeds: int
    a_share: float | None
    a_p90_share: float | None
    found: int
    b_share: float | None
    b_p90_share: float | None
    near: int
    min_recommended: float
    recommended_over_default: float | None
    a_shares: tuple[float | None, ...]


def make_row(surface: Surface, way: str, traces: Sequence[Trace]) -> Row:
    found = [trace.found_s(surface) for trace in traces]
    a = [_NEVER if seconds is None else seconds / surface.grid_s for seconds in found]
    b = [trace.ended_s / surface.grid_s for trace in traces]
    over = [surface.over_default(trace.recommended) for trace in traces]
    return Row(
        surface=surface.name,
        slo=slo_text(surface.study),
        way=way,
        seeds=len(traces),
        a_share=_finite(statistics.median(a)),
        a_p90_share=_finite(_p90(a)),
        found=sum(seconds is not None for seconds in found),
        b_share=_finite(statistics.median(b)),
        b_p90_share=_finite(_p90(b)),
        near=sum(surface.is_near(trace.recommended) for trace in traces),
        min_recommended=min(surface.closeness(trace.recommended) for trace in traces),
        recommended_over_default=_finite(statistics.median(over)),
        a_shares=tuple(map(_finite, a)),
    )


@dataclass(frozen=True)
class Total:
    """A way over several surfaces: geometric means, in which a surface that most seeds never solved counts as its whole
    grid (``never`` of them), which surely solves it."""

    way: str
    surfaces: int
    seeds: int
    a_share: float
    b_share: float
    found: int
    near: int
    never: int
    min_recommended: float


def total(rows: Sequence[Row]) -> list[Total]:
    """A line a way, in the order in which they come."""
    by_way: dict[str, list[Row]] = {}
    for row in rows:
        by_way.setdefault(row.way, []).append(row)
    return [
        Total(
            way=way,
            surfaces=len(of_way),
            seeds=sum(row.seeds for row in of_way),
            a_share=statistics.geometric_mean(1.0 if row.a_share is None else row.a_share for row in of_way),
            b_share=statistics.geometric_mean(1.0 if row.b_share is None else row.b_share for row in of_way),
            found=sum(row.found for row in of_way),
            near=sum(row.near for row in of_way),
            never=sum(row.a_share is None for row in of_way),
            min_recommended=min(row.min_recommended for row in of_way),
        )
        for way, of_way in by_way.items()
    ]


def slo_text(study: Study) -> str:
    terms = (f"{metric}.{statistic}={term.threshold_ms:g}ms" for metric, statistic, term in study.slo.terms())
    return " ".join(terms) or "none"


def _p90(values: Sequence[float]) -> float:
    """The smallest that nine tenths do not exceed: infinite ones are no numbers to go between."""
    return sorted(values)[math.ceil(0.9 * len(values)) - 1]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
