"""What the engine on a machine says of itself, and what that means for a study with ``engine.version: auto``. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from autotuner.engines.flags.catalogue import AUTO, Catalogue, catalogue_versions, load_catalogue, nearest_version
from autotuner.engines.flags.flag import Flag, Place
from autotuner.engines.one_engine import split_prefix, study_of
from autotuner.engines.problem import Problem
from autotuner.engines.settings import is_flag
from autotuner.nearest import nearest_word
from autotuner.study.model import EngineSettings, Study

_FLAG = re.compile(r"(?<![\w-])--([A-Za-z0-9][\w-]*)")
_BUILD = re.compile(r"b\d+")  # llama.cpp's versions are numbers of builds
# A help text that knows less than this share of the catalogue's flags is a part of one.
_WHOLE_HELP = 0.5


@dataclass(frozen=True)
class EngineAnswer:
    """``flags`` are those that its help names, without dashes in front; ``None``: it has no such help.

    ``executable`` is the path of what was asked.
    """

    version: str
    executable: str
    flags: frozenset[str] | None = None


def flags_in(help_text: str) -> frozenset[str]:
    """The long flags that a help text names, without the dashes in front."""
    return frozenset(_FLAG.findall(help_text))


def engines_to_ask(study: Study) -> tuple[str, ...]:
    """The engines of the study whose version is ``auto``."""
    return tuple(name for name in study.engine.names if study_of(study, name).engine.version == AUTO)


def catalogued_for(engine: str, version: str) -> str:
    """The catalogued version that an installed one is judged by: the newest that is not newer, else the oldest."""
    return nearest_version(as_catalogued(engine, version), catalogue_versions(engine))


def has_catalogue(engine: str, version: str) -> bool:
    """Whether that very version has one."""
    return as_catalogued(engine, version) in catalogue_versions(engine)


def with_version(study: Study, engine: str, version: str) -> Study:
    """The study with ``engine``'s version fixed to this catalogued one."""
    settings = study.engine
    if settings.name == engine and engine not in settings.per_engine:
        changed = settings.model_copy(update={"version": version})
    else:
        own = settings.per_engine.get(engine) or EngineSettings()
        per_engine = {**settings.per_engine, engine: own.model_copy(update={"version": version})}
        changed = settings.model_copy(update={"per_engine": per_engine})
    return study.model_copy(update={"engine": changed})


def judged_by(study: Study, engine: str, answer: EngineAnswer) -> Study:
    """The study judged by the flags of what is installed."""
    return with_version(study, engine, catalogued_for(engine, answer.version))


def installed_problems(study: Study, engine: str, answer: EngineAnswer) -> list[Problem]:
    """What is to be told of the installed version, and the study's flags that it does not know.

    A version that is catalogued is judged by its catalogue alone: not every flag is in every help text.
    """
    version = catalogued_for(engine, answer.version)
    if has_catalogue(engine, answer.version):
        return []
    told = Problem(
        "engine.version",
        AUTO,
        f"{engine} {answer.version} is installed; judged by the flags of {version}",
        fatal=False,
    )
    return [told, *_unknown_flags(study, engine, answer, load_catalogue(engine, version))]


def _unknown_flags(study: Study, engine: str, answer: EngineAnswer, catalogue: Catalogue) -> Iterator[Problem]:
    known = None if answer.flags is None else frozenset(map(_plain, answer.flags))
    if known is None or not _is_whole(known, catalogue):
        return
    for key, name in _named_flags(study, engine):
        flag = catalogue.find(name)
        if flag is None or flag.where is not Place.CLI or not known.isdisjoint(_spellings(flag)):
            continue
        nearest = nearest_word(name, answer.flags or ())
        yield Problem(key, name, f"no flag of the installed {engine} {answer.version} ({answer.executable})", nearest)


def _named_flags(study: Study, engine: str) -> Iterator[tuple[str, str]]:
    """Key and name of the flags that the study sets or searches for this engine."""
    own = study.engine.per_engine.get(engine)
    yield from ((f"engine.args.{name}", name) for name in study.engine.args)
    yield from ((f"engine.per_engine.{engine}.args.{name}", name) for name in (own.args if own else ()))
    for name in study.space.parameters:
        prefix, flag = split_prefix(name)
        if prefix in (None, engine) and is_flag(flag):
            yield f"space.parameters.{name}", flag


def _is_whole(known: frozenset[str], catalogue: Catalogue) -> bool:
    flags = [flag for flag in catalogue.flags.values() if flag.where is Place.CLI]
    found = sum(not known.isdisjoint(_spellings(flag)) for flag in flags)
    return found >= _WHOLE_HELP * len(flags)


def _spellings(flag: Flag) -> Iterable[str]:
    return {_plain(name) for name in (flag.name, flag.negative, *flag.aliases) if name is not None}


def as_catalogued(engine: str, version: str) -> str:
    """A version in the words of the catalogue: without what marks a build of it, as in 0.32.0+cpu."""
    public = version.partition("+")[0]
    if all(_BUILD.fullmatch(known) for known in catalogue_versions(engine)):
        numbers = [
            int(number) for number in re.findall(r"\d+", public)
        ]  # xllamacpp's are YEAR.MONTH.BUILD, and .1 after it
        return f"b{max(numbers)}" if numbers else public
    return public


def _plain(name: str) -> str:
    return name.replace("_", "-")
