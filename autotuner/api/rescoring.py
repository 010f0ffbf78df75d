"""rescore: what was measured, under other SLOs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autotuner.results import StudyResults, TrialPoint, load_results
from autotuner.results import rescore as rescore_results
from autotuner.study import load_slos


@dataclass(frozen=True)
class Rescored:
    """A study as it would have ended under other SLOs; what was stopped early stays stopped."""

    before: StudyResults
    after: StudyResults

    columns = ("trial", "state", "value before", "value now", "SLOs before", "SLOs now")

    @property
    def verdict(self) -> str:
        best, now = self.before.best, self.after.best
        if now is None:
            return "no Config is feasible under these SLOs"
        told = f"best: {now.trial_id} ({self.after.objective.name} {now.value:.6g}, {now.scope})"
        if not now.slo_met:
            told += ", which does not meet every SLO"
        return told + ("" if best is None or best.trial_id == now.trial_id else f"; it was {best.trial_id}")

    def rows(self) -> Sequence[tuple[Any, ...]]:
        return [
            (trial.trial_id, trial.state, _value(before), _value(now), _met(before), _met(now))
            for trial in self.before.trial_records
            if (before := self.before.point_of(trial.trial_id)) is not None
            and (now := self.after.point_of(trial.trial_id)) is not None
        ]

    def as_dict(self) -> dict[str, Any]:
        return {"before": self.before.summary, "after": self.after.summary}

    @property
    def exit_code(self) -> int:
        """As the command line's: 1 where nothing meets these SLOs."""
        best = self.after.best
        return 0 if best is not None and best.slo_met else 1

    def write_report(self, path: str | Path | None = None) -> Path:
        """Writes the report of the study as it would have ended, by default to ``rescored.html`` in its folder."""
        from autotuner.report import write_report

        note = (
            "Scored anew from the requests that were kept, under other SLOs than it ran with; what was stopped early "
            "stays stopped."
        )
        return write_report(self.after, self.after.folder.rescored if path is None else path, note=note)


def rescore(path: str | Path, slo: str | Path | Sequence[str | Path]) -> Rescored:
    """Scores the kept requests of the study in ``path`` under other SLOs.

    ``slo``: a file (an slo section, or a study), or limits such as ``ttft.p90=300ms``.
    """
    before = load_results(Path(path))
    given = [slo] if isinstance(slo, str | Path) else slo
    return Rescored(before, rescore_results(before, load_slos(given)))


def _value(point: TrialPoint) -> float | None:
    return point.value if point.feasible else None


def _met(point: TrialPoint) -> str:
    if not point.feasible:
        return "infeasible"
    return "met" if point.slo_met else "violated"
