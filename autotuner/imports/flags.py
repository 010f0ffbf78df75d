"""Flags of a server as other tools write them, put where a study has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from autotuner.imports.draft import StudyDraft

# The flags that normalised parallelism stands for, by their names in each engine's command line (vLLM, SGLang) or
# configuration file (TensorRT-LLM), with - for _.
_PARALLELISM: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "vllm": {
            "tensor-parallel-size": "tp",
            "pipeline-parallel-size": "pp",
            "data-parallel-size": "dp",
            "decode-context-parallel-size": "dcp",
        },
        "sglang": {
            "tp": "tp",
            "tp-size": "tp",
            "tensor-parallel-size": "tp",
            "pp-size": "pp",
            "pipeline-parallel-size": "pp",
            "ep": "ep",
            "ep-size": "ep",
            "expert-parallel-size": "ep",
        },
        "trtllm": {
            "tp-size": "tp",
            "tensor-parallel-size": "tp",
            "pp-size": "pp",
            "pipeline-parallel-size": "pp",
            "context-parallel-size": "cp",
            "moe-tensor-parallel-size": "moe_tp",
            "moe-expert-parallel-size": "moe_ep",
        },
    }
)


def flag_name(engine: str, name: str) -> str:
    """As a study writes it: TensorRT-LLM's configuration has underscores, command lines have dashes."""
    bare = name.removeprefix("--")
    return bare.replace("-", "_") if engine == "trtllm" else bare.replace("_", "-")


def degree_of(engine: str, flag: str) -> str | None:
    """The degree of parallelism that a flag sets: ``tp`` for ``tensor-parallel-size``."""
    return _PARALLELISM.get(engine, {}).get(flag.replace("_", "-"))


def put_values(draft: StudyDraft, engine: str, name: str, values: Sequence[Any], origin: str) -> str:
    """A flag with a list of values: a degree, an argument common to all where there is one value, else a parameter.

    Hands back how constraints name it.
    """
    flag = flag_name(engine, name)
    distinct = _distinct(values)
    degree = degree_of(engine, flag)
    if degree is not None:
        put_degrees(draft, degree, [int(value) for value in distinct], origin)
        return degree
    if len(distinct) == 1:
        draft.put(distinct[0], "engine", "args", flag, origin=origin)
    elif any(isinstance(value, dict | list) for value in distinct):
        labelled = {f"value{n}": value for n, value in enumerate(distinct)}
        draft.put({"choices": labelled}, "space", "parameters", flag, origin=origin)
    else:
        draft.put(distinct, "space", "parameters", flag, origin=origin)
    return flag.replace("-", "_")


def put_degrees(draft: StudyDraft, degree: str, values: Sequence[int], origin: str) -> None:
    draft.put(list(dict.fromkeys(values)), "space", "parallelism", degree, origin=origin)


def put_range(draft: StudyDraft, engine: str, name: str, form: Mapping[str, Any], origin: str) -> str:
    """A flag with a range, ``{int: [low, high], step: …}`` or ``{float: …}``."""
    flag = flag_name(engine, name)
    bounds = form.get("int") or form.get("float")
    if bounds is not None and bounds[0] == bounds[1]:
        return put_values(draft, engine, name, [bounds[0]], origin)
    if degree_of(engine, flag) is not None and "int" in form:
        low, high = form["int"]
        return put_values(draft, engine, name, list(range(low, high + 1, form.get("step", 1))), origin)
    draft.put(dict(form), "space", "parameters", flag, origin=origin)
    return flag.replace("-", "_")


def _distinct(values: Sequence[Any]) -> list[Any]:
    """Each value once: true and 1 are two values, and maps can't be put in a set."""
    seen: dict[str, Any] = {}
    for value in values:
        seen.setdefault(repr(value), value)
    return list(seen.values())
