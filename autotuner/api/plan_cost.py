"""What a study may take, in its plan: GPU types with their prices, budget, and the most in hours and money."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autotuner.study.model import Study
from autotuner.tuning.decisions.budget import Spent
from autotuner.tuning.decisions.study_cost import least_spent, most_spent


@dataclass(frozen=True)
class PlanCost:
    """``gpus`` and ``cpus``: the fewest, the default's and the most that a trial reserves. ``configs``: how many there
    are, ``None`` where that is endless. ``at_a_time``: trials that fit, ``None`` where that is not known."""

    study: Study
    gpus: tuple[float, float, float]
    cpus: tuple[float, float, float]
    configs: int | None
    at_a_time: int | None

    @classmethod
    def of(
        cls,
        study: Study,
        needs: Mapping[str, float],
        needs_range: Mapping[str, tuple[float, float]],
        configs: int | None,
        fits: int | None,
    ) -> PlanCost:
        def ends(name: str) -> tuple[float, float, float]:
            own = needs.get(name, 0.0)
            least, most = needs_range.get(name, (own, own))
            return least, own, most

        limits = [limit for limit in (fits, study.search.max_concurrent_trials) if limit is not None]
        return cls(study, ends("GPU"), ends("CPU"), configs, min(limits, default=None))

    @property
    def least(self) -> Spent:
        return least_spent(self.study, (self.gpus[1], self.gpus[0]), self.configs)

    @property
    def most(self) -> Spent:
        return most_spent(self.study, self.gpus[2], self.configs, self.at_a_time)

    @property
    def most_money(self) -> float | None:
        """At the price of the dearest GPU type, and of the CPUs where these have one."""
        hardware, most = self.study.hardware, self.most
        prices = [price for name in hardware.accelerators or [""] if (price := hardware.gpu_price(name)) is not None]
        told = [max(prices) * most.gpu_s] if prices and most.gpu_s else []
        if hardware.cost_per_cpu_hour is not None:
            told.append(hardware.cost_per_cpu_hour * self.cpus[2] * most.wall_s * (self.at_a_time or 1))
        return sum(told) / 3600 if told else None

    def rows(self) -> list[tuple[str, str]]:
        types = [("GPU types", ", ".join(self._types()) or "any")] if self.gpus[2] else []
        return [*types, ("budget", self._budget()), ("at most", self._at_most())]

    def as_dict(self) -> dict[str, Any]:
        """Hours and money; ``None`` where there is no limit, and no price."""
        hardware = self.study.hardware
        return {
            "budget": self.study.budget.model_dump(),
            "price_per_gpu_hour": {name: hardware.gpu_price(name) for name in hardware.accelerators},
            "least": _in_hours(self.least),
            "most": {**_in_hours(self.most), "money": self.most_money},
        }

    def _types(self) -> list[str]:
        hardware = self.study.hardware
        prices = {name: hardware.gpu_price(name) for name in hardware.accelerators}
        told = [name if price is None else f"{name} at {price:g} an hour" for name, price in prices.items()]
        price = hardware.cost_per_gpu_hour
        return told or ([f"any, at {price:g} an hour"] if isinstance(price, int | float) else [])

    def _budget(self) -> str:
        hours, wall = self.study.budget.gpu_hours, self.study.budget.wall_clock_h
        told = [f"{hours:g} GPU-hours"] if hours is not None else []
        told += [f"{wall:g} h of wall clock"] if wall is not None else []
        return " and ".join(told) or "no limit"

    def _at_most(self) -> str:
        most, money = self.most, self.most_money
        how = "one trial after another" if self.at_a_time in (None, 1) else f"{self.at_a_time} trials at a time"
        is_cut = self.study.budget.wall_clock_h is not None and most.wall_s >= self.study.budget.wall_clock_h * 3600
        told = [f"{_hours(most.wall_s)} h" + ("" if is_cut else f", {how}")]
        told += [f"{_hours(most.gpu_s)} GPU-hours{self._beyond_budget()}"] if most.gpu_s else []
        told += [f"{money:,.2f} at these prices"] if money is not None else []
        return f"{'; '.join(told)} (every wait to its time-out)"

    def _beyond_budget(self) -> str:
        hours = self.study.budget.gpu_hours
        is_over = hours is not None and self.most.gpu_s > hours * 3600
        return ", with the starts and rungs that run when the budget's are spent" if is_over else ""


def _in_hours(spent: Spent) -> dict[str, float]:
    return {"wall_clock_h": spent.wall_s / 3600, "gpu_hours": spent.gpu_s / 3600}


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.3g}" if seconds < 3600_000 else f"{seconds / 3600:,.0f}"
