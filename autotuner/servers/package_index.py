"""The versions of a package on the package index, asked by pip with whatever index it is set to."""

from __future__ import annotations

import re
import subprocess
import sys

from autotuner.errors import InfrastructureError

_TIMEOUT_S = 120
_VERSIONS = re.compile(r"(?m)^Available versions: (.+)$")


def index_versions(package: str) -> tuple[str, ...]:
    """Those that this Python can install, newest first, without pre-releases.

    Raises InfrastructureError where pip is missing or finds none.
    """
    command = [sys.executable, "-m", "pip", "index", "versions", package]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise InfrastructureError(f"{package}: the package index says nothing for {_TIMEOUT_S} s") from error
    found = _VERSIONS.search(asked.stdout)
    if found is None:
        words = [line.strip() for line in asked.stderr.splitlines() if line.startswith(("ERROR", sys.executable))]
        raise InfrastructureError(
            f"{package}: no versions on the package index: {'; '.join(words) or 'pip says nothing'}"
        )
    return tuple(found[1].split(", "))
