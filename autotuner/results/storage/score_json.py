"""Score as JSON and back."""

from __future__ import annotations

import math
from typing import Any

from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.scoring.merit import Grade, Merit
from autotuner.scoring.objective import parse_objective
from autotuner.scoring.score import PointScore, Score, Tier, Violation
from autotuner.scoring.scorer import rung_merit
from autotuner.scoring.values import infeasible_score

_KINDS = {kind.value: kind for kind in LoadKind}  # looked up for each point: an enum's own call takes ten times as long
_GRADES = {grade.value: grade for grade in Grade}
_POINT_KEYS = ("objective", "value", "score", "feasible", "slo_met", "penalty", "reason")
_TIERS = {tier.value: tier for tier in Tier}


def encode_score(score: Score) -> dict[str, Any]:
    return {
        "score": score.score,
        "feasible": score.feasible,
        "slo_met": score.slo_met,
        "level": _encode_level(score.level),
        "value": score.value,
        "objectives": dict(score.objectives),
        "violations": [_encode_violation(v) for v in score.violations],
        "reason": score.reason,
        "points": [_encode_point(p) for p in score.points],
        "merits": {name: [merit.grade, merit.nearness, merit.good] for name, merit in score.merits.items()},
    }


def decode_score(data: dict[str, Any]) -> Score:
    points = tuple(_decode_point(p) for p in data["points"])
    return Score(
        score=data["score"],
        feasible=data["feasible"],
        slo_met=data["slo_met"],
        level=_decode_level(data["level"]),
        value=data["value"],
        objectives=data["objectives"],
        violations=_decode_violations(data["violations"]),
        reason=data["reason"],
        points=points,
        merits=_decode_merits(data, points),
    )


def _decode_merits(data: dict[str, Any], points: tuple[PointScore, ...]) -> dict[str, Merit]:
    """Those of scores that were kept before merits were, from their load points."""
    if "merits" in data:
        return {name: Merit(_GRADES[grade], *rest) for name, (grade, *rest) in data["merits"].items()}
    found = {}
    for name, number in data["objectives"].items():
        objective = parse_objective(name)
        feasible = number != infeasible_score(objective.direction)
        own = [p for p in points if p.objective == name]
        found[name] = rung_merit(own, objective, "slo_met", feasible=feasible)
    return found


def _encode_level(level: LoadLevel | None) -> list[Any] | None:
    return None if level is None else [level.kind.value, level.value]


def _decode_level(data: list[Any] | None) -> LoadLevel | None:
    return None if data is None else LoadLevel(_KINDS[data[0]], data[1])


def _encode_violation(v: Violation) -> list[Any]:
    return [v.metric, v.value, v.threshold, v.ratio, v.penalty, v.tier.value]


def _decode_violations(data: list[list[Any]]) -> tuple[Violation, ...]:
    return tuple(
        Violation(metric, value, threshold, ratio, penalty, _TIERS[tier])
        for metric, value, threshold, ratio, penalty, tier in data
    )


def _encode_point(p: PointScore) -> dict[str, Any]:
    return {
        "level": _encode_level(p.level),
        "objective": p.objective,
        "value": p.value,
        "score": p.score,
        "feasible": p.feasible,
        "slo_met": p.slo_met,
        "penalty": p.penalty,
        "violations": [_encode_violation(v) for v in p.violations],
        "reason": p.reason,
        "excess": p.excess,
        "margins": dict(p.margins),
        "interval": p.interval and list(p.interval),
        "unsure": list(p.unsure),
    }


def _decode_point(data: dict[str, Any]) -> PointScore:
    kind, value = data["level"]
    rest = {key: data[key] for key in _POINT_KEYS}
    excess = data["excess"] if "excess" in data else math.log1p(data["penalty"])  # as it was kept before
    interval = data.get("interval")  # of scores that were kept before there was one, or margins: not known
    return PointScore(
        level=LoadLevel(_KINDS[kind], value),
        violations=_decode_violations(data["violations"]),
        excess=excess,
        margins=data.get("margins", {}),
        interval=None if interval is None else (interval[0], interval[1]),
        unsure=tuple(data.get("unsure", ())),
        **rest,
    )
