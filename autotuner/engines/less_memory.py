"""A Config that leaves its servers less of a GPU's memory than one with which they did not start. Pure."""

from __future__ import annotations

import re

from autotuner.engines.flags.catalogue import Catalogue, load_catalogue
from autotuner.engines.in_effect import setting_in_effect
from autotuner.engines.one_engine import one_engine, split_prefix
from autotuner.engines.settings import is_flag
from autotuner.space.config import Config
from autotuner.study.model import Study

# What the share leaves free is what activations, CUDA graphs and communication buffers are allocated from: a
# twentieth of the memory, 4 GB of 80, is the step in which the engines' own documents advise to lower it.
STEP = 0.05
# Said of the memory of the host and of containers, which no share of a GPU's changes.
_OF_THE_HOST = r"^autotuner: |\bMemoryError\b|std::bad_alloc|can't allocate memory|host memory"


def with_less_memory(study: Study, config: Config, message: str) -> Config | None:
    """The Config with ``STEP`` less for the server, after a start that failed for want of memory with this ``message``.

    ``None`` where that can't help: the engine has no such flag or nobody says what it is set to, nothing would be left
    of it, the host's memory was meant, or the share itself was too small.
    """
    share = one_engine(study, config)[0].memory_share
    if share is None or re.search("|".join((_OF_THE_HOST, *share.too_small)), message):
        return None
    name = _name_in(study, config, share.flag)
    setting = setting_in_effect(study, config, name)
    if setting is None or not isinstance(setting.value, int | float):
        return None
    lowered = round(setting.value - STEP, 4)
    return Config({**config.values, name: lowered}) if lowered > 0 else None


def _name_in(study: Study, config: Config, flag: str) -> str:
    """How the Config spells the flag; as the catalogue does where it leaves it out."""
    engine, own, _ = one_engine(study, config)
    catalogue = load_catalogue(engine.name, own.engine.version)
    return next((name for name in config.values if _is(name, flag, engine.name, catalogue)), flag)


def _is(name: str, flag: str, engine: str, catalogue: Catalogue) -> bool:
    prefix, own_name = split_prefix(name)
    if prefix not in (None, engine) or not is_flag(own_name):
        return False
    spelling = catalogue.spelling(own_name)
    return spelling is not None and spelling.flag.name == flag
