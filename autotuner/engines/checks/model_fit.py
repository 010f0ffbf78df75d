"""What a model and its GPUs ask of a study's Configs: as constraints."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from autotuner.engines.engine import Engine
from autotuner.engines.flags.catalogue import load_catalogue
from autotuner.engines.one_engine import split_prefix, study_of
from autotuner.engines.registry import get_engine
from autotuner.engines.settings import ACCELERATOR, ENGINE, is_flag, rule_values
from autotuner.engines.study_space import searched_accelerators
from autotuner.engines.written_names import names_in_rules
from autotuner.models.facts import ModelFacts
from autotuner.space import Constraint, SearchSpace
from autotuner.space._nodes import Value
from autotuner.space.expression import Expression, identifier
from autotuner.space.model_rules import KEY as MODEL
from autotuner.space.model_rules import Known, model_rules, possible_values
from autotuner.study.hardware_profiles import find_profile
from autotuner.study.model import Study


def model_constraints(
    study: Study,
    space: SearchSpace,
    facts: ModelFacts | None,
    variants: Mapping[str, ModelFacts | None],
    request_tokens: int | None,
) -> tuple[Constraint, ...]:
    """What the model, its checkpoints (``model.variants``) and the GPUs forbid of ``space``, for ``build_space``.

    ``facts``: ``None`` where nothing is known of the model; what its requests ask for is known all the same.
    ``request_tokens``: input and output of the longest request that is sure to be sent, ``None`` where not known.
    """
    found: dict[str, Constraint] = {}
    types = searched_accelerators(study)
    for name, accelerator in itertools.product(study.engine.names, types if len(types) > 1 else (None,)):
        engine, own = get_engine(name), study_of(study, name)
        names = _Names(name, several=len(study.engine.names) > 1, space=space)
        known = Known(
            values=_values(engine, own, space, names),
            concepts=_concepts(own, name, names),
            gpu_memory_gib=_gpu_memory_gib(study, accelerator),
            request_tokens=request_tokens,
            variants=variants,
        )
        when = _when(name if names.several else None, accelerator)
        traits = engine.traits(own)
        more: Iterable[Constraint] = ()
        if facts is not None and traits.holds_longest:
            more = _rules_of_unset_length(engine, own, names, known, facts)
        found |= {rule.text: rule for rule in model_rules(facts, known, traits, when=when, more=more)}
    return tuple(found.values())


def _when(engine: str | None, accelerator: str | None) -> str:
    """For which Configs of a space of several engines or GPU types a rule holds; ``""``: for all."""
    parts = [f"{name} == '{value}'" for name, value in ((ENGINE, engine), (ACCELERATOR, accelerator)) if value]
    return " and ".join(parts)


def _rules_of_unset_length(
    engine: Engine, own: Study, names: _Names, known: Known, facts: ModelFacts
) -> Iterator[Constraint]:
    """The engine's rules about max_model_len for where that is not set: the model's own length stands for it then."""
    catalogue, length = load_catalogue(engine.name, own.engine.version), known.concepts.get("max_model_len")
    lengths = known.values.get(length, ()) if length is not None else ()
    told = [of.default_positions for of in (facts, *known.variants.values()) if of is not None]
    positions = [number for number in told if number is not None]
    if length is None or None not in lengths or not positions or not engine.traits(own).limits_positions:
        return
    for rule in engine.rules(catalogue.version):
        expression = Expression.parse(rule.text, MODEL)
        flags = {name: names.of(name) for name in expression.names if catalogue.find(name) is not None}
        if length not in flags.values():
            continue
        text = expression.renamed({n: str(min(positions)) if flag == length else flag for n, flag in flags.items()})
        reason = f"{rule.reason}; where it is not set it is the model's own, {min(positions)}"
        yield Constraint(f"{length} != null or ({text})" if len(lengths) > 1 else text, MODEL, reason)


class _Names:
    """How one engine's flags are called in expressions of the space."""

    def __init__(self, engine: str, *, several: bool, space: SearchSpace) -> None:
        self.several = several
        self._engine = engine
        self._shared = {parameter.identifier for parameter in space.parameters}

    def of(self, flag: str) -> str:
        written = identifier(flag)
        if not self.several or written in self._shared or not is_flag(flag):
            return written
        return f"{self._engine}.{written}"


def _values(engine: Engine, own: Study, space: SearchSpace, names: _Names) -> dict[str, tuple[Value, ...]]:
    fixed: dict[str, Any] = {names.of(name): value for name, value in rule_values(engine, own).items()}
    mine = [p for p in space.parameters if split_prefix(p.name)[0] in (None, engine.name)]
    found = possible_values(mine, fixed)
    for name, written in names_in_rules(own, engine.name).items():
        if written in found:
            found[names.of(name)] = found[written]
    return found


def _concepts(own: Study, engine: str, names: _Names) -> dict[str, str]:
    catalogue = load_catalogue(engine, own.engine.version)
    flags = {concept: catalogue.means(concept) for concept in catalogue.synonyms}
    return {concept: names.of(flag.name) for concept, flag in flags.items() if flag is not None}


def _gpu_memory_gib(study: Study, accelerator: str | None) -> float | None:
    """Of this GPU type, else of the largest that the study may use."""
    hardware = study.hardware
    if accelerator is not None:
        return find_profile(accelerator).memory_gib
    if hardware.gpus_per_server == 0 or not hardware.accelerators:
        return None
    return max(find_profile(name).memory_gib for name in hardware.accelerators)
