"""llama.cpp's llama-server.

Flags: tools/server/README.md of ggml-org/llama.cpp. The argv's executable is the logical name
``llama-server``; the launcher finds that binary, or starts the same server from the xllamacpp wheel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from autotuner.engines.catalogue import Catalogue, load_catalogue
from autotuner.engines.deployment import Deployment, Probe, Rank, SecretEnv, ServerGroup, VersionProbe, literal
from autotuner.engines.engine import FailureReport, Problem, RequestFeatures
from autotuner.engines.log_pattern import LogPattern, diagnose_log
from autotuner.errors import Failure, StudyError
from autotuner.space.config import Config
from autotuner.study.model import SecretRef, Study

EXECUTABLE = "llama-server"
ENV_PREFIX = "env."
_PLAIN_CACHE_TYPES = ("f32", "f16", "bf16")

_PATTERNS = (
    LogPattern(r"couldn't bind HTTP server socket", Failure.INFRASTRUCTURE),
    LogPattern(r"CUDA error: (?!out of memory)", Failure.INFRASTRUCTURE),
    LogPattern(r"(?i)out of memory|insufficient memory|std::bad_alloc", Failure.OUT_OF_MEMORY_AT_START),
    LogPattern(r"failed to allocate|unable to allocate", Failure.OUT_OF_MEMORY_AT_START),
    LogPattern(r"^error: (invalid argument|argument |unknown argument|--)", Failure.INVALID_CONFIG),
    LogPattern(r"^error: .*(expected|requires|invalid|unknown|unsupported)", Failure.INVALID_CONFIG),
    LogPattern(r"failed to open GGUF file|invalid magic characters", Failure.INVALID_CONFIG),
    LogPattern(r"error loading model|failed to load model", Failure.INVALID_CONFIG),
    LogPattern(r"requires flash_attn|not supported|unsupported", Failure.INVALID_CONFIG),
    LogPattern(r"failed to create[_ ]context", Failure.INVALID_CONFIG),
)


@dataclass(frozen=True)
class LlamaCpp:
    """llama.cpp, one process a server, on CPU cores or on the GPUs that the study gives to each server."""

    name: str = "llamacpp"

    def problems(self, study: Study, names_and_values: Sequence[tuple[str, object]]) -> list[Problem]:
        catalogue = load_catalogue(self.name, study.engine.version)
        pairs = [(f"engine.args.{name}", name, value) for name, value in study.engine.args.items()]
        pairs += [(f"space.parameters.{name}", name, value) for name, value in names_and_values]
        found = [problem for pair in pairs if (problem := _problem(catalogue, *pair)) is not None]
        found += _double_settings(catalogue, study, [name for name, _ in names_and_values])
        return found or list(_contradictions(_canonical(catalogue, study.engine.args)))

    def deployment(self, study: Study, config: Config) -> Deployment:
        catalogue = load_catalogue(self.name, study.engine.version)
        flags = _canonical(catalogue, study.engine.args) | _canonical(catalogue, _without_env(config))
        threads = _threads(study, flags)
        flags["threads"] = flags.get("threads") or threads
        rank = Rank(
            argv=(*_command(study), *_arguments(study, catalogue, flags)),
            env=_environment(study, config),
            gpus=study.hardware.gpus_per_server,
            cpus=threads,
        )
        return Deployment(
            engine=self.name,
            engine_version=catalogue.version,
            model=study.model.id,
            served_name=served_name(study),
            groups=(ServerGroup(ranks=(rank,)),),
            health=Probe("/health"),
            ready=Probe("/health"),
            metrics=Probe("/metrics") if flags.get("metrics") else None,
            version=VersionProbe("/props", "build_info"),
        )

    def features(self, study: Study, config: Config) -> RequestFeatures:
        # `cache_prompt` is not sent: a request's own value would override the flag under test.
        return RequestFeatures(token_ids=True, ignore_eos=True)

    def diagnose(self, exit_code: int | None, log_tail: str) -> FailureReport:
        return diagnose_log(_PATTERNS, exit_code, log_tail)


def served_name(study: Study) -> str:
    """The model's name in requests: the study's, else the last part of the id."""
    return study.model.served_name or PurePath(study.model.id).name


def _problem(catalogue: Catalogue, key: str, name: str, value: object) -> Problem | None:
    if not name.startswith(ENV_PREFIX):
        return catalogue.problem(key, name, value)
    return None if value is None or isinstance(value, str) else Problem(key, value, "a text (quote it)")


def _double_settings(catalogue: Catalogue, study: Study, searched: Sequence[str]) -> Iterator[Problem]:
    """One flag under two names, or both fixed and searched."""
    spelled: dict[str, str] = {}
    for name in study.engine.args:
        flag = catalogue.find(name)
        if flag is not None and spelled.setdefault(flag.name, name) != name:
            yield Problem(f"engine.args.{name}", name, f"is the same flag as {spelled[flag.name]}", flag.name)
    fixed = set(spelled)
    for name in dict.fromkeys(searched):
        flag = catalogue.find(name)
        if flag is None:
            continue
        if flag.name in fixed:
            yield Problem(f"space.parameters.{name}", name, f"is fixed by engine.args.{spelled[flag.name]} already")
        elif spelled.setdefault(flag.name, name) != name:
            yield Problem(f"space.parameters.{name}", name, f"is the same flag as {spelled[flag.name]}", flag.name)


def _contradictions(flags: Mapping[str, Any]) -> Iterator[Problem]:
    """What the server refuses among the flags that every Config shares."""
    cache_type = flags.get("cache-type-v")
    if flags.get("flash-attn") in ("off", False) and cache_type not in (None, *_PLAIN_CACHE_TYPES):
        yield Problem("engine.args.cache-type-v", cache_type, "a quantised V cache needs flash-attn on or auto", "f16")
    slots, context = flags.get("parallel"), flags.get("ctx-size")
    if isinstance(slots, int) and isinstance(context, int) and 0 < context < slots:
        yield Problem("engine.args.ctx-size", context, f"must hold at least a token for each of {slots} slots")


def _canonical(catalogue: Catalogue, values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` under their long flag names. Raises StudyError for an unknown or ill-valued flag."""
    found = {}
    for name, value in values.items():
        problem = catalogue.problem(name, name, value)
        flag = catalogue.find(name)
        if problem is not None or flag is None:
            rule, nearest = (problem.rule, problem.nearest) if problem else ("unknown", None)
            hint = f"; did you mean {nearest}?" if nearest else ""
            raise StudyError(f"{name}: {value!r}: {rule}{hint}", key=name, value=value, rule=rule, nearest=nearest)
        found[flag.name] = value
    return found


