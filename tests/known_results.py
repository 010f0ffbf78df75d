"""Results of a study with figures that a test chooses, without a store: trials, rungs, load levels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autotuner.errors import Failure
from autotuner.metrics import LoadKind, LoadLevel, Measurement
from autotuner.results import Phase, RungRecord, StudyResults, StudyStatus, TrialRecord, TrialState, Usage
from autotuner.results.records import Hold, LifeRecord, PointFailure
from autotuner.scoring import parse_objectives, score_rung
from autotuner.study.model import Study
from tests.tuning_parts import study as make_study

Figures = Mapping[float, Mapping[str, float]]  # level → metric → value


def concurrency(value: float) -> LoadLevel:
    return LoadLevel(LoadKind.CONCURRENCY, value)


@dataclass
class Known:
    """Two load levels (1 and 2), two rungs, unless ``keys`` say otherwise."""

    keys: dict[str, Any] = field(default_factory=dict)
    trials: list[TrialRecord] = field(default_factory=list)
    rungs: dict[str, tuple[RungRecord, ...]] = field(default_factory=dict)
    status: StudyStatus = StudyStatus.COMPLETED
    stop_reason: str = "all trials done"

    @property
    def study(self) -> Study:
        return make_study(**self.keys)

    def trial(
        self,
        trial_id: str,
        *rungs: Figures,
        config: dict[str, Any] | None = None,
        state: TrialState = TrialState.COMPLETED,
        failure: Failure | None = None,
        phase: Phase | None = None,
        seconds: float = 100.0,
        notes: tuple[str, ...] = (),
        lacks: Mapping[float, Failure] | None = None,
        **more: Any,
    ) -> None:
        """A trial that has ended; confirmations have a ``-c`` in their id, 0000 is the default.

        ``lacks``: load levels without a measurement in any rung, and why.
        """
        chosen = phase or (Phase.CONFIRM if "-c" in trial_id else Phase.SEARCH if trial_id > "0000" else Phase.BASELINE)
        usage = Usage(seconds, seconds / 10, seconds / 2)
        values = {"cpus": 2, "message": "it broke" if failure else "", "usage": usage, **more}
        self.trials.append(TrialRecord(trial_id, chosen, config or {}, 1.0, state, failure, **values))
        self.rungs[trial_id] = tuple(
            self._rung(trial_id, number, figures, usage, notes, lacks or {}) for number, figures in enumerate(rungs)
        )

    def _rung(
        self,
        trial_id: str,
        number: int,
        figures: Figures,
        usage: Usage,
        notes: tuple[str, ...],
        lacks: Mapping[float, Failure],
    ) -> RungRecord:
        study = self.study
        measurements = tuple(
            Measurement(concurrency(level), 20, 0, values, notes=notes) for level, values in figures.items()
        )
        failed = [concurrency(level) for level in lacks]
        score = score_rung(measurements, failed, study.slo, parse_objectives(study.objectives), study.search.select)
        failures = tuple(PointFailure(str(concurrency(level)), why, "too late") for level, why in lacks.items())
        return RungRecord(trial_id, number, f"{trial_id}-l1", score, measurements, 2.0, usage, failures=failures)

    def results(self, *lives: LifeRecord) -> StudyResults:
        return StudyResults(
            path=Path("/nowhere"),
            study=self.study,
            study_id="s1",
            status=self.status,
            stop_reason=self.stop_reason,
            trial_records=tuple(self.trials),
            rung_records=self.rungs,
            lives=lives,
        )


__all__ = ["Figures", "Hold", "Known", "concurrency"]
