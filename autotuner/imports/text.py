"""Files of other tools as plain data: JSON and YAML, read as those tools read them (YAML 1.1)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from autotuner.errors import InputError


def read_text(file: Path) -> str:
    """Raises InputError for a file that can't be read."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        reason = "is not UTF-8 text"
    except OSError as error:
        reason = f"can't be read: {error.strerror}"
    raise InputError(f"{file} {reason}", key="file", value=str(file), rule="a file of text")


def parse_text(text: str, source: str) -> Any:
    """Raises InputError, with the place of what is wrong."""
    try:
        return json.loads(text) if text.lstrip().startswith("{") else yaml.safe_load(text)
    except (json.JSONDecodeError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{source}: neither JSON nor YAML: {reason}", key="file", value=source, rule="JSON or YAML"
        ) from None
