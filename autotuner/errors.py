"""What can go wrong, in two kinds: errors stop a command, failures are results of a trial.

AutotunerError
├── InputError              what the user gave is wrong                     exit code 2
│   ├── StudyError          a key of the study file
│   ├── SpaceError          the search space: parameter, condition, constraint
│   ├── WorkloadError       a scenario, a dataset, a trace
│   ├── FolderError         an output folder that can't be used
│   └── MissingExtraError   an optional package that is not installed
└── InfrastructureError     Ray, a port, a disk, docker, a node            exit code 3
    ├── CapacityError       the machine or cluster can't hold a trial
    ├── LaunchError         a server did not come up (carries the Failure)
    └── ServerLostError     a server was ended by what says nothing about its Config
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from enum import StrEnum
from typing import Any, ClassVar, Self


class Failure(StrEnum):
    """Why a trial or a load point has no score.

    The searcher is told of the first group as infeasible; the second group says nothing about a
    Config, so it is repeated and never told.
    """

    INVALID_CONFIG = "INVALID_CONFIG"
    OUT_OF_MEMORY_AT_START = "OUT_OF_MEMORY_AT_START"
    OUT_OF_MEMORY_UNDER_LOAD = "OUT_OF_MEMORY_UNDER_LOAD"
    STARTUP_TIMEOUT = "STARTUP_TIMEOUT"
    CRASH = "CRASH"
    HANG = "HANG"
    BAD_RESPONSES = "BAD_RESPONSES"
    CLIENT_SATURATED = "CLIENT_SATURATED"
    INFRASTRUCTURE = "INFRASTRUCTURE"

    @property
    def blames_config(self) -> bool:
        """Whether the Config is at fault, so that the searcher must hear of it."""
        return self not in (Failure.CLIENT_SATURATED, Failure.INFRASTRUCTURE)


class AutotunerError(Exception):
    """The root of every error this package raises on purpose.

    ``key`` names the field, ``value`` is what it got, ``rule`` is what must hold and ``nearest``
    the closest valid choice, each ``None`` where it does not apply. Of several ``problems`` (the same four fields of
    each) the first is the error's own.
    """

    exit_code: ClassVar[int] = 1
    code: ClassVar[str] = "error"

    def __init__(
        self,
        message: str,
        *,
        key: str | None = None,
        value: Any = None,
        rule: str | None = None,
        nearest: str | None = None,
        problems: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.key = key
        self.value = value
        self.rule = rule
        self.nearest = nearest
        self.problems = tuple(problems)

    def with_message(self, message: str) -> Self:
        """The same error in other words."""
        other = copy(self)
        other.message, other.args = message, (message,)
        return other

    def as_dict(self) -> dict[str, Any]:
        """The error as ``--json`` prints it: ``{code, message, key, value, rule, nearest, problems}``."""
        own = {"key": self.key, "value": self.value, "rule": self.rule, "nearest": self.nearest}
        problems = [dict(problem) for problem in self.problems] or [own]
        return {"code": self.code, "message": self.message, **own, "problems": problems}


class InputError(AutotunerError):
    exit_code = 2
    code = "input"


class StudyError(InputError):
    code = "study"


class SpaceError(InputError):
    code = "space"


class WorkloadError(InputError):
    code = "workload"


class FolderError(InputError):
    code = "folder"


class MissingExtraError(InputError):
    code = "missing_extra"


class InfrastructureError(AutotunerError):
    exit_code = 3
    code = "infrastructure"


class CapacityError(InfrastructureError):
    code = "capacity"


class LaunchError(InfrastructureError):
    """A server did not come up, or did not stay up; ``failure`` says why."""

    code = "launch"

    def __init__(self, message: str, failure: Failure, *, log_tail: str = "") -> None:
        super().__init__(message)
        self.failure = failure
        self.log_tail = log_tail

    def __reduce__(self) -> tuple[Any, ...]:
        return _launch_error, (self.message, self.failure, self.log_tail)


class ServerLostError(InfrastructureError):
    """A server is gone because what owns it was ended from outside: its launch is to be repeated."""

    code = "server_lost"


def _launch_error(message: str, failure: Failure, log_tail: str) -> LaunchError:
    return LaunchError(message, failure, log_tail=log_tail)
