"""Studies of an engine's name, and models of tests/unit/models/model_configs as folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from autotuner.study.model import Study
from tests.model_spaces import CONFIGS


def study(name: str | list[str] = "vllm", **sections: Any) -> Study:
    data = {"model": {"id": "org/a-model"}, "engine": {"name": name}, "workload": {"scenario": "D(100,10)"}}
    return Study.model_validate({**data, **sections})


def model_folder(folder: Path, config: str, **changes: Any) -> str:
    """Writes a model's config.json; the folder's path."""
    data = json.loads((CONFIGS / f"{config}.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**data, **changes}), encoding="utf-8")
    return str(folder)
