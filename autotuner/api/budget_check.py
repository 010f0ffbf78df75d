"""Budgets and numbers of trials that can only end in no recommendation: refused with what is needed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from autotuner.engines import Problem
from autotuner.study.model import Study
from autotuner.tuning.study_cost import fewest_in_a_row, fewest_launches, least_launch_s, least_spent


def budget_problems(
    study: Study, needs: Mapping[str, float], needs_range: Mapping[str, tuple[float, float]], configs: int | None
) -> Iterator[Problem]:
    """``needs``: what the default's trial reserves; ``configs``: how many there are, ``None`` where that is endless."""
    yield from _trials(study, configs)
    gpus = needs.get("GPU", 0.0)
    budget = study.budget
    if budget.gpu_hours is not None and not gpus:
        rule = "never runs out without a GPU: use budget.wall_clock_h"
        yield Problem("budget.gpu_hours", budget.gpu_hours, rule)
        budget = budget.model_copy(update={"gpu_hours": None})
    least = least_spent(study, (gpus, needs_range.get("GPU", (gpus, gpus))[0]))
    if budget.gpu_hours is not None and budget.gpu_hours * 3600 < least.gpu_s:
        times = f"{fewest_launches(study).total} × {least_launch_s(study):.3g} s of each GPU"
        yield _too_small(study, "gpu_hours", budget.gpu_hours, least.gpu_s, f"GPU-hours at the least ({times})")
    if budget.wall_clock_h is not None and budget.wall_clock_h * 3600 < least.wall_s:
        times = f"{fewest_in_a_row(study)} × {least_launch_s(study):.3g} s in a row"
        yield _too_small(study, "wall_clock_h", budget.wall_clock_h, least.wall_s, f"hours at the least ({times})")


def _trials(study: Study, configs: int | None) -> Iterator[Problem]:
    search = study.search
    if study.launcher.kind == "endpoint" or search.trials > 1 or not search.confirm or configs == 1:
        return
    rule = (
        "counts the default, which is measured first: nothing would be compared with it; "
        "at least 2, or search.confirm: 0 to measure the default alone"
    )
    yield Problem("search.trials", search.trials, rule, "2")


def _too_small(study: Study, name: str, value: float, needed_s: float, of_what: str) -> Problem:
    launches, least_h = fewest_launches(study), _rounded_up(needed_s / 3600)
    if launches.confirming:
        what = f"the default, one other Config and {study.search.confirm} rounds of confirmation take"
        otherwise = "; fewer rounds (search.confirm) or less load take less"
    else:
        what = "the default takes" if launches.searched == 1 else "the default and one other Config take"
        otherwise = ""
    rule = f"{what} {least_h:g} {of_what}: give that much or more{otherwise}"
    return Problem(f"budget.{name}", value, rule, f"{least_h:g}")


def _rounded_up(hours: float) -> float:
    """To two significant digits."""
    step = 10.0 ** (math.floor(math.log10(hours)) - 1)
    return math.ceil(round(hours / step, 6)) * step
