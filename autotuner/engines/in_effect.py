"""What a setting is for a server whose Config leaves it out: the study's own value, or the server's default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from autotuner.engines.flags.catalogue import load_catalogue
from autotuner.engines.flags.spelling import Spelling
from autotuner.engines.one_engine import one_engine, split_prefix
from autotuner.engines.settings import ENV_PREFIX, args_as_read
from autotuner.errors import StudyError
from autotuner.space.config import Config
from autotuner.study.model import SecretRef, Study


@dataclass(frozen=True)
class InEffect:
    """``word`` is the value as the server spells it, so that like values are alike.

    ``is_built_in``: nobody has set it, it is the server's default as the flag catalogue has it.
    """

    value: Any
    word: str
    is_built_in: bool = False


def setting_in_effect(study: Study, config: Config, name: str) -> InEffect | None:
    """``None`` where nobody says: no default is known, or the setting is another engine's."""
    spelling, own = _spelling_of(study, config, name)
    flag = None if spelling is None else spelling.flag
    value = config.values.get(name)
    if value is not None and spelling is not None:
        value = spelling.read(value)
    if value is None and name not in config.values and own is not None:
        value = _set_by_study(own, name, spelling)
    is_built_in = value is None and flag is not None and spelling is not None and not spelling.path
    if is_built_in and flag is not None:
        value = flag.default
    if value is None:
        return None
    if spelling is not None and spelling.is_negative:
        value = spelling.read(value)  # in the sense of the name that is asked for
    return InEffect(value, str(value) if flag is None else flag.as_word(value), is_built_in)


def changed_settings(study: Study, config: Config, other: Config) -> tuple[str, ...]:
    """The names of either Config whose settings are not in effect the same, in order."""
    names = sorted({*config.values, *other.values})
    return tuple(n for n in names if word_in_effect(study, config, n) != word_in_effect(study, other, n))


def word_in_effect(study: Study, config: Config, name: str) -> str | None:
    """As the server spells it, so that like values are alike; ``None`` where nobody says."""
    setting = setting_in_effect(study, config, name)
    return None if setting is None else setting.word


def _spelling_of(study: Study, config: Config, name: str) -> tuple[Spelling | None, Study | None]:
    """The flag, and the study as the Config's engine sees it; ``None`` for what is not that engine's."""
    try:
        engine, own, _ = one_engine(study, config)
        prefix, flag_name = split_prefix(name)
        if prefix not in (None, engine.name):
            return None, None
        return load_catalogue(engine.name, own.engine.version).spelling(flag_name), own
    except StudyError:  # of an engine or version that is not known any more
        return None, None


def _set_by_study(study: Study, name: str, spelling: Spelling | None) -> Any:
    """What the study's engine section says for every Config; secrets are not told."""
    _, own_name = split_prefix(name)
    if own_name.startswith(ENV_PREFIX):
        value = study.engine.env.get(own_name.removeprefix(ENV_PREFIX))
        return None if isinstance(value, SecretRef) else value
    if spelling is None:
        return None
    catalogue = load_catalogue(study.engine.names[0], study.engine.version)
    value = args_as_read(catalogue, study.engine.args).get(spelling.flag.name)
    for key in spelling.keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
