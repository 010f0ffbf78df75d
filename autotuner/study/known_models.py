"""KnownModels: what is known of a study's model and of its other checkpoints, as it is kept with the study.

A server fills the hub's cache when it first runs, so that a second life of a study would know more than its first,
and have another space: what the first one knew is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from autotuner.errors import StudyError
from autotuner.models.facts import ModelFacts
from autotuner.models.find import find_model_facts
from autotuner.study.model import Study


@dataclass(frozen=True)
class KnownModels:
    """``facts`` are the model's, ``variants`` those of ``model.variants``; ``None`` where files are not here."""

    facts: ModelFacts | None = None
    variants: Mapping[str, ModelFacts | None] = field(default_factory=dict)

    def to_json(self) -> str:
        return _ADAPTER.dump_json(self, indent=2).decode()

    @classmethod
    def from_json(cls, text: str) -> KnownModels:
        """Raises ValueError for what ``to_json`` did not write."""
        return _ADAPTER.validate_json(text)


_ADAPTER = TypeAdapter(KnownModels)


def find_known_models(study: Study) -> KnownModels:
    """What this machine's files say; nothing where no server is started. Raises StudyError."""
    if not study.launcher.starts_servers:
        return KnownModels()
    variants = {name: _find_variant(name, model) for name, model in study.model.variants.items()}
    return KnownModels(find_model_facts(study.model.id), variants)


def _find_variant(name: str, model: str) -> ModelFacts | None:
    """As ``find_model_facts``; what can't be read is told under the checkpoint's own key."""
    try:
        return find_model_facts(model)
    except StudyError as error:
        key = f"model.variants.{name}"
        message = error.message.replace("model.id", key, 1)
        raise StudyError(message, key=key, value=error.value, rule=error.rule, nearest=error.nearest) from None
