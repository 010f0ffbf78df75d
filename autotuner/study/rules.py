"""Rules between the keys of a study."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath

from autotuner.errors import StudyError
from autotuner.strict.problem import Problem, nearest_name
from autotuner.study import docker_words
from autotuner.study.environment import environment_problems
from autotuner.study.extra_body import extra_body_problems
from autotuner.study.hardware_profiles import hardware_profiles
from autotuner.study.load_search_rules import load_search_problems
from autotuner.study.model import (
    ConcurrencyLoad,
    DockerLauncher,
    EndpointLauncher,
    EngineSettings,
    FindMaxLoad,
    RateLoad,
    Study,
    Trace,
)

_MOST_OBJECTIVES = 4
# The grammar of github.com/distribution/reference.
_IMAGE = re.compile(
    r"(?:[A-Za-z0-9][A-Za-z0-9.-]*(?::\d+)?/)?"
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
    r"(?::\w[\w.-]{0,127})?(?:@[A-Za-z0-9+._-]+:[0-9a-fA-F]{32,})?"
)
_ONE_OBJECTIVE_ALONE = ("cmaes", "hyperopt")
_SECRET_VARIABLE = re.compile(r"(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_KEY|CREDENTIALS?)$", re.IGNORECASE)
_SECRET_HEADER = re.compile(r"(authorization|api-?key|token|cookie|secret)$", re.IGNORECASE)
_ADAPTER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_FROM_ENV = "a secret, which would be written down: {from_env: VARIABLE}"


def broken_rules(study: Study) -> list[Problem]:
    """Everything that is wrong between keys which are each well-formed."""
    return [
        *_engine(study),
        *_workload(study),
        *_load(study),
        *load_search_problems(study),
        *_lora(study),
        *_prices(study),
        *_objectives(study),
        *_fidelity(study),
        *_endpoint(study),
        *_docker(study),
        *environment_problems(study),
        *_secrets(study),
    ]


def _engine(study: Study) -> Iterator[Problem]:
    names = list(study.engine.names)
    if len(set(names)) < len(names):
        yield Problem("engine.name", names, "each engine once")


def _docker(study: Study) -> Iterator[Problem]:
    if not isinstance(study.launcher, DockerLauncher):
        return
    sections: dict[str, EngineSettings] = {"engine": study.engine}
    sections |= {f"engine.per_engine.{name}": settings for name, settings in study.engine.per_engine.items()}
    for key, section in sections.items():
        yield from _images(study, f"{key}.image", section.image)
    try:
        docker_words.read(study.launcher.extra_args)
    except StudyError as error:
        yield Problem("launcher.extra_args", error.value, error.rule or error.message, error.nearest)


def _images(study: Study, key: str, image: str | dict[str, str] | None) -> Iterator[Problem]:
    images = image if isinstance(image, dict) else {"": image} if image is not None else {}
    accelerators = study.hardware.accelerators
    for name, text in images.items():
        own_key = f"{key}.{name}" if name else key
        if name and name not in accelerators:
            yield Problem(own_key, name, "a GPU type of hardware.accelerators", nearest_name(name, accelerators))
        if _IMAGE.fullmatch(text) is None:
            yield Problem(own_key, text, "the name of an image: [REGISTRY/]NAME[:TAG][@DIGEST], NAME in small letters")


def _prices(study: Study) -> Iterator[Problem]:
    """A price is found by the GPU type that the study names: of another one it would never be used."""
    prices, accelerators = study.hardware.cost_per_gpu_hour, study.hardware.accelerators
    for name, price in prices.items() if isinstance(prices, dict) else ():
        if name in accelerators:
            continue
        key = f"hardware.cost_per_gpu_hour.{name}"
        if accelerators:
            rule = f"the price of a GPU type of hardware.accelerators, which are {', '.join(accelerators)}"
            nearest = nearest_name(name, accelerators)
        else:
            known = [profile.name for profile in hardware_profiles()]
            rule = "the price of a GPU type, which hardware.accelerators must name as well"
            nearest = name if name in known else nearest_name(name, known)
        yield Problem(key, price, rule, None if nearest == name else nearest)


def _workload(study: Study) -> Iterator[Problem]:
    workload = study.workload
    if workload.scenario is None and not workload.scenarios:
        yield Problem("workload.scenario", None, "is required, or workload.scenarios", shows_value=False)
    if workload.scenario is not None and workload.scenarios:
        yield Problem("workload.scenarios", None, "give either scenario or scenarios, not both", shows_value=False)
    yield from extra_body_problems(workload.extra_body)


def _load(study: Study) -> Iterator[Problem]:
    workload, load = study.workload, study.workload.load
    if isinstance(load, FindMaxLoad):
        return
    if isinstance(load, ConcurrencyLoad):
        kind, levels = "concurrency", [float(level) for level in load.concurrency]
    elif isinstance(load, RateLoad):
        kind, levels = "rate", load.rate
    else:
        kind, levels = "speed", load.speed
        sources = [workload.scenario, *(part.scenario for part in workload.scenarios)]
        given = [source for source in sources if source is not None]
        if len(given) != 1 or not isinstance(given[0], Trace):
            yield Problem("workload.load.speed", load.speed, "needs the timestamps of one scenario, {trace: FILE}")
    if len(set(levels)) < len(levels):
        yield Problem(f"workload.load.{kind}", levels, "each level once")


def _lora(study: Study) -> Iterator[Problem]:
    lora = study.workload.lora
    if lora is None:
        return
    served = study.model.served_name or PurePath(study.model.id).name
    for name in lora.adapters:
        if not _ADAPTER_NAME.fullmatch(name):
            rule = "an adapter's name in requests: letters, digits and . _ - (a letter or digit first)"
            yield Problem("workload.lora.adapters", name, rule)
        elif name == served:
            rule = "is the served model's own name: give the adapter another, or set model.served_name"
            yield Problem(f"workload.lora.adapters.{name}", name, rule)


def _objectives(study: Study) -> Iterator[Problem]:
    names = study.objectives
    if not 1 <= len(names) <= _MOST_OBJECTIVES or not all(names):
        yield Problem("objective", list(names), f"one name, or a list of 1 to {_MOST_OBJECTIVES}")
    if len(set(names)) < len(names):
        yield Problem("objective", list(names), "each objective once")
    if len(names) > 1 and study.search.algorithm in _ONE_OBJECTIVE_ALONE:
        yield Problem(
            "search.algorithm", study.search.algorithm, "takes one objective; for several: auto, tpe, nsga2", "auto"
        )
    priced = study.hardware.cost_per_gpu_hour is not None or study.hardware.cost_per_cpu_hour is not None
    for name in names:
        if (name.endswith("_per_cost") or name.startswith("cost_")) and not priced:
            yield Problem("objective", name, "needs hardware.cost_per_gpu_hour or hardware.cost_per_cpu_hour")


def _fidelity(study: Study) -> Iterator[Problem]:
    if study.fidelity.cut == "levels" and study.fidelity.trial_scheduler == "hyperband":
        rule = "hyperband compares trials whatever level they began with: give requests, or another trial_scheduler"
        yield Problem("fidelity.cut", "levels", rule, "requests")
    if study.fidelity.compare == "front" and study.fidelity.trial_scheduler == "hyperband":
        rule = "hyperband compares trials by the first objective: give first, or another trial_scheduler"
        yield Problem("fidelity.compare", "front", rule, "first")


def _endpoint(study: Study) -> Iterator[Problem]:
    if not isinstance(study.launcher, EndpointLauncher):
        return
    rule = "a server that already runs has no flags to search over: leave it out, or start servers (kind: process)"
    if study.space.parameters:
        yield Problem("space.parameters", sorted(study.space.parameters), rule)
    if study.engine.command:
        yield Problem("engine.command", study.engine.command, "a server that already runs is not started: leave it out")
    if study.search.baseline != "default":
        yield Problem("search.baseline", study.search.baseline, "a server that already runs has one Config: default")


def _secrets(study: Study) -> Iterator[Problem]:
    for name, value in study.engine.env.items():
        if isinstance(value, str) and _SECRET_VARIABLE.search(name):
            yield Problem(f"engine.env.{name}", None, _FROM_ENV, shows_value=False)
    for name in study.space.parameters:
        if name.startswith("env.") and _SECRET_VARIABLE.search(name):
            yield Problem(f"space.parameters.{name}", None, "a secret can't be searched over", shows_value=False)
    if not isinstance(study.launcher, EndpointLauncher):
        return
    for name, value in study.launcher.headers.items():
        if isinstance(value, str) and _SECRET_HEADER.search(name):
            yield Problem(f"launcher.headers.{name}", None, _FROM_ENV, shows_value=False)
    if "@" in study.launcher.url.partition("://")[2].partition("/")[0]:
        rule = "no password in it, which would be written down: use headers with {from_env: VARIABLE}"
        yield Problem("launcher.url", None, rule, shows_value=False)
