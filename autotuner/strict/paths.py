"""Paths that people write, and where the data files are that this package ships."""

from __future__ import annotations

import os.path
from importlib import resources
from pathlib import Path

from autotuner.errors import InputError


def absolute_path(path: str | Path) -> Path:
    """A path that someone gave, as it is from the working folder. Raises InputError where that has been deleted."""
    try:
        return Path(path).expanduser().absolute()
    except FileNotFoundError:
        rule = "an absolute path, or a working folder that is there"
        message = f"{path}: the working folder was deleted; give {rule}"
        raise InputError(message, key="path", value=str(path), rule=rule) from None


def absolute(path: str, folder: Path) -> str:
    """Against ``folder``, without ``..`` and without following links."""
    return os.path.normpath(folder / Path(path).expanduser())


def shipped_spaces() -> Path:
    """The folder search_spaces/: inside the installed package, or beside it in a checkout."""
    package = Path(str(resources.files("autotuner")))
    inside = package / "search_spaces"
    return inside if inside.is_dir() else package.parent / "search_spaces"
