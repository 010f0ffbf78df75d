"""Result: what a study found, as frames and files."""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autotuner.errors import InfrastructureError, InputError, MissingExtraError
from autotuner.manifests import ExportOptions, targets
from autotuner.results import OutputFolder, StudyResults, TrialPoint, load_results, write_tables
from autotuner.results.fetched import fetched_copy
from autotuner.results.find_progress import study_progress

if TYPE_CHECKING:
    import pandas as pd

    from autotuner.results.preferred import Preferred

_NOT_WRITTEN = "NOT-WRITTEN.txt"


class Result:
    """A study's output folder. Frames are made when first asked for."""

    def __init__(self, results: StudyResults, interrupted_by: int | None = None) -> None:
        self._results = results
        self._interrupted_by = interrupted_by

    @property
    def path(self) -> Path:
        return self._results.path

    @property
    def trials(self) -> pd.DataFrame:
        """One row a trial: the columns of trials.csv."""
        return self._results.trials

    @property
    def measurements(self) -> pd.DataFrame:
        """One row a load point of an ended rung: the columns of measurements.csv."""
        return self._results.measurements

    @property
    def pareto(self) -> pd.DataFrame:
        """The front over (trial, level): the columns of pareto.csv."""
        return self._results.pareto

    @property
    def best(self) -> TrialPoint | None:
        return self._results.best

    @property
    def baseline(self) -> TrialPoint | None:
        return self._results.baseline

    @property
    def summary(self) -> dict[str, Any]:
        """The content of summary.json."""
        return self._results.summary

    @property
    def not_deployable(self) -> Path | None:
        """The file that says why deployment files of some target could not be written; ``None`` where all were."""
        path = OutputFolder(self.path).deploy / _NOT_WRITTEN
        return path if path.is_file() else None

    @property
    def exit_code(self) -> int:
        """As the command line's: 0 done, 1 nothing meets the SLOs, 3 no trial could be run at all, 130 or 143."""
        if self._interrupted_by is not None:
            return self._interrupted_by
        best = self.best
        if best is not None:
            return 0 if best.slo_met else 1
        failures = [trial.failure for trial in self._results.trial_records]
        nothing_ran = bool(failures) and all(f is not None and not f.blames_config for f in failures)
        return InfrastructureError.exit_code if nothing_ran else 1

    def export(
        self,
        target: str,
        out: str | Path,
        *,
        top: int = 1,
        trial_id: str | None = None,
        prefer: str | None = None,
        image: str | None = None,
        namespace: str | None = None,
        pvc: str | None = None,
    ) -> list[Path]:
        """Writes deployment files of the ``top`` best Configs (or of one trial) into ``out``.

        ``prefer``: of the one that is then preferred, as ``preferred`` says.

        ``target``: shell, compose, kubernetes, or ``table`` (the measurements as CSV, and as
        a table to replay studies from). ``image`` takes the place of the
        engine's usual one, ``namespace`` and ``pvc``, a claim for the weights, are for Kubernetes. Raises InputError
        for an unknown target or trial, and for an option that the target has no place for.
        """
        from autotuner.api.exporting import check_options, export_configs, export_table

        options = ExportOptions(image, namespace, pvc)
        if prefer is not None:
            trial_id = self.preferred(prefer).trial_id
        if target == "table":
            check_options(target, options)
            return export_table(self._results, Path(out))
        if target not in targets():
            known = [*targets(), "table"]
            raise InputError(
                f"target: {target!r} is not one of {', '.join(known)}",
                key="target",
                value=target,
                rule=f"one of {', '.join(known)}",
            )
        return export_configs(self._results, target, Path(out), top=top, trial_id=trial_id, options=options)

    def preferred(self, prefer: str) -> Preferred:
        """The point of the front that is worth the most by ``prefer``, as ``throughput=2,ttft=1``, and why.

        A per cent of an objective of weight 2 is worth two of one of weight 1. Raises InputError where the study has
        one objective, or none of that name.
        """
        from autotuner.results.preferred import find_preferred

        return find_preferred(self._results, prefer)

    def report(self, kind: str = "html", out: str | Path | None = None, prefer: str | None = None) -> Path:
        """Writes report.html (or ``kind="xlsx"``) and returns its path; ``prefer``: what to point out in it."""
        from autotuner.report import write_report, write_workbook

        folder = OutputFolder(self.path)
        if kind == "xlsx":
            path = Path(out) if out else folder.report.with_suffix(".xlsx")
            write_workbook(self._results, path)
        else:
            path = Path(out) if out else folder.report
            chosen = None if prefer is None else self.preferred(prefer)
            write_report(self._results, path, note=_note(folder), preferred=chosen)
        return path

    def print_summary(self) -> None:
        """Prints the closing table on standard output."""
        from autotuner.report import print_summary

        print_summary(self._results)


def _note(folder: OutputFolder) -> str:
    """What a report of a folder that was fetched must say."""
    copy = fetched_copy(folder)
    if copy is None or copy.is_whole:
        return ""
    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(copy.at))
    return f"As far as job {copy.job} had come at {at}, when this copy was fetched; the job went on."


def load_result(path: str | Path) -> Result:
    """The result in an output folder, running or ended. Raises FolderError where there is none."""
    return Result(load_results(Path(path)))


def write_outputs(path: Path, interrupted_by: int | None = None, prefer: str | None = None) -> Result:
    """Tables, summary, report and deployment files of what has been measured so far; ``prefer`` as in ``Result``."""
    results = write_tables(path)
    result = Result(results, interrupted_by)
    result.report(prefer=prefer)
    _write_deployment_files(results, OutputFolder(path).deploy)
    return result


def rebuild(path: str | Path, prefer: str | None = None) -> list[Path]:
    """Makes all again that is made from the store: tables, summary, report, workbook, deployment files.

    Of a study that runs, the report alone: its driver writes the rest at its end. Without openpyxl there is no
    workbook. Returns what was written, the report first. Raises FolderError where there are no results.
    """
    folder = OutputFolder(Path(path))
    if study_progress(folder.path).standing.goes_on:
        return [load_result(folder.path).report(prefer=prefer)]
    result = write_outputs(folder.path, prefer=prefer)
    written = [folder.report, folder.summary_json, folder.trials_csv, folder.measurements_csv, folder.pareto_csv]
    with contextlib.suppress(MissingExtraError):
        written.append(result.report("xlsx"))
    return [*written, *sorted(file for file in folder.deploy.rglob("*") if file.is_file())]


def _write_deployment_files(results: StudyResults, deploy: Path) -> None:
    """Of the best Configs; what is left of an earlier order of them goes."""
    from autotuner.api.exporting import export_configs

    for place in deploy.glob("top[0-9]*"):
        shutil.rmtree(place)
    (deploy / _NOT_WRITTEN).unlink(missing_ok=True)
    if results.best is None or results.study.launcher.kind == "endpoint":
        return
    reasons = []
    for target in targets():
        try:
            export_configs(results, target, deploy, top=3)
        except InputError as error:  # what was measured stands, whether or not it can be written as a manifest
            reasons.append(f"{target}: {error.message}\n")
    if reasons:
        deploy.mkdir(exist_ok=True)
        (deploy / _NOT_WRITTEN).write_text("".join(reasons), encoding="utf-8")
