"""CheckReport: what a valid study would do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from autotuner.benchmark import full_requests, levels
from autotuner.space import Count
from autotuner.study.model import Study


@dataclass(frozen=True)
class CheckReport:
    """A valid study's plan. ``argv`` are the baseline's servers, ``{host}`` and ``{port}`` still open."""

    study: Study
    count: Count
    argv: tuple[tuple[str, ...], ...]
    warnings: tuple[str, ...]
    needs: dict[str, float]
    fits: int | None  # trials at a time on the cluster, where one was asked

    def plan(self) -> list[tuple[str, str]]:
        study = self.study
        points = [f"{level} ({full_requests(study.workload, level)} requests)" for level in levels(study.workload)]
        rows = [
            ("engine", ", ".join(study.engine.names)),
            ("model", study.model.id),
            ("Configs", _counted(self.count)),
            ("trials", f"{study.search.trials} by {study.search.algorithm}, the default first"),
            ("rungs", f"{study.fidelity.rungs}, {study.fidelity.trial_scheduler}, eta {study.fidelity.eta}"),
            ("load points", ", ".join(points)),
            ("objective", ", ".join(study.objectives)),
            ("SLO", ", ".join(_slo_texts(study)) or "none"),
            ("confirmation", f"{study.search.confirm} rounds of best and default"),
            ("a trial reserves", " and ".join(f"{amount:g} {name}" for name, amount in self.needs.items())),
        ]
        if self.fits is not None:
            rows.append(("trials at a time", str(self.fits)))
        return rows

    def as_dict(self) -> dict[str, Any]:
        return {
            "valid": True,
            "study": self.study.model_dump(mode="json"),
            "configs": {"number": self.count.number, "exact": self.count.exact},
            "baseline_argv": [list(argv) for argv in self.argv],
            "needs": self.needs,
            "fits": self.fits,
            "warnings": list(self.warnings),
        }


def _counted(count: Count) -> str:
    if count.number is None:
        return f"endless, {count.kept_fraction:.0%} of what is drawn meets the constraints"
    return f"{'' if count.exact else 'about '}{count.number:,}"


def _slo_texts(study: Study) -> Iterator[str]:
    for metric, statistic, term in study.slo.terms():
        yield f"{metric} {statistic} ≤ {term.threshold_ms:g} ms"
