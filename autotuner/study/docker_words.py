"""``launcher.extra_args``: words of ``docker run`` as keyword arguments of docker's SDK. Pure."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from autotuner.errors import StudyError
from autotuner.strict.problem import nearest_name

_KEY = "launcher.extra_args"
# Option of docker run → keyword of the SDK, and whether it may be given several times.
_OPTIONS = {
    "--add-host": ("extra_hosts", True),
    "--cap-add": ("cap_add", True),
    "--cpus": ("nano_cpus", False),
    "--device": ("devices", True),
    "--group-add": ("group_add", True),
    "--ipc": ("ipc_mode", False),
    "--privileged": ("privileged", False),
    "--runtime": ("runtime", False),
    "--security-opt": ("security_opt", True),
    "--tmpfs": ("tmpfs", True),
    "--ulimit": ("ulimits", True),
    "--user": ("user", False),
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise StudyError(f"{_KEY}: {message}", key=_KEY, rule=message)


def read(words: Sequence[str]) -> dict[str, Any]:
    """Raises StudyError for a word that is not among those taken, naming the nearest."""
    for word in words:
        option = word.partition("=")[0]
        if option.startswith("-") and option not in _OPTIONS:
            nearest = nearest_name(option, list(_OPTIONS))
            rule = f"words of docker run: {', '.join(_OPTIONS)}"
            hint = f"; did you mean {nearest}?" if nearest else ""
            raise StudyError(f"{_KEY}: {option!r}: {rule}{hint}", key=_KEY, value=option, rule=rule, nearest=nearest)
    parser = _Parser(add_help=False, allow_abbrev=False)
    for option, (name, several) in _OPTIONS.items():
        if option == "--privileged":
            parser.add_argument(option, dest=name, action="store_true", default=None)
        else:
            parser.add_argument(option, dest=name, action="append" if several else "store", type=_READ.get(name, str))
    given = vars(parser.parse_args(list(words)))
    return {name: value for name, value in given.items() if value is not None}


def _ulimit(text: str) -> dict[str, Any]:
    """``memlock=-1`` or ``nofile=1024:2048`` as docker's API has it."""
    name, _, limits = text.partition("=")
    soft, _, hard = limits.partition(":")
    try:
        return {"Name": name, "Soft": int(soft), "Hard": int(hard or soft)}
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=SOFT[:HARD]") from None


def _nano_cpus(text: str) -> int:
    try:
        return int(float(text) * 1e9)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of cores") from None


_READ: dict[str, Any] = {"ulimits": _ulimit, "nano_cpus": _nano_cpus}
