"""Weights that a Config needs of a hub, fetched to this node before its server starts: once a node and model."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from autotuner.engines import Deployment, ModelFormat, Problem, get_engine
from autotuner.engines.deployment import Address, SecretEnv
from autotuner.errors import InfrastructureError, InputError
from autotuner.servers.machine.lock_file import lock_folder, try_lock
from autotuner.servers.secrets import read_variable
from autotuner.servers.supervision.rank_starter import inherited_env
from autotuner.servers.supervision.tags import OWNER
from autotuner.study.model import Study

_PACKAGE = "huggingface_hub"
_FETCHER = Path(__file__).with_name("hub_fetcher.py")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_NOWHERE = Address("", 0)
_NOT_MOUNTED = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME")
_PLACES = ("HF_HOME", *_NOT_MOUNTED, "HOME")
# Where a container has its cache says nothing about this node, whose own (HF_HOME) is mounted there.
_OF_THE_HUB = re.compile(r"(HF|HUGGING_?FACE)_\w+")
_POLL_S = 0.2


@dataclass(frozen=True)
class FetchOrder:
    """What is to be fetched for a launch. ``timeout_s`` is for all of it, waiting for others included.

    ``tags`` mark the process that fetches; ``log`` takes what it says (``None``: nobody).
    """

    study: Study
    deployment: Deployment
    timeout_s: float
    tags: Mapping[str, str] = field(default_factory=dict)
    log: Path | None = None


@dataclass(frozen=True)
class _Weights:
    model: str
    revision: str | None = None
    cache_dir: str | None = None

    @property
    def words(self) -> list[str]:
        revision = [] if self.revision is None else ["--revision", self.revision]
        return [self.model, *revision, *([] if self.cache_dir is None else ["--cache-dir", self.cache_dir])]


def prefetch(order: FetchOrder) -> None:
    """Fetches what the deployment's servers would, into the cache where they look; nothing where that is switched off.

    Concurrent trials of one node wait for one download. What this driver's study has fetched is not asked for again.
    Raises InputError for what the hub has not, or not for us, and InfrastructureError when it can't be reached or is
    too slow.
    """
    ends_at = time.monotonic() + order.timeout_s
    for weights in _wanted(order):
        environment = _environment(order)
        with _locked(weights, environment, ends_at) as descriptor:
            if not _is_known(descriptor, order):
                path = _fetch(weights, {**environment, **order.tags}, order.log, ends_at)
                _remember(descriptor, order, path)


def prefetch_problem(study: Study) -> Problem | None:
    """What this machine lacks for it."""
    wanted = [study.model.id, *study.model.variants.values(), *_adapters(study)]
    if not _is_on(study, study.engine.names) or importlib.util.find_spec(_PACKAGE) or not any(map(_is_of_hub, wanted)):
        return None
    rule = "weights are fetched by each server itself, within timeouts.start_s: pip install huggingface_hub"
    return Problem("model.prefetch", True, f"{_PACKAGE} is not installed, so {rule}", fatal=False)


def _is_on(study: Study, engines: Sequence[str]) -> bool:
    if not study.model.prefetch or not study.launcher.starts_servers:
        return False
    return any(get_engine(name).model_format is ModelFormat.HUB for name in engines)


def _wanted(order: FetchOrder) -> list[_Weights]:
    study, deployment = order.study, order.deployment
    if not _is_on(study, [deployment.engine]) or importlib.util.find_spec(_PACKAGE) is None:
        return []
    folder = _flag(deployment, "--download-dir")
    if folder is not None and study.launcher.kind == "docker":
        return []  # a folder of the container's
    model = _Weights(deployment.model, _flag(deployment, "--revision"), folder)
    found = [model, *(_Weights(adapter, cache_dir=folder) for adapter in _adapters(study))]
    return [weights for weights in found if _is_of_hub(weights.model)]


def _adapters(study: Study) -> list[str]:
    return [] if study.workload.lora is None else list(study.workload.lora.adapters.values())


def _is_of_hub(model: str) -> bool:
    return _HUB_ID.fullmatch(model) is not None and not Path(model).exists()


def _flag(deployment: Deployment, name: str) -> str | None:
    """The value of a flag in the argv of the deployment's first rank."""
    words = deployment.groups[0].ranks[0].bound_argv(_NOWHERE, _NOWHERE, "")
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == name:
            return following
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None


