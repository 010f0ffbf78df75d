"""ServerSettings: what a study and a Config ask of one server, sorted and judged; the part that engines share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autotuner.engines.deployment import (
    Deployment,
    HttpCall,
    Mount,
    Probe,
    Rank,
    SecretEnv,
    ServerGroup,
    VersionProbe,
    literal,
)
from autotuner.engines.engine import Engine, EngineRule, Problem, QuantValue
from autotuner.engines.flags.catalogue import Catalogue, load_catalogue
from autotuner.engines.flags.double_settings import GivenFlag, double_settings
from autotuner.engines.flags.spelling import put_key, twice
from autotuner.engines.nodes import gpus_per_node
from autotuner.engines.rule_book import rule_book
from autotuner.errors import StudyError
from autotuner.nearest import nearest_word
from autotuner.space.config import Config
from autotuner.space.expression import identifier
from autotuner.space.memory import UNQUANTISED_BITS, format_bits
from autotuner.space.parallelism import PARALLELISM_NAMES, Parallelism
from autotuner.space.quantization import AUTO, PREFIX, QUANTIZATION_FIELDS, QUANTIZATION_NAMES, Quantization
from autotuner.study.model import DockerLauncher, SecretRef, Study

ENV_PREFIX = "env."
_HEALTH = Probe("/health")
ENGINE = "engine"  # the parameter of a study with several engines
ACCELERATOR = "accelerator"  # the parameter of a study with several GPU types
GPUS_IN_NODE = "gpus_per_node"  # its name in rules
_IN_RULES = (*PARALLELISM_NAMES, *QUANTIZATION_NAMES, "gpus", GPUS_IN_NODE)
_EXPERTS_OF_VARIANT = "the experts of a checkpoint of model.variants have its own format: leave quant.moe auto"
NORMALISED = frozenset((*PARALLELISM_NAMES, *QUANTIZATION_NAMES, ENGINE, ACCELERATOR))


@dataclass(frozen=True)
class ServerSettings:
    """``flags`` are under their long names: those of the study, the Config, and what normalised names set."""

    catalogue: Catalogue
    model: str
    served_name: str
    flags: Mapping[str, Any]
    parallelism: Parallelism
    quantization: Quantization
    env: Mapping[str, str | SecretEnv]
    gpus: int
    image: str | None = None
    mounts: tuple[Mount, ...] = ()

    def deployment(
        self,
        ranks: Sequence[Rank],
        *,
        version: VersionProbe,
        metrics: Probe | None,
        ready: Probe = _HEALTH,
        cache_reset: HttpCall | None = None,
    ) -> Deployment:
        """One server of these ranks."""
        return Deployment(
            engine=self.catalogue.engine,
            engine_version=self.catalogue.version,
            model=self.model,
            served_name=self.served_name,
            groups=(ServerGroup(ranks=tuple(ranks)),),
            ready=ready,
            metrics=metrics,
            version=version,
            cache_reset=cache_reset,
            image=self.image,
            mounts=self.mounts,
        )

    def words(self, *, without: Sequence[str] = ()) -> tuple[str, ...]:
        """The argv words of the flags, by name, safe to bind."""
        words: list[str] = []
        for name in sorted(self.flags):
            if name not in without:
                words += [literal(word) for word in self.catalogue.flags[name].render(self.flags[name])]
        return tuple(words)


def read_settings(engine: Engine, study: Study, config: Config) -> ServerSettings:
    """Raises StudyError for an unknown or ill-valued flag, a format or a combination that the engine can't do."""
    catalogue = load_catalogue(engine.name, study.engine.version)
    parallelism, quantization = Parallelism.of(config.values), Quantization.of(config.values)
    own = {name: value for name, value in config.values.items() if is_flag(name)}
    flags = canonical(catalogue, {**study.engine.args, **own})
    formats, model = _formats(engine, study, quantization)
    for source, found in (("parallelism", engine.parallelism_flags(parallelism)), ("quantization", formats)):
        for name, value in found.items():
            _refuse_both(flags, name, value, source)
            flags[name] = value
    gpus = engine.gpus(parallelism)
    normalised = {**parallelism.as_dict(), **quantization.as_dict(), "gpus": gpus, GPUS_IN_NODE: gpus_per_node(study)}
    _refuse_impossible(engine, catalogue, flags, normalised)
    return ServerSettings(
        catalogue=catalogue,
        model=model,
        served_name=served_name(study),
        flags=flags,
        parallelism=parallelism,
        quantization=quantization,
        env=_environment(study, config),
        gpus=_given_gpus(engine, study, gpus),
        image=image_of(study),
        mounts=_mounts(study, model),
    )


def image_of(study: Study) -> str | None:
    """The image of the study's GPU type, where it has one for each."""
    image = study.engine.image
    if not isinstance(image, dict):
        return image
    return next((image[name] for name in study.hardware.accelerators if name in image), None)


