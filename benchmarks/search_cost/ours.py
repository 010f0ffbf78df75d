"""The product's own way: the whole study, replayed, as a user gets it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from autotuner.results import OutputFolder, StudyResults, load_results, open_folder
from autotuner.results.records import TrialRecord, TrialState
from autotuner.scoring import Score
from autotuner.scoring.merit import Merit
from autotuner.space.config import Config
from autotuner.study import study_id
from autotuner.tuning.on_ray.in_process import run_in_process
from benchmarks.search_cost.surface import Surface
from benchmarks.search_cost.trace import Trace, incumbents


def autotuner(surface: Surface, trials: int, seed: int) -> Trace:
    return _trace(surface, _searched(surface, trials, seed))


def measured_trials(surface: Surface, trials: int, seed: int) -> list[tuple[float, Config, Score | None]]:
    """GPU-seconds, Config and full score of each trial of a search, in their order; its confirmations left out."""
    results = _searched(surface, trials, seed)
    explored = [record for record in _in_order(results) if record.phase.explores]
    return [(_gpu_s(record), Config(record.config), _score(results, record)) for record in explored]


def _searched(surface: Surface, trials: int, seed: int) -> StudyResults:
    search = surface.study.search.model_copy(update={"trials": trials, "seed": seed, "max_concurrent_trials": 1})
    study = surface.study.model_copy(update={"search": search})
    with tempfile.TemporaryDirectory(prefix="search-cost-") as place:
        folder = OutputFolder(Path(place) / "study")
        with open_folder(folder, study):
            run_in_process(study, study_id(study), folder, ())
        return load_results(folder.path)


def _trace(surface: Surface, results: StudyResults) -> Trace:
    records = _in_order(results)
    steps = incumbents((_gpu_s(record), Config(record.config), _merit(results, record)) for record in records)
    improvement = results.improvement
    is_recommended = improvement is not None and improvement.recommended and results.best is not None
    recommended = Config(results.best.config) if is_recommended and results.best is not None else surface.default
    return Trace(steps, steps[-1].spent_s if steps else 0.0, recommended)


def _in_order(results: StudyResults) -> list[TrialRecord]:
    return sorted(results.all_records, key=lambda record: record.started_at)


def _gpu_s(record: TrialRecord) -> float:
    """Without GPUs a server counts as one."""
    return record.usage.reserved_s * max(1, record.gpus)


def _merit(results: StudyResults, record: TrialRecord) -> Merit | None:
    score = _score(results, record)
    return None if score is None else score.merit()


def _score(results: StudyResults, record: TrialRecord) -> Score | None:
    """Of what the search completed; confirmations say nothing of which Config is held to be the best."""
    if record.state is not TrialState.COMPLETED or not record.phase.explores:
        return None
    return results.rung_records[record.trial_id][-1].score
