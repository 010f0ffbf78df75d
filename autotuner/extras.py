"""Optional packages: loaded when they are needed, and missed with a word on how to get them."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from autotuner.errors import MissingExtraError


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Imports ``module``. Raises MissingExtraError, naming the extra that installs it."""
    require_installed(module, extra, purpose)
    return import_module(module)


def require_installed(module: str, extra: str, purpose: str) -> None:
    """As ``require``, without the time that an import takes."""
    if find_spec(module) is None:
        raise MissingExtraError(
            f"{purpose} needs {module}, which is not installed: pip install 'autotuner-llm[{extra}]'",
            value=module,
            rule=f"install the extra {extra}",
        )
