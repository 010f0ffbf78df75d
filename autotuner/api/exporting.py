"""Deployment files of a study's best Configs."""

from __future__ import annotations

import math
from pathlib import Path

from autotuner.engines import Deployment, one_engine
from autotuner.errors import InputError
from autotuner.manifests import ExportOptions, ManifestContext, render
from autotuner.results import OutputFolder, StudyResults, TrialPoint, TrialRecord
from autotuner.results.replay_table import NAME, write_replay_table
from autotuner.results.replayed import replayed_text
from autotuner.space.config import Config
from autotuner.space.memory import GIB, weight_bytes
from autotuner.study.hardware_profiles import known_profile
from autotuner.study.known_models import KnownModels
from autotuner.study.model import DockerLauncher, Study

# Of a host's memory. A GPU's server: what vLLM's own example of a Deployment requests for one GPU (docs, "Using
# Kubernetes"). On a CPU: weights, and beside them a KV cache and buffers as large as a quarter of them.
_GIB_PER_GPU = 6
_SHM_GIB = 16  # where containers shared their host's
_CPU_SERVER = 1.25
_CPU_SERVER_GIB = 1
_NO_OPTIONS = ExportOptions()
_PLACES = {"image": ("compose", "kubernetes"), "namespace": ("kubernetes",), "pvc": ("kubernetes",)}


def export_configs(
    results: StudyResults,
    target: str,
    out: Path,
    *,
    top: int = 1,
    trial_id: str | None = None,
    options: ExportOptions = _NO_OPTIONS,
) -> list[Path]:
    """Writes ``out/top1/…``, ``out/top2/…`` (or ``out/<trial_id>/…``); returns the files."""
    check_options(target, options)
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
    return [path for name, point in chosen.items() for path in _write(results, target, point, out / name, options)]


def export_table(results: StudyResults, out: Path) -> list[Path]:
    """The measurements for people, and as a table that studies can be replayed from."""
    out.mkdir(parents=True, exist_ok=True)
    measurements, table = out / "measurements.csv", out / NAME
    results.measurements.to_csv(measurements, index=False)
    write_replay_table(results, table)
    return [measurements, table]


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


def check_options(target: str, options: ExportOptions) -> None:
    """Raises InputError for one that the target has no place for."""
    for key, places in _PLACES.items():
        value = getattr(options, key)
        if value is not None and target not in places:
            rule = f"for the target {' or '.join(places)}"
            message = f"{key}: {value!r}: the target {target} has no place for it; it is {rule}"
            raise InputError(message, key=key, value=value, rule=rule)


def _write(results: StudyResults, target: str, point: TrialPoint, folder: Path, options: ExportOptions) -> list[Path]:
    study = results.study
    engine, own_study, own_config = one_engine(study, Config(point.config))
    deployment = engine.deployment(own_study, own_config)
    record = next(record for record in results.trial_records if record.trial_id == point.trial_id)
    context = ManifestContext(
        study_name=study.name,
        trial_id=point.trial_id,
        config=point.config,
        summary=_summary_lines(results, point),
        start_timeout_s=study.timeouts.start_s,
        image=options.image,
        engine_version=record.engine_version,
        gpu_products=_gpu_products(own_study, record),
        memory_gib=_memory_gib(own_study, deployment, OutputFolder(results.path).known_models()),
        shm_gib=_shm_gib(own_study),
        namespace=options.namespace,
        claim=options.pvc,
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


def _gpu_products(study: Study, record: TrialRecord) -> tuple[str, ...]:
    """NVML's names of the GPUs that the trial was measured on; none where they are not known."""
    types = study.hardware.accelerators
    name = record.accelerator or str(record.config.get("accelerator", types[0] if len(types) == 1 else ""))
    profile = known_profile(name) if name else None
    return profile.nvml_names if profile is not None else (name,) if name else ()


def _shm_gib(study: Study) -> int:
    """Shared memory between a server's processes, which containers have little of: as it was measured, else the default
    of a study in containers."""
    launcher = study.launcher if isinstance(study.launcher, DockerLauncher) else DockerLauncher(kind="docker")
    return math.ceil(launcher.shm_gib or _SHM_GIB)


def _memory_gib(study: Study, deployment: Deployment, models: KnownModels | None) -> int | None:
    """What one server needs of its host: the limit that it was measured under, else by its size, where it is known."""
    launcher = study.launcher
    if isinstance(launcher, DockerLauncher) and launcher.memory_gib is not None:
        return math.ceil(launcher.memory_gib)
    gpus = deployment.gpus // max(1, deployment.replicas)
    if gpus:
        return _GIB_PER_GPU * gpus
    variant = next((name for name, model in study.model.variants.items() if model == deployment.model), None)
    facts = None if models is None else models.facts if variant is None else models.variants.get(variant)
    weights = None if facts is None else weight_bytes(facts)
    return None if weights is None else _CPU_SERVER_GIB + math.ceil(_CPU_SERVER * weights.total / GIB)


def _summary_lines(results: StudyResults, point: TrialPoint) -> tuple[str, ...]:
    value = "no value" if point.value is None else f"{point.value:.6g}"
    replayed = replayed_text(results.study)
    return (
        *([replayed] if replayed else []),
        f"{results.study.objectives[0]}: {value} ({point.scope or 'nothing measured'}, trial {point.trial_id})",
        "meets every SLO" if point.slo_met else "does not meet every SLO",
    )
