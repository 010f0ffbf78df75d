"""run and resume: a study from file to report."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autotuner.api.check_report import CheckReport
from autotuner.api.checking import check
from autotuner.api.result import Result, write_outputs
from autotuner.errors import AutotunerError
from autotuner.results import OutputFolder, open_folder, resume_folder
from autotuner.study import study_id
from autotuner.study.model import Study
from autotuner.tuning.on_ray.interrupts import sigint_heard

if TYPE_CHECKING:
    from autotuner.tuning.events import Observer


@sigint_heard()
def run(
    study: Study,
    address: str | None = None,
    out: str | Path | None = None,
    *,
    progress: bool = False,
    observers: Sequence[Observer] = (),
    checked: Callable[[CheckReport], None] | None = None,
) -> Result:
    """Runs a study to its end and writes its output folder (default ``./studies/NAME``).

    ``progress`` shows it on standard error; ``checked`` is told the plan before anything starts. Raises InputError for
    a bad study or a folder that holds another study, InfrastructureError when Ray can't be reached or no node holds a
    trial.
    """
    folder = OutputFolder(Path(out) if out is not None else Path("studies") / study.name)
    report = check(study, starts_here=address is None)
    study = report.study
    with open_folder(folder, study):
        if checked is not None:
            checked(report)
        try:
            return _run(study, folder, address, progress, observers)
        except AutotunerError:
            folder.discard_unused()
            raise


@sigint_heard()
def resume(
    path: str | Path,
    address: str | None = None,
    *,
    progress: bool = False,
    observers: Sequence[Observer] = (),
) -> Result:
    """Goes on with a study after any death: ended rungs are taken from its store, never measured again."""
    folder = OutputFolder(Path(path))
    with resume_folder(folder) as study:
        check(study, starts_here=address is None, begins=False, models=folder.known_models())
        return _run(study, folder, address, progress, observers)


def _run(
    study: Study, folder: OutputFolder, address: str | None, progress: bool, observers: Sequence[Observer]
) -> Result:
    from autotuner.tuning.on_ray.in_process import run_in_process, runs_in_process
    from autotuner.tuning.on_ray.job_folder import note_job_folder
    from autotuner.tuning.on_ray.runner import run_study

    note_job_folder(folder.path)
    with _observers(folder, progress, observers) as watching:
        # Of one that goes on not computed anew: keys that came since would make it another.
        its_id = folder.study_id or study_id(study)
        if runs_in_process(study, address):
            ending = run_in_process(study, its_id, folder, watching)
        else:
            ending = run_study(study, its_id, folder, address, watching)
    if ending.interrupted_by is not None and not folder.database.exists():
        raise SystemExit(ending.interrupted_by)  # so early that there is nothing to tell
    return write_outputs(folder.path, ending.interrupted_by)


@contextlib.contextmanager
def _observers(folder: OutputFolder, progress: bool, observers: Sequence[Observer]) -> Iterator[list[Observer]]:
    from autotuner.report import TensorBoardObserver, make_progress
    from autotuner.tuning.on_ray.metrics_observer import MetricsObserver

    watching: list[Observer] = [*observers, TensorBoardObserver(folder.tensorboard), MetricsObserver()]
    if progress:
        watching.append(make_progress())
    try:
        yield watching
    finally:
        for observer in watching:
            observer.close()
