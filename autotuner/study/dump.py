"""A study as text, its identity, and the JSON schema of study files."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from autotuner.strict.yaml_text import dump_yaml
from autotuner.study.model import Study

# What may change between two lives of the same study: how long it goes on, and under which name.
_NOT_IDENTITY = {
    "name": True,
    "budget": True,
    "model": {"prefetch"},
    "timeouts": {"fetch_s", "start_s", "rung_s", "trial_s"},
    "search": {"trials", "confirm", "finalists", "put_back", "max_concurrent_trials"},
}


def dump_study(study: Study) -> str:
    """Resolved YAML with every default shown; of secrets, the names of their variables."""
    return dump_yaml(study.model_dump(mode="json"))


def study_id(study: Study) -> str:
    """16 hexadecimal digits that two studies share when their results can stand in one folder.

    Equal for any order of keys; budget, number of trials, name and start-up time-outs have no part in it.
    """
    data = study.model_dump(mode="json", exclude=_NOT_IDENTITY)  # type: ignore[arg-type]
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def study_schema() -> dict[str, Any]:
    """JSON Schema, draft 2020-12: every key with its type, default, bounds and description."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Study.model_json_schema()}
