"""init, and run without a file: a commented study made of what one line says, of the machine and of the model."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from autotuner.api.sizing import Sizing, size_up
from autotuner.benchmark import check_workload
from autotuner.engines import get_engine
from autotuner.engines.flags.catalogue import load_catalogue
from autotuner.scoring import parse_objective
from autotuner.study import Study, absolute_path, load_study_text, read_slos, shipped_space_names, yaml_scalar

_LLAMACPP = "llamacpp"
_DEFAULT_PROFILE = "slo/balanced"
_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_NAME = 63


@dataclass(frozen=True)
class Wish:
    """What a study is asked for in one line. What is ``None`` or empty is chosen.

    ``gpus``: as many as a server may use; by default those of this machine, or of the largest node at ``address``;
    0: it runs on the CPU. ``accelerator`` is a name of search_spaces/hardware. ``slos`` are texts such as
    ``ttft.p90=300ms``. ``shared_prefix``: tokens at the start of every prompt that are the same in all.
    """

    engine: str = _LLAMACPP
    model: str = "models/tiny.gguf"
    gpus: int | None = None
    accelerator: str | None = None
    name: str | None = None
    slos: Sequence[str] = ()
    profiles: Sequence[str] = ()
    scenario: str | None = None
    shared_prefix: int | None = None
    concurrency: Sequence[int] = ()
    objective: Sequence[str] = ()
    trials: int = 40
    address: str | None = None


def init_study(
    engine: str = _LLAMACPP,
    model: str = "models/tiny.gguf",
    gpus: int | None = None,
    name: str | None = None,
    **more: Any,
) -> str:
    """The text of a study file; further keywords are the other fields of ``Wish``. Raises InputError."""
    return study_text(Wish(engine=engine, model=model, gpus=gpus, name=name, **more))


def start_study(wish: Wish, overrides: Sequence[str] = ()) -> tuple[str, Study]:
    """A study without a file: its text, and what it resolves to here. Raises InputError."""
    text = study_text(wish)
    return text, load_study_text(text, absolute_path(""), overrides).study


def study_text(wish: Wish, beside: Path | None = None) -> str:
    """A commented study file for the folder ``beside``, by default the working folder; it loads there.

    Raises InputError for what can't be wished for.
    """
    folder = absolute_path(beside or "")
    model = _seen_from(folder, wish.model)
    text = _rendered(wish, model)
    study = load_study_text(text, folder).study
    check_workload(study.workload)
    fixed = _prefix_cache(study)
    return _rendered(wish, model, fixed) if fixed else text


def _prefix_cache(study: Study) -> dict[str, Any]:
    """The prefix cache's flag at the server's usual value, where the included file searches over it in vain: with
    random prompts that share nothing."""
    flag = load_catalogue(study.engine.names[0]).means("prefix_caching")
    if flag is None or flag.name not in study.space.parameters or study.workload.shared_prefix_tokens:
        return {}
    return {flag.name: True if flag.default is None else flag.default}


def _rendered(wish: Wish, model: str, fixed: Mapping[str, Any] = MappingProxyType({})) -> str:
    get_engine(wish.engine)
    slo = read_slos(wish.slos)
    for name in wish.objective:
        parse_objective(name)
    catalogue = load_catalogue(wish.engine)
    running, length = catalogue.means("max_running_requests"), catalogue.means("max_model_len")
    sizing = size_up(wish.engine, wish.model, wish.gpus, wish.accelerator, wish.address)
    is_llamacpp = wish.engine == _LLAMACPP
    return _template("llamacpp.yaml.j2" if is_llamacpp else "gpu.yaml.j2").render(
        engine=wish.engine,
        version=catalogue.version,
        example=None if running is None else running.name,
        fixed=fixed,
        shared_prefix=wish.shared_prefix,
        model=model,
        about_model=sizing.about_model,
        name=wish.name or _study_name(wish.model),
        gpus=sizing.gpus,
        context=None if length is None or sizing.context is None else f"{length.name}: {sizing.context}",
        accelerators=list(sizing.accelerators),
        tp=list(sizing.tp),
        about_tp=sizing.about_tp,
        space_file=_space_file(wish.engine, sizing),
        scenario=wish.scenario or ("D(512,128)" if is_llamacpp else "D(1000,200)"),
        concurrency=list(wish.concurrency) or ([1, 4, 16] if is_llamacpp else [1, 8, 32, 128]),
        objective=_objective(wish, sizing),
        trials=wish.trials,
        **_slo_parts(wish, slo, is_llamacpp),
    )


def _objective(wish: Wish, sizing: Sizing) -> str | list[str]:
    if not wish.objective:
        return "goodput_per_gpu" if sizing.gpus else "goodput"
    return wish.objective[0] if len(wish.objective) == 1 else list(wish.objective)


def _slo_parts(wish: Wish, slo: dict[str, Any], is_llamacpp: bool) -> dict[str, Any]:
    """SLOs that were asked for, else what is usual: limits of a small machine, or the balanced profile."""
    if slo or wish.profiles:
        return {"slo": slo, "profiles": list(wish.profiles)}
    if is_llamacpp:
        return {"slo": read_slos(["ttft.p90=2s", "tpot.mean=100ms"]), "profiles": []}
    return {"slo": {}, "profiles": [_DEFAULT_PROFILE]}


def _space_file(engine: str, sizing: Sizing) -> str | None:
    """The shipped space that suits the model; ``None`` for an engine without one."""
    wanted = [f"{engine}/moe"] if sizing.is_moe else []
    known = shipped_space_names()
    return next((name for name in (*wanted, f"{engine}/throughput") if name in known), None)


def _study_name(model: str) -> str:
    """The model's name as the name of a study and of its folder."""
    path = PurePath(model)
    name = path.stem if path.suffix.lower() == ".gguf" else path.name
    return _NAME.sub("-", name).strip("._-")[:_LONGEST_NAME] or "study"


def _seen_from(folder: Path, model: str) -> str:
    """A local path as a study file in ``folder`` must name it: relative to itself. A hub id stays."""
    path = Path(model)
    is_local = path.exists() or path.suffix == ".gguf"
    return os.path.relpath(path, folder) if is_local and not path.is_absolute() else model


def _template(name: str) -> Template:
    environment = Environment(  # noqa: S701  # YAML: every value goes through a filter
        loader=PackageLoader("autotuner.api"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["scalar"] = json.dumps  # JSON is YAML
    environment.filters["flow"] = _flow
    return environment.get_template(name)


def _flow(value: Any) -> str:
    """A value in one line, without quotes where YAML needs none."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return yaml_scalar(value)
