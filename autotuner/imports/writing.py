"""A draft as the text of a study file: commented, in the order in which people read it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from autotuner.imports.draft import StudyDraft
from autotuner.imports.record import NotConverted
from autotuner.study import yaml_scalar

_WIDTH = 110


def study_text(draft: StudyDraft, source: str, format_name: str, not_converted: Sequence[NotConverted]) -> str:
    lines = [*_comment(f"Made from {source} ({format_name}) by 'autotuner import'.")]
    if draft.about:
        lines += _comment(draft.about)
    if not_converted:
        lines += ["#", "# Not converted:"]
        for reason, items in by_reason(not_converted).items():
            lines += _comment(f"- {reason}:", hanging="  ")
            lines += [line for item in items for line in _comment(f"    {shown(item)}", hanging="      ")]
    for section, value in draft.ordered().items():
        lines.append("")
        for note in draft.notes.get(section, []):
            lines += _comment(note)
        lines += _entry(section, value, 0)
    return "\n".join(lines) + "\n"


def by_reason(not_converted: Sequence[NotConverted]) -> dict[str, list[NotConverted]]:
    """What is told together: the values that share a reason."""
    grouped: dict[str, list[NotConverted]] = {}
    for item in not_converted:
        grouped.setdefault(item.reason, []).append(item)
    return grouped


def shown(item: NotConverted) -> str:
    """``key: value`` in one line, the value cut where it is long."""
    value = item.value
    is_deep = isinstance(value, Mapping) and len(value) > 3
    text = f"{{{', '.join(map(str, value))}}}" if is_deep else _flow(value)
    return f"{item.key}: {text if len(text) <= 70 else text[:69] + '…'}"


def _comment(text: str, hanging: str = "") -> list[str]:
    lead = text[: len(text) - len(text.lstrip(" "))]
    # No line break of any kind in a value may end the comment.
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return textwrap.wrap(plain, _WIDTH, initial_indent=f"# {lead}", subsequent_indent=f"# {lead}{hanging}") or ["#"]


def _entry(name: str, value: Any, depth: int) -> list[str]:
    indent = "  " * depth
    key = yaml_scalar(name)
    one_line = f"{indent}{key}: {_flow(value)}"
    if not isinstance(value, dict | list) or not value:
        return [one_line]
    if depth > 0 and len(one_line) <= _WIDTH and _is_flat(value):
        return [one_line]
    if isinstance(value, dict):
        return [f"{indent}{key}:", *(line for k, v in value.items() for line in _entry(k, v, depth + 1))]
    if all(not isinstance(item, dict | list) for item in value) and len(one_line) <= _WIDTH:
        return [one_line]
    return [f"{indent}{key}:", *(f"{indent}  - {_flow(item)}" for item in value)]


def _is_flat(value: dict[str, Any] | list[Any]) -> bool:
    items = value.values() if isinstance(value, dict) else value
    return not any(isinstance(item, dict) for item in items)


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{yaml_scalar(str(key))}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return yaml_scalar(value)
