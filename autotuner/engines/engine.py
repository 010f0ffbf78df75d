"""Engine: knows one server's flags. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from autotuner.engines.deployment import Deployment
from autotuner.errors import Failure
from autotuner.space.config import Config
from autotuner.study.model import Study


@dataclass(frozen=True)
class RequestFeatures:
    """What the engine's HTTP API can do for the load driver."""

    token_ids: bool  # `prompt` may be a list of token ids
    ignore_eos: bool  # output length can be forced
    extra_body: tuple[tuple[str, object], ...] = ()  # sent with every request, e.g. cache_prompt
    min_tokens: bool = False
    # Token ids that prompts may be made of, [first, end): by default inside a byte-level vocabulary,
    # above the special tokens that most tokenizers put first.
    token_id_range: tuple[int, int] = (3, 259)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a flag or value; ``fatal`` ones make the study invalid."""

    key: str
    value: object
    rule: str
    nearest: str | None = None
    fatal: bool = True


@dataclass(frozen=True)
class FailureReport:
    """What a dead or stuck server's exit code and log say."""

    failure: Failure
    message: str


class Engine(Protocol):
    """One inference engine. Implementations are frozen and stateless."""

    @property
    def name(self) -> str: ...

    def problems(self, study: Study, names_and_values: Sequence[tuple[str, object]]) -> list[Problem]:
        """What the flag catalogue says against these (parameter, value) pairs and ``engine.args``."""
        ...

    def deployment(self, study: Study, config: Config) -> Deployment:
        """The servers that ``config`` asks for. Raises InputError for what the engine can't do."""
        ...

    def features(self, study: Study, config: Config) -> RequestFeatures: ...

    def diagnose(self, exit_code: int | None, log_tail: str) -> FailureReport:
        """Tells failures apart; CRASH when nothing in the log is known. ``exit_code`` None = alive."""
        ...
