"""Engine: knows one server's flags. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from autotuner.engines.deployment import Deployment
from autotuner.engines.loaded_formats import LoadedFormats
from autotuner.engines.problem import Problem
from autotuner.engines.server_metrics import MetricSource, ServerMetric
from autotuner.errors import Failure
from autotuner.space.config import Config
from autotuner.space.parallelism import Parallelism
from autotuner.space.server_traits import ServerTraits
from autotuner.study.model import Study

__all__ = [
    "Engine",
    "EngineRule",
    "FailureReport",
    "MemoryShare",
    "ModelFormat",
    "Problem",
    "QuantValue",
    "RequestFeatures",
    "VersionQuestion",
]


class ModelFormat(StrEnum):
    HUB = "hub"  # a folder as the Hugging Face hub has them, local or by its id
    GGUF = "gguf"  # one local file


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
    # What a request calls an adapter of ``workload.lora`` as its ``model``; {served} is the served name.
    adapter_model: str = "{adapter}"

    @property
    def forces_length(self) -> bool:
        return self.ignore_eos or self.min_tokens


@dataclass(frozen=True)
class FailureReport:
    """What a dead or stuck server's exit code and log say."""

    failure: Failure
    message: str


@dataclass(frozen=True)
class EngineRule:
    """What an engine can't do: a constraint that every Config must meet, in the constraint language.

    It names ``tp`` … ``moe_ep``, ``quant.gemm`` …, ``gpus`` (of one server, unless the study says 0),
    ``gpus_per_node`` and the engine's flags as identifiers (``max_num_seqs``); a name that the study does not set
    has its default.
    ``reason`` is one sentence for people, ``source`` where the engine says so.
    """

    text: str
    reason: str
    source: str = ""


@dataclass(frozen=True)
class QuantValue:
    """What a normalised format means to an engine.

    ``flags`` are set by it. ``offline``: weights of this format are another checkpoint, which the study names in
    ``model.variants`` (or the model itself has them). ``means`` is the nearest format that the engine has, where
    it is not quite the one asked for; ``check`` tells that.
    """

    flags: Mapping[str, Any] = field(default_factory=dict)
    offline: bool = False
    means: str | None = None


@dataclass(frozen=True)
class MemoryShare:
    """The flag that says how much of a GPU's memory a server takes for itself, as a share of 1.

    ``too_small``: what its log says (expressions) where that share had no room for a single request.
    """

    flag: str
    too_small: tuple[str, ...] = ()


@dataclass(frozen=True)
class VersionQuestion:
    """How an executable is asked for its version: ``argv`` after its own words, and where the answer is.

    ``pattern`` has one group, the version. ``help_argv`` prints every flag of the server, ``None`` where nothing does.
    Where the server itself can't tell it, ``argv`` stands ``instead_of`` the last of its own words.
    """

    argv: tuple[str, ...]
    pattern: str
    help_argv: tuple[str, ...] | None = ("--help",)
    instead_of: tuple[str, ...] = ()

    def asked_of(self, command: Sequence[str]) -> tuple[str, ...] | None:
        """The whole argv that asks ``command``; ``None`` for a command of other words, which can't be asked."""
        kept = len(command) - len(self.instead_of)
        if tuple(command[kept:]) != self.instead_of:
            return None
        return (*command[:kept], *self.argv)


class Engine(Protocol):
    """One inference engine. Implementations have no state, one module of ``supported`` each.

    They see studies of one engine only: see ``one_engine``.
    """

    def __hash__(self) -> int: ...

    @property
    def name(self) -> str: ...

    @property
    def command(self) -> tuple[str, ...]:
        """The first words of the argv, ``engine.command`` apart; the launcher finds ``command[0]``."""
        ...

    @property
    def package(self) -> str:
        """Its distribution on the package index, whose versions are its own (or end with the number of a build)."""
        ...

    @property
    def model_format(self) -> ModelFormat: ...

    @property
    def version_question(self) -> VersionQuestion: ...

    @property
    def parallelism_presets(self) -> Mapping[str, Mapping[str, tuple[int, ...]]]:
        """Preset → degrees to choose from; what it does not name is 1."""
        ...

    @property
    def quantization(self) -> Mapping[str, Mapping[str, QuantValue]]:
        """Field of Quantization → value → what it means; ``auto`` is always there, of no flags."""
        ...

    @property
    def loaded_formats(self) -> LoadedFormats:
        """What it can be asked of a checkpoint that is quantised already."""
        ...

    @property
    def server_metrics(self) -> Mapping[ServerMetric, MetricSource]:
        """Which of the server's Prometheus metrics tells what; empty where it has none."""
        ...

    @property
    def memory_share(self) -> MemoryShare | None:
        """``None`` where it takes what it needs."""
        ...

    def traits(self, study: Study) -> ServerTraits:
        """How it lays a model over GPUs, for what the model asks of Configs."""
        ...

    def gpus(self, parallelism: Parallelism) -> int:
        """GPUs of one server."""
        ...

    @property
    def gpus_text(self) -> str:
        """The same as an expression: ``tp * pp * dp``."""
        ...

    def rules(self, version: str) -> Sequence[EngineRule]:
        """What this version can't do."""
        ...

    def parallelism_flags(self, parallelism: Parallelism) -> dict[str, Any]:
        """The flags that a study's normalised parallelism sets, which it may then not set itself."""
        ...

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