def _mounts(study: Study, model: str) -> tuple[Mount, ...]:
    """What a container sees of its node: the model and adapters where they lie, and what the study mounts."""
    if not isinstance(study.launcher, DockerLauncher):
        return ()
    adapters = study.workload.lora.adapters.values() if study.workload.lora is not None else ()
    found = [Mount(path, path) for path in (model, *adapters) if path.startswith("/")]
    for text in study.launcher.mounts:
        source, target, *mode = text.split(":")
        found.append(Mount(source, target, read_only=mode != ["rw"]))
    return tuple(dict.fromkeys(found))


def served_name(study: Study) -> str:
    """The model's name in requests: the study's, else the last part of the id."""
    return study.model.served_name or study.model.id.rstrip("/").rpartition("/")[2]


def command(engine: Engine, study: Study) -> tuple[str, ...]:
    """The first words of the argv, safe to bind."""
    return tuple(literal(word) for word in study.engine.command) or engine.command


def is_flag(name: str) -> bool:
    """Whether a Config's name is a flag of the server: no normalised one, no variable of the environment."""
    return name not in NORMALISED and not name.startswith(ENV_PREFIX)


def flag_problems(engine: Engine, study: Study, searched: Sequence[tuple[str, object]]) -> list[Problem]:
    """What the flag catalogue says against ``engine.args`` and the searched (name, value) pairs."""
    catalogue = load_catalogue(engine.name, study.engine.version)
    pairs = [(f"engine.args.{name}", name, value) for name, value in study.engine.args.items()]
    pairs += [(f"space.parameters.{name}", name, value) for name, value in searched if name not in NORMALISED]
    found = [problem for pair in pairs if (problem := _problem(catalogue, *pair)) is not None]
    found += _format_problems(engine, study, searched)
    flags = {key: name for key, name, _ in pairs}
    found += double_settings(GivenFlag(k, n, s) for k, n in flags.items() if (s := catalogue.spelling(n)) is not None)
    return found


def rule_values(engine: Engine, study: Study) -> dict[str, Any]:
    """What the names of rules stand for where the space does not search them: identifier → value."""
    catalogue = load_catalogue(engine.name, study.engine.version)
    values: dict[str, Any] = {identifier(name): flag.default for name, flag in catalogue.flags.items()}
    values |= {identifier(name): value for name, value in args_as_read(catalogue, study.engine.args).items()}
    return {**values, **Parallelism().as_dict(), **Quantization().as_dict(), GPUS_IN_NODE: gpus_per_node(study)}


