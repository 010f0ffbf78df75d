"""YAML in and out: texts stay texts, no key twice, errors with the line.

Booleans are true and false alone and 1e3 is a number, as YAML 1.2 has it: flags that take ``on`` and ``off``
are common, and dates and base-60 numbers are never meant. Keys are texts, and so is what would be a number beyond all
that computers have, as 57e93014, a commit's hash. What is written can be read by either rule.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from autotuner.errors import StudyError
from autotuner.strict.problem import short
from autotuner.strict.written import Kinds, as_written

_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_INT = re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$")
_FLOAT = re.compile(
    r"^[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.(?:inf|Inf|INF))$|^\.(?:nan|NaN|NAN)$"
)
_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")
_DIGITS = list("-+0123456789")
_TEXT = "tag:yaml.org,2002:str"
_MOST_DIGITS = 400  # of a number's size: the largest has 308
_MOST_WHOLE = 2**63
# What YAML 1.2's core schema takes for an integer, and 1.1's for a truth that PyYAML leaves a text.
_CORE_INT = re.compile(r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$")
_OLD_BOOL = re.compile(r"^[yYnN]$")


class _Loader(yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):  # type: ignore[misc]
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[Any, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge" or not isinstance(key_node, yaml.ScalarNode):
                continue
            key_node.tag = _TEXT
            key = self.construct_object(key_node)
            line = key_node.start_mark.line + 1
            if key in seen:
                raise _RepeatedKeyError(str(key), seen[key], line)
            seen[key] = line
        found: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return found

    def construct_float(self, node: yaml.ScalarNode) -> float | str:
        """A float, or the text of what is too large or too small for one."""
        text: str = node.value
        exponent = text.lower().partition("e")[2]
        if exponent and (len(exponent) > 4 or abs(int(exponent)) > _MOST_DIGITS or math.isinf(float(text))):
            return text
        found: float = super().construct_yaml_float(node)
        return found


class _RepeatedKeyError(Exception):
    def __init__(self, key: str, first_line: int, line: int) -> None:
        super().__init__(key)
        self.key, self.first_line, self.line = key, first_line, line


def _resolve(tag: str, pattern: re.Pattern[str], first: list[str]) -> None:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", pattern, first)


_resolve("bool", _BOOL, list("tTfF"))
_resolve("int", _INT, _DIGITS)
_resolve("float", _FLOAT, [*_DIGITS, "."])
_resolve("null", _NULL, ["~", "n", "N", ""])
_resolve("merge", re.compile(r"^<<$"), ["<"])
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_float)


class _Dumper(yaml.SafeDumper):
    """Quotes what would be read as something else than a text by YAML 1.1 or by us."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Line breaks of any kind escaped: other styles fold some of them away."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')


_Dumper.add_representer(str, _represent_text)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, [*_DIGITS, "."])
_Dumper.add_implicit_resolver("tag:yaml.org,2002:int", _CORE_INT, _DIGITS)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:bool", _OLD_BOOL, list("yYnN"))


def parse_yaml(text: str, source: str, key: str = "", kinds: Kinds = ()) -> Any:
    """Plain data: maps with text keys, lists, texts, finite numbers, true, false, null.

    ``kinds`` are the types that the whole may have: where they have a text, it is the one that was written. Raises
    StudyError that names ``source`` and the line, or the place of a value under ``key``.
    """
    try:
        data, node = _load(text)
    except _RepeatedKeyError as error:
        rule = f"a key stands once; it stands in line {error.first_line} too"
        where = f"{source}, line {error.line}"
        raise StudyError(f"{where}: {error.key}: {rule}", key=error.key, rule=rule) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{source}, line {mark.line + 1}, column {mark.column + 1}" if mark else source
        raise StudyError(f"{where}: not YAML: {error.problem}", value=where, rule="YAML") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise StudyError(f"{source}: not YAML: {reason}", value=source, rule="YAML") from None
    _check_plain(data, key, ())
    return data if node is None else as_written(kinds, data, node)


def _load(text: str) -> tuple[Any, yaml.Node | None]:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        return (None if node is None else loader.construct_document(node)), node
    finally:
        loader.dispose()


def dump_yaml(data: Any) -> str:
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text


def yaml_scalar(value: str | float | bool | None) -> str:
    """``value`` in one line, as it can stand in any place of a YAML file."""
    text: str = yaml.dump([value], Dumper=_Dumper, default_flow_style=True, allow_unicode=True, width=float("inf"))
    return text.strip()[1:-1]


def _check_plain(data: Any, key: str, above: tuple[int, ...]) -> None:
    if id(data) in above:
        raise _not_plain(key, "an alias", "a value that does not contain itself")
    if isinstance(data, dict):
        for name, value in data.items():
            path = f"{key}.{name}" if key else str(name)
            _check_plain(value, path, (*above, id(data)))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            _check_plain(value, f"{key}.{index}", (*above, id(data)))
    elif isinstance(data, float) and not math.isfinite(data):
        raise _not_plain(key, data, "a finite number")
    elif isinstance(data, int) and abs(data) >= _MOST_WHOLE:
        raise _not_plain(key, data, "a number that fits into 64 bits")
    elif data is not None and not isinstance(data, bool | int | float | str):
        raise _not_plain(key, data, "text, a number, true, false, null, a list or a map")


def _not_plain(key: str, value: Any, rule: str) -> StudyError:
    return StudyError(f"{key or 'the study'}: {short(value)}: {rule}", key=key, value=str(value), rule=rule)
