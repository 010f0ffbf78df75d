"""StudyJob: what every trial of a study needs to know, sent to each worker once."""

from __future__ import annotations

from dataclasses import dataclass

from autotuner.study.model import Study


@dataclass(frozen=True)
class StudyJob:
    """``owner`` names the driver process for the reaper; ``ends_at`` is the epoch second at which the
    wall-clock budget is spent; ``out_dir`` is the study's folder as the driver's node sees it."""

    study: Study
    study_id: str
    out_dir: str
    owner: str
    ends_at: float | None
