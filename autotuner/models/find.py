"""What is known of a model: by its own files on this machine, or by what is registered of it. Never the network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from autotuner.models import config_json, files, gguf, registered
from autotuner.models.facts import ModelFacts
from autotuner.models.files import is_local_model


def find_model_facts(model_id: str, folder: Path | None = None) -> ModelFacts | None:
    """The facts of a model: by its files on this machine, else by what is registered of its id, else ``None``.

    ``model_id`` is a folder with config.json (its weights may be missing), a .gguf file (both relative to
    ``folder``, by default the working folder), or an id whose config.json is in the Hugging Face hub's cache
    (``HF_HUB_CACHE``, ``HF_HOME``, ~/.cache/huggingface). Raises StudyError with the key ``model.id`` for files that
    can't be read as what they are.
    """
    folder = folder or Path()  # not Path.cwd(): a driver's may be gone when it asks after a hub's model
    place = files.find_model(model_id, folder)
    if place is None:
        return None if is_local_model(model_id, folder) else _registered_facts(model_id)
    if place.is_file():
        return gguf.read_facts(place)
    config = files.read_json(place / "config.json")
    quantization = place / "hf_quant_config.json"  # where ModelOpt writes it
    told = files.read_json(quantization) if quantization.is_file() else None
    facts = config_json.facts_of_config(config, told, str(place / "config.json"))
    return files.with_weights(facts, place)


def _registered_facts(model_id: str) -> ModelFacts | None:
    model = registered.registered_model(model_id)
    if model is None:
        return None
    facts = config_json.facts_of_config(model.config, source=f"{model_id}, as registered")
    return replace(facts, stated_by=model.source)
