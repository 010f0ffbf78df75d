"""Rescore: what the kept requests would have scored under other SLOs. No server is asked."""

from __future__ import annotations

from dataclasses import replace

from autotuner.benchmark.traffic.list_plan import levels
from autotuner.engines import one_engine
from autotuner.errors import InputError
from autotuner.metrics.context import measure_context
from autotuner.metrics.load_level import LoadLevel
from autotuner.metrics.measure import measure
from autotuner.metrics.measurement import MeasureContext
from autotuner.metrics.request import PointRun
from autotuner.results.kept_runs import kept_runs
from autotuner.results.records import Phase, RungRecord, TrialRecord
from autotuner.results.result import StudyResults
from autotuner.results.storage.store import Store
from autotuner.scoring.max_load import with_max_load
from autotuner.scoring.objective import parse_objectives
from autotuner.scoring.scorer import score_rung
from autotuner.space.config import Config
from autotuner.study.model import FindMaxLoad, Slo, Study


def rescore(results: StudyResults, slo: Slo, *, database: str | None = None) -> StudyResults:
    """The same study under ``slo``: every ended rung measured (for goodput) and scored anew from its requests.

    States stay: what the trial scheduler stopped under the old SLOs was not measured further.
    """
    study = results.study.model_copy(update={"slo": slo})
    rescored: dict[str, tuple[RungRecord, ...]] = {}
    with Store(database or results.folder.database_url, results.folder.requests) as store:
        store.read_study(results.study_id)
        for trial in results.trial_records:
            ended = results.rung_records.get(trial.trial_id, ())
            if ended:
                runs = kept_runs(ended, store.runs(trial.trial_id))
                if runs and not any(run.records for _, run in runs):
                    raise InputError("the study kept no raw requests: it was replayed from a table of metrics")
                rescored[trial.trial_id] = tuple(_rescore_rung(study, trial, rung, runs) for rung in ended)
    # What the searcher believed was of the old SLOs.
    return replace(results, study=study, rung_records=rescored, flag_beliefs=None)


def _rescore_rung(study: Study, trial: TrialRecord, rung: RungRecord, runs: list[tuple[int, PointRun]]) -> RungRecord:
    """Measurements are cumulative: those of a rung rest on the runs up to it."""
    context = _context(study, trial)
    by_level: dict[LoadLevel, list[PointRun]] = {m.level: [] for m in rung.measurements}
    for number, run in runs:
        if number <= rung.rung and run.level in by_level:
            by_level[run.level].append(run)
    measurements = tuple(measure(level, kept, context) for level, kept in by_level.items())
    objectives = parse_objectives(study.objectives)
    declared: tuple[LoadLevel, ...] = ()
    if isinstance(study.workload.load, FindMaxLoad):
        measurements = with_max_load(measurements, study.slo, context)
    elif trial.phase is not Phase.REFERENCE:  # which is asked for one level alone
        declared = levels(study.workload)
    missing = [level for level in declared if level not in by_level]
    score = score_rung(measurements, missing, study.slo, objectives, study.search.select)
    return replace(rung, measurements=measurements, score=score)


def _context(study: Study, trial: TrialRecord) -> MeasureContext:
    """As the trial was measured: what its servers cost, and not its client."""
    try:
        engine, own_study, own_config = one_engine(study, Config(trial.config))
        cpus = engine.deployment(own_study, own_config).cpus
    except InputError:  # of an engine or flag that is not known any more
        cpus = trial.cpus
    return measure_context(study, gpus=trial.gpus, cpus=cpus, replicas=trial.replicas, accelerator=trial.accelerator)