def _without_env(config: Config) -> dict[str, Any]:
    return {name: value for name, value in config.values.items() if not name.startswith(ENV_PREFIX)}


def _threads(study: Study, flags: Mapping[str, Any]) -> int:
    """Cores of a server: what the study says, else as many as its threads, else one.

    llama-server on its own would take every core of the machine.
    """
    if study.hardware.server_cpus is not None:
        return study.hardware.server_cpus
    return max(flags.get("threads") or 1, flags.get("threads-batch") or 1)


def _command(study: Study) -> tuple[str, ...]:
    return tuple(literal(word) for word in study.engine.command) or (EXECUTABLE,)


def _arguments(study: Study, catalogue: Catalogue, flags: Mapping[str, Any]) -> tuple[str, ...]:
    words = ["--model", literal(study.model.id), "--alias", literal(served_name(study))]
    words += ["--host", "{host}", "--port", "{port}"]
    for name in sorted(flags):
        words += [literal(word) for word in catalogue.flags[name].render(flags[name])]
    return tuple(words)


def _environment(study: Study, config: Config) -> dict[str, str | SecretEnv]:
    env: dict[str, str | SecretEnv] = {
        name: SecretEnv(value.from_env) if isinstance(value, SecretRef) else literal(value)
        for name, value in study.engine.env.items()
    }
    for name, value in config.values.items():
        if name.startswith(ENV_PREFIX) and value is not None:
            env[name.removeprefix(ENV_PREFIX)] = literal(str(value))
    return env
