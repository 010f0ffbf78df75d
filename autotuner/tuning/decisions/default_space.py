"""The Configs that the default is chosen from: all that a study searches beside parallelism and formats is left to the
engine, or to what ``search.baseline`` says."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

from autotuner.engines.known_space import known_space
from autotuner.engines.settings import ACCELERATOR, ENGINE
from autotuner.engines.written_names import value_as_read
from autotuner.errors import InputError, SpaceError, StudyError
from autotuner.space import Choice, SearchSpace
from autotuner.space.parallelism import PARALLELISM_NAMES
from autotuner.space.quantization import PREFIX, QUANTIZATION_NAMES
from autotuner.study.known_models import KnownModels
from autotuner.study.model import Study

KEY = "search.baseline"
NORMALISED = (ENGINE, ACCELERATOR, *PARALLELISM_NAMES, *QUANTIZATION_NAMES)
_CONSTRAINTS = "space.constraints."


def default_space(study: Study, space: SearchSpace, models: KnownModels, request_tokens: int | None) -> SearchSpace:
    """``space`` with every parameter that the baseline leaves out at the server's own default.

    Raises StudyError, with what would fit, where the model, its GPUs or the engine leave the baseline no Config.
    """
    own = baseline_values(study)
    try:
        return known_space(narrowed(study, space, own), models, request_tokens)
    except InputError as error:
        value: Any = dict(own) or study.search.baseline
        rule = error.rule or error.message
        nearest = next(_fitting(study, space, models, request_tokens), None) if not own else None
        hint = f"; give {KEY}: {nearest}, or what fits in engine.args" if nearest else ""
        what = "" if own else "the engine's default can't be: "
        message = f"{KEY}: {value!r}: {what}{rule}{hint}"
        raise StudyError(message, key=KEY, value=value, rule=rule, nearest=nearest) from error


def baseline_values(study: Study) -> dict[str, Any]:
    """What the study itself says of its baseline, as its engines read it."""
    if study.search.baseline == "default":
        return {}
    return {name: value_as_read(study, name, value) for name, value in dict(study.search.baseline).items()}


def narrowed(study: Study, space: SearchSpace, values: Mapping[str, Any]) -> Study:
    """The study whose space has these values alone; engines, GPU types, parallelism and formats that they leave out
    are as the study has them, parameters are the server's.

    Of the study's own constraints those count whose parameters are still there.
    """
    engine = values.get(ENGINE)
    data = study.model_dump(mode="python", exclude={"space", "search"})
    if engine is not None:
        data["engine"] |= {"name": engine, "per_engine": {}}
        own = study.engine.per_engine.get(str(engine))
        if own is not None:
            data["engine"]["per_engine"] = {str(engine): own.model_dump(mode="python")}
    if ACCELERATOR in values:
        data["hardware"] |= {"accelerators": [values[ACCELERATOR]]}
    section = study.space
    given: dict[str, Any] = {
        "parallelism": section.parallelism.model_dump(mode="python", exclude_none=True)
        | {name: values[name] for name in PARALLELISM_NAMES if name in values},
        "quantization": section.quantization.model_dump(mode="python", exclude_none=True)
        | {name.removeprefix(PREFIX): values[name] for name in QUANTIZATION_NAMES if name in values},
        "parameters": {name: said for name, said in section.parameters.items() if name in {*NORMALISED} - {*values}}
        | {
            name: {"choices": {_label(space, name, value): value}}
            for name, value in values.items()
            if name not in NORMALISED
        },
        "constraints": [
            section.constraints[int(rule.key.removeprefix(_CONSTRAINTS))]
            for rule in space.constraints
            if rule.key.startswith(_CONSTRAINTS) and all(p.name in {*values, *NORMALISED} for p in rule.parameters)
        ],
    }
    return Study.model_validate({**data, "space": given})


def _label(space: SearchSpace, name: str, value: object) -> str:
    """How expressions call the value, where the space has it."""
    parameter = next((p for p in space.parameters if p.name == name), None)
    return parameter.label_of(value) if isinstance(parameter, Choice) and parameter.contains(value) else "baseline"


def _fitting(study: Study, space: SearchSpace, models: KnownModels, request_tokens: int | None) -> Iterator[str]:
    """Baselines that could be, of as few parameters as will do: parts of a Config of the space."""
    config = space.sample(random.Random(0)).values  # noqa: S311
    searched = {name: value for name, value in config.items() if name not in NORMALISED}
    for values in (*({name: value} for name, value in searched.items()), searched):
        try:
            known_space(narrowed(study, space, values), models, request_tokens)
        except SpaceError:
            continue
        yield "{" + ", ".join(f"{name}: {value}" for name, value in values.items()) + "}"
