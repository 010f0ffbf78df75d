"""Preferred: the point of a study's front that is worth the most to somebody, and why it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autotuner.errors import InputError
from autotuner.metrics.direction import Direction
from autotuner.results.result import StudyResults
from autotuner.scoring.objective import Objective
from autotuner.scoring.preference import parse_preference, preferred, weights_text

_ALIKE = 0.005  # a difference that is not worth telling


@dataclass(frozen=True)
class Preferred:
    """``values``: by objective. ``reason``: against what else there was, in a sentence or two."""

    trial_id: str
    load_kind: str
    level: float
    slo_met: bool
    values: Mapping[str, float]
    weights: Mapping[str, float]
    reason: str


def find_preferred(results: StudyResults, text: str) -> Preferred:
    """By ``text``, as ``throughput=2,ttft=1``, of the points of the front that meet the SLOs; of all, if none does.

    Raises InputError for a text that says nothing of this study's objectives, and where nothing is on the front.
    """
    objectives = results.objectives
    weights = parse_preference(text, [objective.name for objective in objectives])
    rows: Sequence[Mapping[Any, Any]] = results.pareto.to_dict("records")
    rows = [row for row in rows if row["slo_met"]] or rows
    if not rows:
        raise InputError("prefer: no Config is feasible: there is nothing to prefer", key="prefer", value=text)
    chosen = rows[_worth_most(rows, objectives, weights)]
    return Preferred(
        trial_id=str(chosen["trial_id"]),
        load_kind=str(chosen["load_kind"]),
        level=float(chosen["level"]),
        slo_met=bool(chosen["slo_met"]),
        values={objective.name: float(chosen[objective.name]) for objective in objectives},
        weights=weights,
        reason=_reason(rows, chosen, objectives, weights),
    )


def _worth_most(
    rows: Sequence[Mapping[Any, Any]], objectives: Sequence[Objective], weights: Mapping[str, float]
) -> int:
    points = [[row[objective.name] for objective in objectives] for row in rows]
    directions = [objective.direction for objective in objectives]
    return preferred(points, directions, [weights[objective.name] for objective in objectives])


def _reason(
    rows: Sequence[Mapping[Any, Any]],
    chosen: Mapping[Any, Any],
    objectives: Sequence[Objective],
    weights: Mapping[str, float],
) -> str:
    of = f"the {len(rows)} points of the front" + (" that meet the SLOs" if chosen["slo_met"] else "")
    others = [row for row in rows if row is not chosen]
    if not others:
        return "it is the only point of the front" + (" that meets the SLOs" if chosen["slo_met"] else "")
    told = [f"of {of} it is worth the most by {weights_text(weights)}"]
    next_best = others[_worth_most(others, objectives, weights)]
    told.append(f"next is {_name(next_best)}, with {_differences(next_best, chosen, objectives)}")
    first = objectives[0]
    pick = max if first.direction is Direction.MAX else min
    leader = pick(rows, key=lambda row: row[first.name])
    if leader is not chosen and leader is not next_best:
        told.append(
            f"the best {first.name} is that of {_name(leader)}, with {_differences(leader, chosen, objectives)}"
        )
    return "; ".join(told)


def _name(row: Mapping[Any, Any]) -> str:
    return f"trial {row['trial_id']} at {row['load_kind']} {row['level']:g}"


def _differences(row: Mapping[Any, Any], chosen: Mapping[Any, Any], objectives: Sequence[Objective]) -> str:
    """How ``row`` differs from ``chosen``: 12 % more throughput, 2.5 times the ttft_p90."""
    told = []
    for objective in objectives:
        own, other = float(row[objective.name]), float(chosen[objective.name])
        change = own / other - 1 if other else float(own > 0)
        if change >= 1:
            told.append(f"{1 + change:.3g} times the {objective.name}")
        elif abs(change) >= _ALIKE:
            told.append(f"{abs(change):.0%} {'more' if change > 0 else 'less'} {objective.name}".replace("%", " %"))
    return ", ".join(told) or "the same"
