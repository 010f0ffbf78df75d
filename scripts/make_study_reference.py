"""Writes docs/study-reference.md from the schema of study files; ``--check`` only says whether it is up to date."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autotuner.study import study_schema

PAGE = Path(__file__).parents[1] / "docs" / "study-reference.md"
UNITS = {
    "_ms": "ms",
    "_s": "s",
    "_h": "h",
    "_tokens": "tokens",
    "_cpus": "cores",
    "gpus_per_server": "GPUs",
    "gpu_hours": "GPU h",
    "cost_per_gpu_hour": "currency/h",
    "cost_per_cpu_hour": "currency/h",
    "concurrency": "requests",
    "rate": "requests/s",
    "speed": "×",
    "min": "requests",
    "per_slot": "requests",
}
HEAD = """# Study reference

Every key of a study file, made from its schema by `scripts/make_study_reference.py`. All keys but `model`, `engine`
and `workload` have defaults. Unknown keys are refused. Paths are relative to the study file. On the command line
`--set key.path=value` lays a value over the file, written as in YAML: `--set search.trials=20`.

Booleans are `true` and `false`; `on`, `off`, `yes` and `no` are texts. Secrets are given as `{from_env: VARIABLE}`, in
`engine.env` and `launcher.headers`; the value is read when it is needed and written nowhere.
"""
TAIL = """## Parameters of the space

| Form | Values |
| --- | --- |
| `[a, b, c]` | these: texts, numbers, `true`, `false`; `null` leaves the flag to the server's default |
| `{int: [low, high]}` | whole numbers, both ends included; `step`, or `log: true` to draw them on a log scale |
| `{float: [low, high]}` | numbers, both ends included; `step`, or `log: true`; a grid needs the step |
| `{choices: {label: value}}` | one of the values, which may be maps and lists |

A name is a flag of the engine without its leading dashes, or `env.NAME` for an environment variable of the server.
A space without parameters has one Config: the study then measures the server as it is.

## Expressions

`space.conditions` and `space.constraints` are expressions over parameters and over fixed `engine.args`:

- `+ - * / // % **`, `< <= > >= == !=` (chained, as in `1 < tp <= 8`), `in [1, 2]`, `not in`, `and or not`, `( )`
- `min max abs ceil floor log2`, numbers, texts in quotes, `true`, `false`, `null`
- In names every character but letters, digits, `_` and `.` is written as `_`: `max-num-seqs` is `max_num_seqs`
- A parameter with labels is its value, or its label when any of its values is a map or a list
- A parameter whose condition does not hold is absent. A constraint that names an absent one holds; a condition that
  names one does not
- The same goes for an expression that has no value: `null` or a text where a number is needed, a division by zero

Space files (`space.include`) have the keys `parameters`, `conditions` and `constraints`. Later files override earlier
ones and the study's own keys override all; constraints add up.
"""


@dataclass(frozen=True)
class Section:
    """One map of the study file; ``paths`` are the places where it stands."""

    paths: list[str]
    more: str
    schema: dict[str, Any]


def render() -> str:
    schema = study_schema()
    parts = [HEAD]
    for section in _sections(schema):
        title = ", ".join(f"`{path}`" for path in section.paths) + section.more or "The file"
        about = " ".join(section.schema.get("description", "").split())
        parts.append(f"## {title}\n\n{about}\n\n{_table(schema, section)}")
    return "\n".join([*parts, TAIL])


def _sections(schema: dict[str, Any]) -> Iterator[Section]:
    """Each map once, in the order of the file, with every place where it stands."""
    paths: dict[str, list[str]] = {}

    def visit(node: dict[str, Any], path: str) -> None:
        for name, value in node.get("properties", {}).items():
            at = f"{path}.{name}" if path else name
            for reference, suffix in _references(value):
                known = reference in paths
                if at + suffix not in paths.setdefault(reference, []):
                    paths[reference].append(at + suffix)
                if not known or len(paths[reference]) > 1:
                    visit(schema["$defs"][reference], at + suffix)

    visit(schema, "")
    yield Section([], "", schema)
    for reference, places in paths.items():
        shown = places if len(places) <= 4 else places[:1]
        more = f" and {len(places) - 1} more places" if len(places) > 4 else ""
        yield Section(shown, more, schema["$defs"][reference])


def _references(value: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The maps that a value may be, with what follows its key: a list's items, a map's entries."""
    if "$ref" in value:
        yield value["$ref"].rpartition("/")[2], ""
    for form in (*value.get("anyOf", ()), *value.get("oneOf", ())):
        yield from _references(form)
    for key, suffix in (("items", "[]"), ("additionalProperties", ".NAME")):
        if isinstance(value.get(key), dict):
            for reference, rest in _references(value[key]):
                yield reference, suffix + rest


def _table(schema: dict[str, Any], section: Section) -> str:
    rows = ["| Key | Type | Default | Unit | Description |", "| --- | --- | --- | --- | --- |"]
    required = section.schema.get("required", ())
    for name, value in section.schema.get("properties", {}).items():
        default = "**required**" if name in required else _default(value)
        about = value.get("description", "")
        cells = [f"`{name}`", _type(schema, value), default, _unit(name), about]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _type(schema: dict[str, Any], value: dict[str, Any]) -> str:
    if "$ref" in value:
        target = schema["$defs"][value["$ref"].rpartition("/")[2]]
        names = ", ".join(target["properties"])
        return f"map ({names})" if len(names) < 40 else "map"
    forms = [form for form in (*value.get("anyOf", ()), *value.get("oneOf", ())) if form.get("type") != "null"]
    if forms:
        return " or ".join(dict.fromkeys(_type(schema, form) for form in forms))
    if "enum" in value:
        return ", ".join(f"`{choice}`" for choice in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    return _plain_type(schema, value)


def _plain_type(schema: dict[str, Any], value: dict[str, Any]) -> str:
    match value.get("type"):
        case "array":
            return f"list of {_type(schema, value['items'])}"
        case "object":
            entries = value.get("additionalProperties")
            return f"map of {_type(schema, entries)}" if isinstance(entries, dict) else "map"
        case "integer":
            return "whole number" + _bounds(value)
        case "number":
            return "number" + _bounds(value)
        case "boolean":
            return "true or false"
        case "string":
            return "text"
    return "any"


def _bounds(value: dict[str, Any]) -> str:
    words = {"minimum": "≥ ", "exclusiveMinimum": "> ", "maximum": "≤ ", "exclusiveMaximum": "< "}
    found = [f"{sign}{value[key]}" for key, sign in words.items() if key in value]
    return f" {', '.join(found)}" if found else ""


def _default(value: dict[str, Any]) -> str:
    """The default; a map's own defaults stand in its own table."""
    default = value.get("default")
    if "$ref" in value or default is None:
        return "" if "$ref" in value else "`null`"
    return f"`{json.dumps(default)}`"


def _unit(name: str) -> str:
    return next((unit for end, unit in UNITS.items() if name == end or (end[0] == "_" and name.endswith(end))), "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the page is out of date")
    page = render()
    if not parser.parse_args().check:
        PAGE.write_text(page, encoding="utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page:
        return 0
    print(f"{PAGE.name} is out of date: run python scripts/make_study_reference.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
