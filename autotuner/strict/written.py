"""Texts that YAML takes for something else: where a study has a text, it is the one that was written.

``name: 57e93014`` is a commit's hash and no number, ``version: 0.10`` is not 0.1, ``env: {X: 1}`` is a text as every
variable is.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Sequence
from typing import Any

import yaml
from pydantic import BaseModel

Kinds = tuple[Any, ...]  # the types that a value may have


def kinds_at(kinds: Kinds, keys: Sequence[str]) -> Kinds:
    """The types that may stand under a path of keys; a number is one of a list."""
    for key in keys:
        kinds = (*_of_key(kinds, key), *(_of_item(kinds) if key.isdecimal() else ()))
    return kinds


def as_written(kinds: Kinds, data: Any, node: yaml.Node) -> Any:
    """``data``, which was made of ``node``, with the source's own text wherever only a text fits."""
    if isinstance(node, yaml.MappingNode) and isinstance(data, dict):
        nodes = {key.value: value for key, value in node.value}
        return {name: as_written(_of_key(kinds, name), value, nodes[name]) for name, value in data.items()}
    if isinstance(node, yaml.SequenceNode) and isinstance(data, list):
        inner = _of_item(kinds)
        return [as_written(inner, value, one) for value, one in zip(data, node.value, strict=True)]
    return node.value if _only_a_text_fits(kinds, data) else data


def _only_a_text_fits(kinds: Kinds, value: Any) -> bool:
    found = list(_flat(kinds))
    choices = [
        choice for kind in found if typing.get_origin(kind) is typing.Literal for choice in typing.get_args(kind)
    ]
    takes_text = str in found or any(isinstance(choice, str) for choice in choices)
    fitting = {float, int} if isinstance(value, int) and not isinstance(value, bool) else {type(value)}
    return (
        takes_text and not isinstance(value, str | dict | list) and not fitting.intersection(found) and Any not in found
    )


def _flat(kinds: Iterable[Any]) -> Iterable[Any]:
    """Without what is around a type: annotations, unions."""
    for kind in kinds:
        if hasattr(kind, "__metadata__"):
            yield from _flat(typing.get_args(kind)[:1])
        elif typing.get_origin(kind) in (typing.Union, types.UnionType):
            yield from _flat(typing.get_args(kind))
        else:
            yield kind


def _of_key(kinds: Kinds, key: str) -> Kinds:
    found: list[Any] = []
    for kind in _flat(kinds):
        if isinstance(kind, type) and issubclass(kind, BaseModel) and key in kind.model_fields:
            found.append(kind.model_fields[key].annotation)
        elif typing.get_origin(kind) is dict:
            found.append(typing.get_args(kind)[1])
    return tuple(found)


def _of_item(kinds: Kinds) -> Kinds:
    return tuple(typing.get_args(kind)[0] for kind in _flat(kinds) if typing.get_origin(kind) in (list, tuple))
