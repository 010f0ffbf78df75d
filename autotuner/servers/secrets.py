"""Values that a study reads from environment variables, and never stores."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from autotuner.errors import StudyError
from autotuner.study.model import EndpointLauncher, ReplayLauncher, SecretRef, Study


def resolve_headers(study: Study) -> dict[str, str]:
    """The headers of every request to the study's servers. Raises StudyError for a variable that is not set."""
    if not isinstance(study.launcher, EndpointLauncher):
        return {}
    return resolve_secrets("launcher.headers", study.launcher.headers)


def resolve_secrets(key: str, values: Mapping[str, str | SecretRef]) -> dict[str, str]:
    """``values`` with each reference read from the environment; ``key`` is where they stand in the study."""
    return {
        name: read_variable(f"{key}.{name}", value.from_env) if isinstance(value, SecretRef) else value
        for name, value in values.items()
    }


def needed_variables(study: Study) -> dict[str, str]:
    """Key → variable of every secret that a study's servers and requests need where they start."""
    if isinstance(study.launcher, ReplayLauncher):
        return {}
    if isinstance(study.launcher, EndpointLauncher):
        sections: dict[str, Mapping[str, str | SecretRef]] = {"launcher.headers": study.launcher.headers}
    else:
        sections = {"engine.env": study.engine.env}
        sections |= {f"engine.per_engine.{name}.env": own.env for name, own in study.engine.per_engine.items()}
    return {
        f"{section}.{name}": value.from_env
        for section, values in sections.items()
        for name, value in values.items()
        if isinstance(value, SecretRef)
    }


def unset_variables(names: Iterable[str]) -> list[str]:
    """Those that are not set on this machine."""
    return [name for name in names if name not in os.environ]


def read_variable(key: str, variable: str) -> str:
    """The value of an environment variable. Raises StudyError, without any value, when it is not set."""
    value = os.environ.get(variable)
    if value is None:
        raise StudyError(
            f"{key}: the environment variable {variable} is not set", key=key, value=variable, rule="a set variable"
        )
    return value
