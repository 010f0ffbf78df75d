"""Optional packages: loaded when they are needed, and missed with a word on how to get them."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from autotuner.errors import MissingExtraError


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Imports ``module``. Raises MissingExtraError, naming the extra that installs it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{purpose} needs {module}, which is not installed: pip install 'autotuner-llm[{extra}]'",
            value=module,
            rule=f"install the extra {extra}",
        ) from error
