"""Deployment files of a study's best Configs."""

from __future__ import annotations

from pathlib import Path

from autotuner.engines import one_engine
from autotuner.errors import InputError
from autotuner.manifests import ManifestContext, render
from autotuner.results import StudyResults, TrialPoint
from autotuner.space.config import Config


def export_configs(
    results: StudyResults, target: str, out: Path, *, top: int = 1, trial_id: str | None = None
) -> list[Path]:
    """Writes ``out/top1/…``, ``out/top2/…`` (or ``out/<trial_id>/…``); returns the files."""
    if results.study.launcher.kind == "endpoint":
        raise InputError("a study of a server that ran already has nothing to deploy: its flags are not known")
    if trial_id is not None:
        chosen = {trial_id: _point_of(results, trial_id)}
    else:
        if top < 1:
            raise InputError(f"top: {top} is less than 1", key="top", value=top, rule="at least 1")
        ranked = results.ranked()[:top]
        if not ranked:
            raise InputError("no Config is feasible: there is nothing to deploy; --trial ID exports one regardless")
        chosen = {f"top{place}": point for place, point in enumerate(ranked, start=1)}
    return [path for name, point in chosen.items() for path in _write(results, target, point, out / name)]


def export_table(results: StudyResults, out: Path) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    path = out / "measurements.csv"
    results.measurements.to_csv(path, index=False)
    return path


def _point_of(results: StudyResults, trial_id: str) -> TrialPoint:
    point = results.point_of(trial_id)
    if point is None:
        known = [record.trial_id for record in results.trial_records]
        raise InputError(
            f"trial: {trial_id!r} is not a trial of this study",
            key="trial",
            value=trial_id,
            rule=f"one of {', '.join(known)}",
        )
    return point


def _write(results: StudyResults, target: str, point: TrialPoint, folder: Path) -> list[Path]:
    study = results.study
    engine, own_study, own_config = one_engine(study, Config(point.config))
    deployment = engine.deployment(own_study, own_config)
    context = ManifestContext(
        study_name=study.name,
        trial_id=point.trial_id,
        config=point.config,
        summary=_summary_lines(results, point),
        start_timeout_s=study.timeouts.start_s,
    )
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in render(target, deployment, context).items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        if name.endswith(".sh"):
            path.chmod(0o755)
        written.append(path)
    return written


def _summary_lines(results: StudyResults, point: TrialPoint) -> tuple[str, ...]:
    value = "no value" if point.value is None else f"{point.value:.6g}"
    return (
        f"{results.study.objectives[0]}: {value} ({point.scope or 'nothing measured'}, trial {point.trial_id})",
        "meets every SLO" if point.slo_met else "does not meet every SLO",
    )
