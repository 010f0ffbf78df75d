"""Where a logical executable of an argv is found on this machine, or what stands in for it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from autotuner.errors import MissingExtraError


@dataclass(frozen=True)
class StandIn:
    """A script of this folder that takes an executable's flags; it needs ``package``, of the ``extra``."""

    script: str
    package: str
    extra: str


STAND_INS: Mapping[str, StandIn] = MappingProxyType(
    {"llama-server": StandIn(script="llamacpp_server.py", package="xllamacpp", extra="llamacpp")}
)


@dataclass(frozen=True)
class Resolved:
    """An argv that can be executed. ``version`` is known for a stand-in, whose server can't tell it."""

    argv: tuple[str, ...]
    version: str | None = None


def resolve_argv(argv: Sequence[str]) -> Resolved:
    """Finds ``argv[0]`` on the PATH, else its stand-in. Raises MissingExtraError when there is neither."""
    found = shutil.which(argv[0])
    if found is not None:
        return Resolved((found, *argv[1:]))
    stand_in = STAND_INS.get(argv[0])
    if stand_in is None:
        raise MissingExtraError(f"{argv[0]!r} is not on the PATH", value=argv[0], rule="an executable on the PATH")
    if importlib.util.find_spec(stand_in.package) is None:
        raise MissingExtraError(
            f"{argv[0]!r} is not on the PATH; install it, or `pip install autotuner-llm[{stand_in.extra}]`",
            value=argv[0],
            rule=f"an executable on the PATH, or the extra {stand_in.extra}",
        )
    # By path, and without that path on sys.path: no import of this package in the server.
    script = str(Path(__file__).parents[1] / stand_in.script)
    version = f"{stand_in.package}-{importlib.metadata.version(stand_in.package)}"
    return Resolved((sys.executable, "-P", script, *argv[1:]), version)
