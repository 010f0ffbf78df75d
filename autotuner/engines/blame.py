"""Whose fault it is that a model leaves a study no Config: the key that the user wrote, and the nearest that works."""

from __future__ import annotations

import re
from typing import Any

from autotuner.engines.flags.catalogue import load_catalogue
from autotuner.engines.one_engine import split_prefix, study_of
from autotuner.errors import SpaceError
from autotuner.space.expression import Expression
from autotuner.space.model_rules import KEY as MODEL
from autotuner.space.parallelism import PARALLELISM_NAMES
from autotuner.space.quantization import PREFIX, QUANTIZATION_NAMES
from autotuner.study.model import Study

_LIMIT = re.compile(r"(?:[\w.]+ <= 0 or )?[\w.]+ [<>]= (\d+)")
_DIVIDES = re.compile(r"(\d+) % \w+ == 0")


def under_written_key(study: Study, error: SpaceError) -> SpaceError:
    """An error of a rule of the model, told under the first key of the study that the rule looks at."""
    if error.key != MODEL or not isinstance(error.value, str):
        return error
    written = (_written(study, name) for name in Expression.parse(error.value, MODEL).names)
    key, value = next((found for found in written if found is not None), (MODEL, study.model.id))
    nearest = _nearest(error.value, value)
    hint = f"; did you mean {nearest}?" if nearest else ""
    judged = ", ".join(
        f"{n} {load_catalogue(n, study_of(study, n).engine.version).version}" for n in study.engine.names
    )
    rule = f"{error.rule} ({judged})"
    return SpaceError(f"{key}: {value!r}: {rule}{hint}", key=key, value=value, rule=rule, nearest=nearest)


def _written(study: Study, name: str) -> tuple[str, Any] | None:
    """Key and value by which the study sets a name of expressions, ``None`` where it does not."""
    if name in PARALLELISM_NAMES:
        value = getattr(study.space.parallelism, name)
        return None if value is None else (f"space.parallelism.{name}", value)
    if name in QUANTIZATION_NAMES:
        field = name.removeprefix(PREFIX)
        value = getattr(study.space.quantization, field)
        return None if value is None else (f"space.quantization.{field}", value)
    prefix, flag_name = split_prefix(name)
    for engine in study.engine.names if prefix is None else (prefix,):
        own = study_of(study, engine)
        catalogue = load_catalogue(engine, own.engine.version)
        flag = catalogue.find(flag_name)
        for given, value in own.engine.args.items():
            if flag is not None and catalogue.find(given) is flag:
                return f"engine.args.{given}", value
        for given, values in study.space.parameters.items():
            if flag is not None and catalogue.find(split_prefix(given)[1]) is flag:
                return f"space.parameters.{given}", values
    return None


def _nearest(rule: str, value: Any) -> str | None:
    """A value that the rule allows, for the forms of rule that tell one."""
    bound = _LIMIT.fullmatch(rule)
    if bound is not None:
        return bound[1]
    divided = _DIVIDES.fullmatch(rule)
    degrees = [value] if isinstance(value, int) else value
    if divided is None or not isinstance(degrees, list):
        return None
    most = max((degree for degree in degrees if isinstance(degree, int)), default=1)
    return str(max(degree for degree in range(1, most + 1) if int(divided[1]) % degree == 0))
