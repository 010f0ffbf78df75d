"""The JSON schema of study files, for editors and for the reference page."""

from __future__ import annotations

from typing import Any

from autotuner.study.model import Study


def study_schema() -> dict[str, Any]:
    """JSON Schema, draft 2020-12: every key with its type, default, bounds and description."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Study.model_json_schema()}
