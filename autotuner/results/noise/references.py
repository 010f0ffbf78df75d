"""References: the default, measured again while a search goes on: how often, at which load, under which ids. Pure."""

from __future__ import annotations

from autotuner.metrics.load_level import LoadLevel
from autotuner.scoring.objective import Objective
from autotuner.scoring.score import PointScore, Score
from autotuner.study.model import FindMaxLoad, Study

# So that it takes a twentieth of a search's launches, or three where runs differ by much, and one load level of each.
_USUALLY_EVERY = 20


def reference_every(study: Study) -> int | None:
    """After so many explored trials each the default is measured again; ``None``: never.

    Not in a search for the largest load, unless it is asked for: it would be a whole trial, and loads come in steps.
    A server that was there before is one Config: there is no search beside which it might drift.
    """
    every = study.search.reference_every
    if every != "auto":
        return every
    is_left_out = isinstance(study.workload.load, FindMaxLoad) or study.launcher.kind == "endpoint"
    return None if is_left_out else _USUALLY_EVERY


def most_references(trials: int, every: int | None) -> int:
    """Of a study of so many trials: after the last trial there is none."""
    return 0 if every is None else max(trials - 1, 0) // every


def reference_id(trial_id: str, number: int, time: int = 1) -> str:
    """Of the ``time``-th run of a reference of a trial's Config, both counted from 1: ``0000-r2``, ``0000-r2-3``."""
    return f"{trial_id}-r{number}" + (f"-{time}" if time > 1 else "")


def reference_of(reference: str) -> tuple[str, int, int]:
    """Whose Config a reference measures, its number, and the how many-th run of it this is."""
    name, _, rest = reference.rpartition("-r")
    number, _, time = rest.partition("-")
    return name, int(number), int(time or 1)


def reference_level(score: Score, objective: Objective, begun_with: LoadLevel | None) -> LoadLevel | None:
    """The load level at which the default's references are measured, from its own trial; ``None``: it shows nothing
    that could be measured again.

    The one that its trial began with, so that its servers are as fresh as they were then; where that is of no single
    level, or shows nothing, its best one, or the highest.
    """
    shown = {p.level: p for p in score.points if p.objective == objective.name and _shows(p)}
    if begun_with in shown:
        return begun_with
    return score.level if score.level in shown else max(shown, default=None)


def _shows(point: PointScore) -> bool:
    return point.feasible and point.value is not None and point.value > 0
