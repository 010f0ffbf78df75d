"""Quoting: how a value is written so that it can't break out of where it stands.

Every template expression ends in one of these filters; the environment refuses any other text.
"""

from __future__ import annotations

import json
import re
import shlex
import string
from collections.abc import Callable, Mapping
from typing import Any

from autotuner.errors import InputError

PLACEHOLDERS = ("host", "port", "rank0", "rank0.host", "rank0.port", "files")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SHELL_PLAIN = re.compile(r"[A-Za-z0-9_./:=,@%+-]+\Z")


class Quoted(str):
    """Text that may stand in a manifest as it is."""

    __slots__ = ()


def finalize(value: Any) -> Any:
    """Lets only quoted text and integers out of a template expression."""
    if isinstance(value, Quoted | int):
        return value
    raise TypeError(f"a template expression is not quoted: {value!r}")


def checked(text: str, what: str) -> str:
    """``text`` as it is; InputError where no file or process can hold it (NUL, lone surrogates)."""
    if "\0" in text or any("\ud800" <= c <= "\udfff" for c in text):
        raise InputError(
            f"{what} can't be written to a manifest: {text!r} holds a NUL or a lone surrogate",
            key=what,
            value=text,
            rule="text that UTF-8 and a command line can hold",
        )
    return text


def identifier(name: str) -> Quoted:
    """An environment variable's name, checked."""
    if not _IDENTIFIER.match(name):
        raise InputError(
            f"{name!r} is not the name of an environment variable",
            key="env",
            value=name,
            rule="letters, digits and _, no digit first",
        )
    return Quoted(name)


def required_variable(name: str) -> Quoted:
    """A double-quoted reference that shell and Compose both refuse to expand when it is unset or empty."""
    return Quoted(f'"${{{identifier(name)}:?set it to the secret}}"')


def comment(text: Any) -> Quoted:
    """One line of printable text, for after ``# ``."""
    return Quoted("".join(c if c.isprintable() else _escape(c) for c in str(text)))


def yaml_string(text: str) -> Quoted:
    """A double-quoted YAML scalar that every YAML version reads as this very string."""
    quoted = json.dumps(checked(text, "a value"), ensure_ascii=False)
    return Quoted("".join(c if c.isprintable() else _escape(c) for c in quoted))


def compose_string(text: str) -> Quoted:
    """As ``yaml_string``, with ``$`` doubled: Compose interpolates every value of the file."""
    return yaml_string(text.replace("$", "$$"))


def kubernetes_arg(text: str) -> Quoted:
    """As ``yaml_string``, with ``$`` doubled: Kubernetes expands ``$(VAR)`` in command, args and env.

    ``$$`` always reads as ``$`` (k8s.io/kubernetes/third_party/forked/golang/expansion).
    """
    return yaml_string(text.replace("$", "$$"))


def shell_word(text: str) -> Quoted:
    """One word of a POSIX shell."""
    return Quoted(shlex.quote(checked(text, "a value")))


def shell_template(template: str, fields: Mapping[str, str]) -> Quoted:
    """One shell word of a ``{host}``-style template; ``fields`` are shell expressions, in double quotes there."""
    parts = []
    for literal, name in _pieces(template):
        if literal:
            plain = _SHELL_PLAIN.match(literal)
            parts.append(literal if plain else shell_word(literal))
        if name is not None:
            parts.append(f'"{fields[name]}"')
    return Quoted("".join(parts) or "''")


def filters() -> dict[str, Callable[..., Quoted]]:
    return {
        "comment": comment,
        "compose": compose_string,
        "identifier": identifier,
        "kubearg": kubernetes_arg,
        "required": required_variable,
        "shell": shell_word,
        "yaml": yaml_string,
    }


def _pieces(template: str) -> list[tuple[str, str | None]]:
    """The template as (literal, placeholder after it); a doubled brace is part of its literal."""
    pieces: list[tuple[str, str | None]] = []
    literals = ""
    for literal, name, _, _ in string.Formatter().parse(template):
        literals += literal
        if name is None:
            continue
        if name not in PLACEHOLDERS:
            raise ValueError(f"unknown placeholder {{{name}}} in {template!r}; known: {', '.join(PLACEHOLDERS)}")
        pieces.append((literals, name))
        literals = ""
    return [*pieces, (literals, None)]


def _escape(char: str) -> str:
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
