"""Earlier rules: what a study goes on by that an earlier version of the product began."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# section.key → how it was before there was such a key. A resolved study shows every default: a key that it lacks did
# not exist when it began, and today's default would change the study's rules in its middle.
EARLIER: Mapping[str, Any] = {
    "search.algorithm": "tpe",
    "search.stop": None,
    "engine.retry_oom": False,
    "search.finalists": None,
    "search.heed_disturbance": False,
    "search.put_back": False,
    "search.reference_every": None,
    "fidelity.cut": "requests",
    "fidelity.compare": "first",
}


def with_earlier_rules(data: Mapping[str, Any], earlier: Mapping[str, Any] = EARLIER) -> dict[str, Any]:
    """The data of a resolved study, each key that it lacks as it was when there was none."""
    completed = dict(data)
    for name, value in earlier.items():
        section, key = name.split(".")
        known = completed.get(section)
        if isinstance(known, Mapping) and key not in known:
            completed[section] = {**known, key: value}
    return completed
