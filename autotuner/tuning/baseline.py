"""The Config of trial 0."""

from __future__ import annotations

from autotuner.space.config import Config
from autotuner.study.model import Study


def baseline_config(study: Study) -> Config:
    """The study's own baseline, else the engine's defaults."""
    baseline = study.search.baseline
    return Config() if baseline == "default" else Config(baseline)
