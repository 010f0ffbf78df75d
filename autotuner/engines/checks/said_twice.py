"""What a study says both in a normalised name and in a flag of the engine: one of them must go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autotuner.engines.engine import Engine
from autotuner.engines.flags.catalogue import Catalogue, load_catalogue
from autotuner.engines.problem import Problem
from autotuner.engines.settings import format_value, is_flag
from autotuner.space.parallelism import PARALLELISM_NAMES, Parallelism
from autotuner.space.quantization import AUTO, PREFIX, QUANTIZATION_NAMES
from autotuner.study.model import Study

# The flags that say the same as a format, whichever flags its values set.
_CONCEPTS = {"gemm": "weight_quantization", "kv_cache": "kv_cache_dtype"}


def said_twice(engine: Engine, study: Study, searched: Sequence[tuple[str, object]]) -> Iterator[Problem]:
    """``searched``: (name, value) pairs in the engine's own names."""
    catalogue = load_catalogue(engine.name, study.engine.version)
    flags = {name for name, _ in searched if is_flag(name)}
    told = set()
    for normalised, by in _set_flags(engine, study, catalogue, searched):
        for section, names in (("engine.args", study.engine.args), ("space.parameters", flags)):
            for name in names:
                flag = catalogue.find(name)
                if flag is not None and flag.name in by and (section, name) not in told:
                    told.add((section, name))
                    value = study.engine.args.get(name) if section == "engine.args" else None
                    yield Problem(f"{section}.{name}", value, f"{normalised} says it as well: leave one of them out")


def _set_flags(
    engine: Engine, study: Study, catalogue: Catalogue, searched: Sequence[tuple[str, object]]
) -> Iterator[tuple[str, set[str]]]:
    """Each normalised name that is chosen, and the flags that it sets."""
    for name, value in searched:
        if name in QUANTIZATION_NAMES and isinstance(value, str) and value != AUTO:
            field = name.removeprefix(PREFIX)
            meaning = format_value(engine, study, field, value)
            same = catalogue.means(_CONCEPTS.get(field, ""))
            yield f"space.quantization.{field}", {*(meaning.flags if meaning else ()), *([same.name] if same else ())}
        elif name in PARALLELISM_NAMES and isinstance(value, int) and value > 1:
            flags = set(engine.parallelism_flags(Parallelism(**{name: value})))
            yield f"space.parallelism.{name}", flags
