"""A layer as data: what it says, and in which context it says it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, Tag

from autotuner.strict.forms import Scalar, Section, form
from autotuner.study.layers.origins import Origin

if TYPE_CHECKING:
    from autotuner.models.facts import ModelFacts


class Bounds(Section):
    """A range that a number of the context must be in, both ends included."""

    min: float | None = None
    max: float | None = None


def _condition_form(value: Any) -> str:
    if isinstance(value, dict | Bounds):
        return "|map"
    return "|list" if isinstance(value, list) else "|one"


Condition = Annotated[
    Annotated[Bounds, Tag("|map")] | Annotated[list[Scalar], Tag("|list")] | Annotated[Scalar, Tag("|one")],
    form(_condition_form, "a value, a list of which one must hold, or {min: …, max: …}"),
]


class LayerPart(Section):
    """What to say of a study, and when."""

    when: dict[str, Condition] = {}  # noqa: RUF012  # pydantic copies defaults
    mode: Literal["patch", "replace"] = "patch"
    study: Annotated[dict[str, Any], Field(min_length=1)]


@dataclass(frozen=True)
class Layer:
    """One part of a layer file. ``engines`` are those of the study it speaks of, empty for all of them."""

    origin: Origin
    part: LayerPart
    engines: tuple[str, ...] = ()


@dataclass(frozen=True)
class LayerContext:
    """What layers may depend on. Facts of a model that nothing is known of meet no condition."""

    engines: tuple[str, ...]
    accelerators: tuple[str, ...]
    model_id: str
    facts: Callable[[], ModelFacts | None]

    def meets(self, when: Mapping[str, Any]) -> bool:
        return all(any(_meets(value, asked) for value in self._values(key)) for key, asked in when.items())

    def engines_of(self, when: Mapping[str, Any]) -> tuple[str, ...]:
        """The engines that a layer speaks of; none where it does not name any."""
        if "engine" not in when:
            return ()
        return tuple(name for name in self.engines if _meets(name, when["engine"]))

    def _values(self, key: str) -> tuple[Any, ...]:
        match key:
            case "engine":
                return self.engines
            case "accelerator":
                return self.accelerators
            case "model.id":
                return (self.model_id,)
        facts = self.facts()
        return () if facts is None else (getattr(facts, key.removeprefix("model.")),)


def condition_keys() -> tuple[str, ...]:
    """What a layer's ``when`` may name."""
    from autotuner.models.facts import ModelFacts

    derived = [name for name, value in vars(ModelFacts).items() if isinstance(value, property)]
    told = [*(field.name for field in fields(ModelFacts)), *derived]
    return ("engine", "accelerator", "model.id", *(f"model.{name}" for name in told))


def _meets(value: Any, asked: Any) -> bool:
    if isinstance(asked, Bounds):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and (asked.min is None or value >= asked.min) and (asked.max is None or value <= asked.max)
    return value in asked if isinstance(asked, list) else bool(value == asked)
