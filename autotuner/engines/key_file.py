"""The configuration file of a server that takes nested YAML: dotted keys in, text out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from autotuner.errors import StudyError


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
    return yaml.safe_dump(tree, allow_unicode=True) if tree else ""


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
