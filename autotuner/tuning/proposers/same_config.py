"""Configs that ask the same of a server: null is its own default, as if the flag were left out."""

from __future__ import annotations

from typing import Any

from autotuner.space import Choice, SearchSpace
from autotuner.space.config import Config


def asked(config: Config) -> Config:
    """What a Config asks for."""
    if None not in config.values.values():
        return config
    return Config({name: value for name, value in config.values.items() if value is not None})


def in_space(space: SearchSpace, config: Config) -> Config | None:
    """The Config of the space that asks the same; ``None`` for one that the space can't say, as most defaults are."""
    values: dict[str, Any] = dict(config.values)
    for parameter in space.active(values):
        if isinstance(parameter, Choice) and parameter.contains(None):
            values.setdefault(parameter.name, None)
    completed = Config(values)
    return completed if space.contains(completed) else None


class Seen:
    """Configs that are not to be proposed any more, by what they ask for."""

    def __init__(self) -> None:
        self._asked: set[Config] = set()

    def add(self, config: Config) -> None:
        self._asked.add(asked(config))

    def __contains__(self, config: Config) -> bool:
        return asked(config) in self._asked
