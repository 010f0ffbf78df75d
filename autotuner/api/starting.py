"""init: a commented study to start from."""

from __future__ import annotations

import json
from pathlib import PurePath

from jinja2 import Environment, PackageLoader, StrictUndefined

from autotuner.engines import get_engine
from autotuner.errors import InputError


def init_study(
    engine: str = "llamacpp", model: str = "models/tiny.gguf", gpus: int = 0, name: str | None = None
) -> str:
    """The text of a study file for an engine and a model. Raises InputError for an unknown engine."""
    get_engine(engine)
    if gpus < 0:
        raise InputError(f"gpus: {gpus} is negative", key="gpus", value=gpus, rule="0 or more")
    environment = Environment(  # noqa: S701  # YAML: every value goes through the scalar filter
        loader=PackageLoader("autotuner.api"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["scalar"] = json.dumps  # JSON is YAML
    template = environment.get_template(f"{engine}.yaml.j2")
    return template.render(model=model, gpus=gpus, name=name or PurePath(model).stem)
