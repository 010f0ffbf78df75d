"""Space files that a study includes: named ones are shipped with this package, others are paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from autotuner.errors import StudyError
from autotuner.strict.paths import absolute, shipped_spaces
from autotuner.strict.problem import nearest_name, study_error
from autotuner.strict.validate import validate
from autotuner.strict.yaml_text import parse_yaml
from autotuner.study.layers.engine_scope import scoped_to
from autotuner.study.layers.stack import plain, two_spellings
from autotuner.study.model import ParallelismSpace, QuantizationSpace, Space, Study

_LAYERS = ("engine", "hardware", "model", "slo")  # folders beside the engines', of layers and facts


def included_spaces(study: Study, folder: Path) -> list[tuple[str, Space]]:
    """The space files that a study includes, by name. Raises StudyError for one that is missing or not a space."""
    names = study.space.include
    return [(name, _read(name, index, folder, study.engine.names)) for index, name in enumerate(names)]


def with_spaces(study: Study, included: Sequence[tuple[str, Space]]) -> Study:
    """The study with space files merged, a later one over an earlier one, its own keys over all.

    ``space.include`` is empty then.
    """
    if not included:
        return study
    parameters: dict[str, Any] = {}
    conditions: dict[str, str] = {}
    constraints: dict[str, None] = {}  # a set that keeps the order
    normalised: dict[str, dict[str, Any]] = {"parallelism": {}, "quantization": {}}
    for space in [*(space for _, space in included), study.space]:
        parameters = _laid_over(parameters, space.parameters)
        conditions = _laid_over(conditions, space.conditions)
        constraints |= dict.fromkeys(space.constraints)
        normalised["parallelism"] |= space.parallelism.model_dump(exclude_none=True)
        normalised["quantization"] |= space.quantization.model_dump(exclude_none=True)
    merged = Space(
        parallelism=ParallelismSpace(**normalised["parallelism"]),
        quantization=QuantizationSpace(**normalised["quantization"]),
        parameters=parameters,
        conditions=conditions,
        constraints=list(constraints),
    )
    return study.model_copy(update={"space": merged})


def _laid_over(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Flags of one map over those of another, whichever way each is spelled."""
    spelled = {plain(name): name for name in above}
    return {**{name: one for name, one in below.items() if spelled.get(plain(name), name) == name}, **above}


def shipped_space_names() -> list[str]:
    """Names that ``space.include`` takes, as ``vllm/throughput``."""
    shipped = shipped_spaces()
    files = (file for file in shipped.glob("*/*.yaml") if file.parent.name not in _LAYERS)
    return sorted(str(file.relative_to(shipped).with_suffix("")) for file in files)


def _read(name: str, index: int, folder: Path, engines: tuple[str, ...]) -> Space:
    key = f"space.include.{index}"
    file = _find(name, key, folder)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise _error(key, name, f"a YAML file that can be read ({file}: {reason})") from None
    data = parse_yaml(text, str(file), kinds=(Space,))
    if not isinstance(data, dict):
        raise _error(key, name, "a map with parameters, conditions, constraints")
    if problems := list(two_spellings({"space": data})):
        raise study_error([replace(problem, key=f"{key} ({name}): {problem.key}") for problem in problems])
    space = validate(Space, data, prefix=f"{key} ({name})")
    if space.include:
        raise _error(key, name, "a space file can't include others")
    of_engine = file.parent.name
    return scoped_to(of_engine, space) if len(engines) > 1 and of_engine in engines else space


def _find(name: str, key: str, folder: Path) -> Path:
    if name.endswith((".yaml", ".yml")) or name.startswith((".", "/", "~")):
        return Path(absolute(name, folder))
    known = shipped_space_names()
    if name not in known:
        rule = f"a path that ends in .yaml, or one of {', '.join(known) or '(none is shipped)'}"
        raise _error(key, name, rule, nearest_name(name, known))
    return shipped_spaces() / f"{name}.yaml"


def _error(key: str, value: str, rule: str, nearest: str | None = None) -> StudyError:
    hint = f"; did you mean {nearest!r}?" if nearest else ""
    return StudyError(f"{key}: {value!r}: {rule}{hint}", key=key, value=value, rule=rule, nearest=nearest)