def _environment(order: FetchOrder) -> dict[str, str]:
    """Where the servers will look and how they are known there: as their own environment says."""
    bound = order.deployment.groups[0].ranks[0].bound_env(_NOWHERE, _NOWHERE, "")
    inherited = inherited_env()
    if order.study.launcher.kind == "docker":
        bound = {name: value for name, value in bound.items() if _OF_THE_HUB.fullmatch(name) and name not in _PLACES}
        inherited = {name: value for name, value in inherited.items() if name not in _NOT_MOUNTED}
    read = {
        name: read_variable(f"engine.env.{name}", value.name) if isinstance(value, SecretEnv) else value
        for name, value in bound.items()
    }
    return {**inherited, **read}


def _fetch(weights: _Weights, environment: Mapping[str, str], log: Path | None, ends_at: float) -> str:
    """The folder that the weights are in."""
    with contextlib.ExitStack() as held:
        said: IO[bytes] | int = subprocess.DEVNULL if log is None else held.enter_context(log.open("ab"))
        process = held.enter_context(
            subprocess.Popen(
                [sys.executable, "-P", str(_FETCHER), *weights.words],
                env=dict(environment),
                stdin=subprocess.PIPE,  # at its end, which our death is as well, it ends too
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
        )
        held.callback(process.kill)
        told = _Answer.read(process, ends_at, weights.model)
    if told.kind == "fetched":
        return told.path
    if told.kind == "refused":
        raise InputError(
            f"{weights.model} can't be fetched: {told.message}", key="model", value=weights.model, rule=told.message
        )
    raise InfrastructureError(f"{weights.model} can't be fetched: {told.message}")


@dataclass(frozen=True)
class _Answer:
    kind: str
    message: str = ""
    path: str = ""

    @classmethod
    def read(cls, process: subprocess.Popen[str], ends_at: float, model: str) -> _Answer:
        assert process.stdout is not None
        while process.poll() is None:
            if time.monotonic() > ends_at:
                raise InfrastructureError(f"{model} was not fetched in time (timeouts.fetch_s)")
            time.sleep(_POLL_S)
        lines = process.stdout.read().splitlines()
        try:
            return cls(**json.loads(lines[-1]))
        except (IndexError, ValueError, TypeError):
            return cls("fault", f"the process that fetched it ended with exit code {process.returncode}")


@contextlib.contextmanager
def _locked(weights: _Weights, environment: Mapping[str, str], ends_at: float) -> Iterator[int]:
    """The lock of these weights in this cache while the context lasts; its file remembers who fetched them."""
    place = [environment.get(name) for name in _PLACES]
    name = hashlib.sha256(json.dumps([place, weights.words]).encode()).hexdigest()[:32]
    path = lock_folder("weights") / f"{name}.lock"
    while (descriptor := try_lock(path)) is None:
        if time.monotonic() > ends_at:
            raise InfrastructureError(f"{weights.model} was not fetched by another trial in time (timeouts.fetch_s)")
        time.sleep(_POLL_S)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_known(descriptor: int, order: FetchOrder) -> bool:
    owner = order.tags.get(OWNER)
    with contextlib.suppress(ValueError):
        note: Any = json.loads(os.pread(descriptor, 4096, 0) or b"{}")
        return owner is not None and note.get("owner") == owner and Path(note["path"]).is_dir()
    return False


def _remember(descriptor: int, order: FetchOrder, path: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps({"owner": order.tags.get(OWNER), "path": path}).encode(), 0)