def canonical(catalogue: Catalogue, values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` under their flags' long names, as the server reads them; keys of one map together.

    Raises StudyError for an unknown or ill-valued flag, and for a map of which a part is given twice.
    """
    found: dict[str, Any] = {}
    maps: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        problem = catalogue.problem(name, name, value)
        if problem is not None and problem.fatal:
            raise _error(problem.key, problem.value, problem.rule, problem.nearest)
        spelling = catalogue.spelling(name)
        if spelling is None:
            raise _error(name, value, "unknown", None)
        if not spelling.path:
            found[spelling.flag.name] = value if spelling.takes_as_given else spelling.read(value)
        elif value is not None:
            put_key(maps.setdefault(spelling.flag.name, {}), spelling, name, value)
    for name, parts in maps.items():
        if found.get(name) is not None:
            raise twice(name, found[name], catalogue.flags[name])
        found[name] = parts
    return found


def args_as_read(catalogue: Catalogue, values: Mapping[str, Any]) -> dict[str, Any]:
    """As ``canonical``, but what is wrong is left as it is written, or out: for those who only look."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        try:
            found |= _with_keys(found, canonical(catalogue, {name: value}))
        except StudyError:
            found[name] = value
    return found


def _with_keys(found: Mapping[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """``more``, its maps laid over those that are there."""
    return {
        name: {**found[name], **value} if isinstance(value, dict) and isinstance(found.get(name), dict) else value
        for name, value in more.items()
    }


def _problem(catalogue: Catalogue, key: str, name: str, value: object) -> Problem | None:
    if not name.startswith(ENV_PREFIX):
        return catalogue.problem(key, name, value)
    return None if value is None or isinstance(value, str) else Problem(key, value, "a text (quote it)")


# ── normalised names ──────────────────────────────────────────────────────────────────────────


def format_value(engine: Engine, study: Study, field: str, value: str) -> QuantValue | None:
    """What a format means here; a checkpoint of ``model.variants`` counts for ``gemm``; ``None``: nothing."""
    known = engine.quantization.get(field, {})
    if value in known:
        return known[value]
    if value == AUTO:
        return QuantValue()
    return QuantValue(offline=True) if field == "gemm" and value in study.model.variants else None


def variant_rules(engine: Engine, study: Study) -> tuple[EngineRule, ...]:
    """What formats can't be where ``quant.gemm`` names another checkpoint, which has its own."""
    variants = [name for name in study.model.variants if _is_quantised(name)]
    of_experts = [value for value, meaning in engine.quantization.get("moe", {}).items() if meaning.flags]
    if not variants or not of_experts:
        return ()
    text = f"not (quant.gemm in {variants!r}) or not (quant.moe in {of_experts!r}) or quant.moe == quant.gemm"
    return (EngineRule(text, _EXPERTS_OF_VARIANT),)


def _is_quantised(variant: str) -> bool:
    """By its name, for its files may be elsewhere: bfloat16 is not."""
    return (format_bits(variant) or 0) < UNQUANTISED_BITS


def _formats(engine: Engine, study: Study, quantization: Quantization) -> tuple[dict[str, Any], str]:
    """The flags that formats set, and the checkpoint they ask for."""
    flags: dict[str, Any] = {}
    variant = quantization.gemm if quantization.gemm in study.model.variants else None
    model = study.model.id
    for field in QUANTIZATION_FIELDS:
        value = getattr(quantization, field)
        if value == AUTO:
            continue
        name = PREFIX + field
        meaning = format_value(engine, study, field, value)
        if meaning is None:
            nearest = nearest_word(value, _known_formats(engine, study, field)) or AUTO
            raise _error(name, value, _format_rule(engine, study, field), nearest)
        if field == "gemm" and value in study.model.variants:
            model = study.model.variants[value]  # its own config says how it is quantised
            continue
        if meaning.offline:
            raise _error(name, value, _offline_rule(value), None)
        if field == "moe" and meaning.flags and variant is not None and _is_quantised(variant):
            if value == variant:
                continue  # its experts have that format
            raise _error(name, value, _EXPERTS_OF_VARIANT, AUTO)
        for flag, given in meaning.flags.items():
            _refuse_both(flags, flag, given, name)
            flags[flag] = given
    return flags, model


def _format_problems(engine: Engine, study: Study, searched: Sequence[tuple[str, object]]) -> Iterator[Problem]:
    for name, value in searched:
        field = name.removeprefix(PREFIX)
        if name not in QUANTIZATION_NAMES or not isinstance(value, str):
            continue
        key = f"space.quantization.{field}"
        meaning = format_value(engine, study, field, value)
        if meaning is None:
            nearest = nearest_word(value, _known_formats(engine, study, field)) or AUTO
            yield Problem(key, value, _format_rule(engine, study, field), nearest)
        elif meaning.offline and value not in study.model.variants:
            yield Problem(key, value, _offline_rule(value))
        elif meaning.means is not None:
            yield Problem(key, value, f"{engine.name} takes {meaning.means} for it", meaning.means, fatal=False)


def _format_rule(engine: Engine, study: Study, field: str) -> str:
    version = load_catalogue(engine.name, study.engine.version).version
    return f"{engine.name} {version} has {', '.join(_known_formats(engine, study, field))}"


def _known_formats(engine: Engine, study: Study, field: str) -> list[str]:
    variants = study.model.variants if field == "gemm" else ()
    return list(dict.fromkeys([AUTO, *engine.quantization.get(field, {}), *variants]))


def _offline_rule(value: str) -> str:
    return f"weights of this format are another checkpoint: name it in model.variants.{value}"


def _refuse_both(flags: Mapping[str, Any], name: str, value: Any, source: str) -> None:
    if flags.get(name) not in (None, value):
        raise _error(name, flags[name], f"the study's {source} sets it to {value!r}: leave one out", None)


def _given_gpus(engine: Engine, study: Study, needed: int) -> int:
    """GPUs that a server gets: what the study says, else what its parallelism needs.

    An engine that can do without (``needed`` 0) gets one where the study names accelerators.
    """
    given = study.hardware.gpus_per_server
    if given is None:
        return needed or min(len(study.hardware.accelerators), 1)
    if needed in (0, given) or (given == 0 and needed == 1):
        return given
    rule = f"the parallelism of a {engine.name} server makes {needed}: leave it out, or change the parallelism"
    raise _error("hardware.gpus_per_server", given, rule, str(needed))


# ── what an engine can't do ───────────────────────────────────────────────────────────────────


def _refuse_impossible(
    engine: Engine, catalogue: Catalogue, flags: Mapping[str, Any], normalised: Mapping[str, Any]
) -> None:
    broken = rule_book(engine, catalogue.version, _IN_RULES).broken(flags, normalised)
    if broken is not None:
        told = ", ".join(f"{name} {value}" for name, value in broken.named.items())
        rule = f"{broken.rule.reason} ({engine.name} {catalogue.version})"
        raise _error(next(iter(broken.named)), told, rule, None)


def _environment(study: Study, config: Config) -> dict[str, str | SecretEnv]:
    env: dict[str, str | SecretEnv] = {
        name: SecretEnv(value.from_env) if isinstance(value, SecretRef) else literal(value)
        for name, value in study.engine.env.items()
    }
    for name, value in config.values.items():
        if name.startswith(ENV_PREFIX) and value is not None:
            env[name.removeprefix(ENV_PREFIX)] = literal(str(value))
    return env


def _error(name: str, value: object, rule: str, nearest: str | None) -> StudyError:
    hint = f"; did you mean {nearest}?" if nearest else ""
    return StudyError(f"{name}: {value!r}: {rule}{hint}", key=name, value=value, rule=rule, nearest=nearest)
