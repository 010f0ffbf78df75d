"""PutBack: a Config with some of its settings as the default has them. Pure but for a replayed study's table."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from autotuner.engines.in_effect import changed_settings, setting_in_effect
from autotuner.errors import InputError
from autotuner.results.records import Phase
from autotuner.space import Parameter, SearchSpace
from autotuner.space.config import Config
from autotuner.study.model import Study
from autotuner.tuning.decisions.capacity import deployment_of


class PutBack:
    """What of a study's Configs can be put back to a default."""

    def __init__(self, study: Study, space: SearchSpace) -> None:
        self._study = study
        self._space = space

    def changed(self, config: Config, default: Config) -> tuple[str, ...]:
        """The settings that are not in effect what the default's are, by name."""
        return changed_settings(self._study, config, default)

    def without(self, config: Config, default: Config, names: Collection[str]) -> Config | None:
        """The Config with these settings as the default has them: left to the server, where it leaves them to it.

        A parameter that is there through one of them alone goes with it, and comes with it as the default has it. Where
        there can be none that leaves them out, as in a table of Configs that say everything, they are set to what the
        server would take. ``None`` where a constraint forbids it, or no server can be started so.
        """
        wanted = {name: value for name, value in config.values.items() if name not in names}
        wanted |= {name: default.values[name] for name in names if name in default.values}
        come = {name: value for name, value in default.values.items() if name not in config.values}
        plain = self._of_what_exists(wanted, come)
        said = self.said(plain)
        if self._space.violated(said) is not None:
            return None
        return next((found for found in (plain, said) if self._can_be(found)), None)

    def said(self, config: Config) -> Config:
        """The same Config with what it leaves to the server said, where that is known and a value of the space.

        A searcher is asked of it so: to a searcher a setting that is left out is unlike all others.
        """
        values = {name: value for name, value in config.values.items() if value is not None}
        for parameter in self._space.parameters:
            if parameter.name not in values and parameter.is_active(values):
                values |= self._in_effect(config, parameter)
        return Config({**config.values, **values})

    def told(self, phase: Phase, config: Config) -> Config:
        """What the searcher is told that the Config of a trial of this phase is: what was put back is said."""
        return self.said(config) if phase is Phase.PUT_BACK else config

    def _of_what_exists(self, wanted: Mapping[str, Any], come: Mapping[str, Any]) -> Config:
        """``wanted`` without the parameters whose condition does not hold, and with those of ``come`` for which it
        does; by what is in effect where a parameter that is named is left to the server."""
        known = {parameter.name for parameter in self._space.parameters}
        kept = {name: value for name, value in wanted.items() if name not in known}
        seen = dict(kept)
        for parameter in self._space.parameters:
            if not parameter.is_active(seen):
                continue
            for values in (wanted, come):
                if parameter.name in values and parameter.name not in kept:
                    kept[parameter.name] = seen[parameter.name] = values[parameter.name]
            if seen.get(parameter.name) is None:
                seen |= self._in_effect(Config(wanted), parameter)
        return Config(kept)

    def _in_effect(self, config: Config, parameter: Parameter) -> dict[str, Any]:
        """What a server takes for a parameter that it is not told; nothing where that is no value of the space."""
        setting = setting_in_effect(self._study, config, parameter.name)
        return {parameter.name: setting.value} if setting and parameter.contains(setting.value) else {}

    def _can_be(self, config: Config) -> bool:
        try:
            deployment_of(self._study, config)
        except InputError:
            return False
        return True
