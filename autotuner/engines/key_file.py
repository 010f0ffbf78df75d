"""The configuration file of a server that takes nested YAML: dotted keys in, text out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import yaml

from autotuner.errors import StudyError

_ENDLESS = 1 << 30  # columns


def key_file(keys: Mapping[str, Any]) -> str:
    """The YAML text of ``keys``; ``""`` where none is set.

    A dot opens a nested map, a map may be given whole as well, and a text that is JSON stands for what it says
    (``"null"`` too: a key that is null in the file, while a ``None`` leaves it out). Raises StudyError for a key
    that is given twice or for one inside what is no map.
    """
    tree: dict[str, Any] = {}
    for name in sorted(keys):  # a group comes before what is inside it
        if keys[name] is not None:
            _put(tree, name, _parsed(keys[name]))
    return "".join(f"{line}\n" for line in _lines(tree, ""))


# Files are rendered by the ten thousand: maps and lists are laid out here, and each scalar is written by PyYAML once.


def _lines(tree: Mapping[Any, Any], indent: str) -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield f"{indent}{_inline(key)}:"
            yield from _lines(value, indent + "  ")
        else:
            yield f"{indent}{_inline(key)}: {_inline(value)}"


def _inline(value: Any) -> str:
    """``value`` on one line, right inside brackets and as a key too."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_inline(key)}: {_inline(inner)}' for key, inner in value.items())}}}"
    return _scalar(value)


@lru_cache(maxsize=10_000, typed=True)
def _scalar(value: Any) -> str:
    style = '"' if isinstance(value, str) and not value.isprintable() else None  # escapes what breaks a line
    text = yaml.safe_dump([value], allow_unicode=True, default_flow_style=True, default_style=style, width=_ENDLESS)
    return text.rstrip("\n")[1:-1]


def _put(tree: dict[str, Any], name: str, value: Any) -> None:
    *groups, key = name.split(".")
    inner: Any = tree
    for depth, group in enumerate(groups, start=1):
        inner = inner.setdefault(group, {})
        if not isinstance(inner, dict):
            raise _twice(name, value, ".".join(groups[:depth]))
    if key in inner:
        raise _twice(name, value, ".".join(groups))
    inner[key] = dict(value) if isinstance(value, dict) else value


def _parsed(value: Any) -> Any:
    if not isinstance(value, str) or not (value[:1] in ("{", "[") or value == "null"):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def _twice(name: str, value: Any, group: str) -> StudyError:
    rule = f"{group} is given whole beside it: put it in there"
    return StudyError(f"{name}: {value!r}: {rule}", key=name, value=value, rule=rule, nearest=group)
