"""Rows of the table: what each way had of the true front, and what it had to spend for it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.front_cost.fronts import Step, reached_s
from benchmarks.front_cost.ways import NSGA2


@dataclass(frozen=True)
class Row:
    """Medians over seeds. ``share``: of the true front's volume at the end; ``worst_share``: in the worst seed;
    ``cost_share``: GPU-seconds spent by then, as a share of the whole grid's; ``over_nsga2``: GPU-seconds until a way
    had what NSGA-II ends with, over what NSGA-II spent in all; ``None``: never, in most seeds."""

    surface: str
    objectives: tuple[str, ...]
    way: str
    seeds: int
    share: float
    worst_share: float
    cost_share: float
    over_nsga2: float | None


def make_rows(
    surface: str, objectives: Sequence[str], grid_s: float, traces: Mapping[str, Sequence[Sequence[Step]]]
) -> list[Row]:
    """``traces``: by way, one a seed; with NSGA-II's."""
    aim = statistics.median(trace[-1].share for trace in traces[NSGA2])
    spent = statistics.median(trace[-1].spent_s for trace in traces[NSGA2])
    rows = []
    for way, of_way in traces.items():
        reached = [reached_s(trace, aim) for trace in of_way]
        over = statistics.median(math.inf if seconds is None else seconds / spent for seconds in reached)
        rows.append(
            Row(
                surface=surface,
                objectives=tuple(objectives),
                way=way,
                seeds=len(of_way),
                share=statistics.median(trace[-1].share for trace in of_way),
                worst_share=min(trace[-1].share for trace in of_way),
                cost_share=statistics.median(trace[-1].spent_s for trace in of_way) / grid_s,
                over_nsga2=over if math.isfinite(over) else None,
            )
        )
    return rows
