"""The placement group of a trial."""

from __future__ import annotations

from ray import tune

from autotuner.space.config import Config
from autotuner.study.model import Study
from autotuner.tuning.capacity import bundle


def placement_group(study: Study, config: Config) -> tune.PlacementGroupFactory:
    return tune.PlacementGroupFactory([bundle(study, config)], strategy="STRICT_PACK")
