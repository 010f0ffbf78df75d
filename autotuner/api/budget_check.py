"""Budgets and numbers of trials that can only end in no recommendation: refused with what is needed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from autotuner.engines import Problem
from autotuner.study.model import Study
from autotuner.tuning.decisions.study_cost import Launches, fewest_launches, least_spent, usual_least_spent


def budget_problems(
    study: Study, needs: Mapping[str, float], needs_range: Mapping[str, tuple[float, float]], configs: int | None
) -> Iterator[Problem]:
    """``needs``: what the default's trial reserves; ``configs``: how many there are, ``None`` where that is endless."""
    yield from _trials(study, configs)
    gpus = needs.get("GPU", 0.0)
    ends = (gpus, needs_range.get("GPU", (gpus, gpus))[0])
    least, usual = least_spent(study, ends, configs), usual_least_spent(study, ends, configs)
    launches, budget = fewest_launches(study, configs), study.budget
    if budget.gpu_hours is not None and not gpus:
        rule = "never runs out without a GPU: use budget.wall_clock_h"
        yield Problem("budget.gpu_hours", budget.gpu_hours, rule)
    elif budget.gpu_hours is not None:
        yield from _Need(launches, least.gpu_s, usual.gpu_s, "GPU-hours").judge("budget.gpu_hours", budget.gpu_hours)
    if budget.wall_clock_h is not None:
        yield from _Need(launches, least.wall_s, usual.wall_s, "hours").judge(
            "budget.wall_clock_h", budget.wall_clock_h
        )


def _trials(study: Study, configs: int | None) -> Iterator[Problem]:
    search = study.search
    if study.launcher.kind == "endpoint" or search.trials > 1 or not search.confirm or configs == 1:
        return
    rule = (
        "counts the default, which is measured first: nothing would be compared with it; "
        "at least 2, or search.confirm: 0 to measure the default alone"
    )
    yield Problem("search.trials", search.trials, rule, "2")


@dataclass(frozen=True)
class _Need:
    """``usual_s``: the least where no load point is given up."""

    launches: Launches
    least_s: float
    usual_s: float
    unit: str

    def judge(self, key: str, hours: float) -> Iterator[Problem]:
        if hours * 3600 >= self.usual_s:
            return
        least_h, usual_h = _rounded_up(self.least_s / 3600), _rounded_up(self.usual_s / 3600)
        full = f"{usual_h:g} {self.unit} with every load point in full"
        if hours * 3600 >= self.least_s:
            yield Problem(key, hours, f"{self._of_what()} {full}{self._otherwise()}", fatal=False)
            return
        at_least = f"{least_h:g} {self.unit} at the least" + (f", {full}" if usual_h > least_h else "")
        yield Problem(key, hours, f"{self._of_what()} {at_least}{self._otherwise()}", f"{usual_h:g}")

    def _of_what(self) -> str:
        if self.launches.confirming:
            rounds = self.launches.confirming // 2
            return f"the default, one other Config and {rounds} round{'s' * (rounds > 1)} of confirmation take"
        return "the default takes" if self.launches.searched == 1 else "the default and one other Config take"

    def _otherwise(self) -> str:
        return "; fewer rounds (search.confirm) or less load take less" if self.launches.confirming else ""


def _rounded_up(hours: float) -> float:
    """To two significant digits."""
    if hours == 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(hours)) - 1)
    return math.ceil(round(hours / step, 6)) * step
