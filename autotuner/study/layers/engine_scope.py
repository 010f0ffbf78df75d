"""A space file of one engine in a study of several: its parameters get the engine's name in front."""

from __future__ import annotations

import re
from collections.abc import Mapping

from autotuner.study.model import Space

_TEXTS_AND_NAMES = re.compile(r"('[^']*'|\"[^\"]*\")|([A-Za-z_][\w.]*)")


def scoped_to(engine: str, space: Space) -> Space:
    """``max-num-seqs`` becomes ``vllm.max-num-seqs``, in conditions and constraints as well."""
    names = {re.sub(r"[^\w.]", "_", name): _prefixed(engine, name) for name in space.parameters}
    written = {name: re.sub(r"[^\w.]", "_", prefixed) for name, prefixed in names.items()}
    return space.model_copy(
        update={
            "parameters": {_prefixed(engine, name): given for name, given in space.parameters.items()},
            "conditions": {
                _prefixed(engine, name): _rewritten(text, written) for name, text in space.conditions.items()
            },
            "constraints": [_rewritten(text, written) for text in space.constraints],
        }
    )


def _prefixed(engine: str, name: str) -> str:
    return name if name.startswith(f"{engine}.") else f"{engine}.{name}"


def _rewritten(text: str, names: Mapping[str, str]) -> str:
    def rewrite(found: re.Match[str]) -> str:
        quoted, name = found.groups()
        return quoted or names.get(name, name)

    return _TEXTS_AND_NAMES.sub(rewrite, text)
