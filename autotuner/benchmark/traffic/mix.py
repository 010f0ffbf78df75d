"""A weighted mix of sources, and how it is written down for the worker processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from autotuner.benchmark.traffic.datasets import PromptSet, SizeTrace, read_dataset, read_trace
from autotuner.benchmark.traffic.scenario import Shape, Source, parse_scenario


@dataclass(frozen=True)
class SourceSpec:
    """One source of a mix: ``kind`` is scenario, dataset or trace, ``text`` the scenario or the file's path."""

    kind: str
    text: str
    weight: float = 1.0

    def open(self, seed: int, key: str) -> Source:
        """Parses the scenario or reads the file. Raises WorkloadError."""
        if self.kind == "dataset":
            return read_dataset(self.text, seed, f"{key}.dataset")
        if self.kind == "trace":
            return read_trace(self.text, f"{key}.trace")
        return parse_scenario(self.text, key)


@dataclass(frozen=True)
class Mix:
    """Each request's shape comes from one of the sources, drawn by weight."""

    sources: tuple[Source, ...]
    weights: tuple[float, ...]

    @property
    def told(self) -> tuple[str, ...]:
        """What people must know of how its files were read."""
        return tuple(text for one in self.sources if isinstance(one, PromptSet | SizeTrace) for text in one.told)

    def shape(self, rng: Random, index: int, position: int) -> Shape:
        if len(self.sources) == 1:
            return self.sources[0].shape(rng, index, position)
        (source,) = rng.choices(self.sources, self.weights)
        return source.shape(rng, index, position)

    @property
    def most_output_tokens(self) -> int:
        return max(source.most_output_tokens for source in self.sources)

    @property
    def prompts(self) -> int | None:
        """How many requests its smallest dataset has prompts for, ``None`` without one."""
        return min((len(source.shapes) for source in self.sources if isinstance(source, PromptSet)), default=None)


def open_mix(specs: Sequence[SourceSpec], seed: int) -> Mix:
    """Raises WorkloadError for a scenario that does not parse or a file that can't be read."""
    keys = (
        ["workload.scenario"] if len(specs) == 1 else [f"workload.scenarios[{i}].scenario" for i in range(len(specs))]
    )
    seen: set[object] = set()
    sources = []
    for spec, key in zip(specs, keys, strict=True):
        source = spec.open(seed, key)
        sources.append(_told_apart(source, seen) if isinstance(source, PromptSet) else source)
    return Mix(tuple(sources), tuple(spec.weight for spec in specs))


def _told_apart(prompts: PromptSet, seen: set[object]) -> PromptSet:
    """The prompts, those that are in ``seen`` known as repeated; ``seen`` grows by the others."""
    shapes = []
    for shape in prompts.shapes:
        shapes.append(replace(shape, repeated=shape.content in seen))
        seen.add(shape.content)
    return replace(prompts, shapes=tuple(shapes))
