"""docs/study-reference.md is what its generator makes of the schema."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autotuner.study import study_schema

ROOT = Path(__file__).parents[3]


def test_the_page_is_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "make_study_reference.py"), "--check"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_every_key_has_a_description() -> None:
    without = [key for key, value in keys(study_schema()) if not value.get("description")]
    assert without == []


def test_every_key_stands_on_the_page() -> None:
    page = (ROOT / "docs" / "study-reference.md").read_text(encoding="utf-8")
    assert [key for key, _ in keys(study_schema()) if f"| `{key}` |" not in page] == []


def keys(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for section in (schema, *schema["$defs"].values()):
        yield from section["properties"].items()
