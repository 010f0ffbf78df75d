"""Which load points need more requests before they can decide a trial. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autotuner.metrics.load_level import LoadLevel
from autotuner.metrics.measurement import Measurement
from autotuner.metrics.percentile import has_both_ends
from autotuner.scoring import Aggregate, Merit, Objective, PointScore, Select
from autotuner.scoring.merit import make_merit


def unsettled(
    points: Sequence[PointScore],
    measured: Mapping[LoadLevel, Measurement],
    objective: Objective,
    select: Select,
    to_beat: Merit | None,
) -> tuple[LoadLevel, ...]:
    """The levels of a whole trial at which twice as many requests may tell whether SLOs hold that may hold or not.

    Only where that matters: if they hold, the trial would be as good as ``to_beat`` (``None``: anything), and its best
    level is among them. An objective that averages its levels needs them all, and none that is over an SLO for sure.
    """
    own = [p for p in points if p.objective == objective.name and p.value is not None]
    hopeful = [p for p in own if not p.violates_for_sure]
    if not hopeful or select == "score":
        return ()
    if objective.aggregate is Aggregate.MEAN:
        chosen = hopeful if len(hopeful) == len(own) else []
    else:
        chosen = [max(hopeful, key=lambda p: _if_met([p], objective))]
    if not chosen or (to_beat is not None and _if_met(chosen, objective) < to_beat):
        return ()
    return tuple(p.level for p in chosen if _can_settle(p, measured[p.level]))


def _if_met(points: Sequence[PointScore], objective: Objective) -> Merit:
    return make_merit([(p.value, 0.0) for p in points], objective.direction, "slo_met", feasible=True)


def _can_settle(point: PointScore, measurement: Measurement) -> bool:
    for column in point.unsure:
        metric, statistic, _ = column.rsplit("_", 2)
        if has_both_ends(2 * len(measurement.samples.get(metric, ())), float(statistic[1:])):
            return True
    return False
