"""The sections of a study about its Configs: space, search, fidelity, budget."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, Tag

from autotuner.strict.forms import Degrees, Names, Section, form, text_or_map


class ParallelismSpace(Section):
    """How a server is laid over GPUs, in names that mean the same on every engine."""

    preset: Annotated[Names | None, Field(description="The engine's own combinations, by name")] = None
    tp: Annotated[Degrees | None, Field(description="Tensor parallelism")] = None
    pp: Annotated[Degrees | None, Field(description="Pipeline parallelism")] = None
    dp: Annotated[Degrees | None, Field(description="Data parallelism inside one server")] = None
    ep: Annotated[Degrees | None, Field(description="Expert parallelism")] = None
    dcp: Annotated[Degrees | None, Field(description="Decode context parallelism")] = None
    cp: Annotated[Degrees | None, Field(description="Context parallelism")] = None
    moe_tp: Annotated[Degrees | None, Field(description="Tensor parallelism of the experts")] = None
    moe_ep: Annotated[Degrees | None, Field(description="Expert parallelism of the experts")] = None


class QuantizationSpace(Section):
    """Numbers' formats, in names that mean the same on every engine; auto is the engine's own choice."""

    preset: Annotated[Names | None, Field(description="Combinations by name, as kv-cache-fp8")] = None
    gemm: Annotated[Names | None, Field(description="Weights and matrix products")] = None
    kv_cache: Annotated[Names | None, Field(description="KV cache")] = None
    attention: Annotated[Names | None, Field(description="Attention")] = None
    moe: Annotated[Names | None, Field(description="The experts of a mixture of experts")] = None


class Space(Section):
    """Which Configs there are."""

    include: Annotated[list[str], Field(description="Space files: names under search_spaces/, or paths")] = []
    parallelism: Annotated[ParallelismSpace, Field(description="How a server is laid over GPUs")] = ParallelismSpace()
    quantization: Annotated[QuantizationSpace, Field(description="Numbers' formats")] = QuantizationSpace()
    parameters: Annotated[
        dict[str, Any],
        Field(description="name → [values], {int: [lo, hi]}, {float: [lo, hi]} (log, step), {choices: {label: value}}"),
    ] = {}
    conditions: Annotated[dict[str, str], Field(description="name → expression under which the parameter exists")] = {}
    constraints: Annotated[list[str], Field(description="Expressions that every Config must satisfy")] = []


Baseline = Annotated[
    Annotated[Literal["default"], Tag("|text")] | Annotated[dict[str, Any], Tag("|map")],
    form(text_or_map, "default, or a Config: a map of parameter: value"),
]


class Stop(Section):
    """When a search ends before its trials are used up: the searcher expects little more."""

    improvement: Annotated[
        float, Field(gt=0, lt=1, description="Over the best, expected of the most promising Config; less is little")
    ] = 0.03
    patience: Annotated[int, Field(ge=1, description="Trials in a row after which it is little")] = 2


def _off(value: Any) -> Any:
    return None if value is False or value == "off" else value


def _every_form(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return "|none" if value is None else "|text"
    return "|number" if isinstance(value, int) and not isinstance(value, bool) else None


ReferenceEvery = Annotated[
    Annotated[int, Field(ge=1), Tag("|number")]
    | Annotated[Literal["auto"], Tag("|text")]
    | Annotated[None, Tag("|none")],
    form(_every_form, "auto, off, or a number of trials"),
]


class Search(Section):
    """How Configs are proposed, and how many."""

    algorithm: Annotated[
        Literal["auto", "grid", "random", "tpe", "cmaes", "nsga2", "gp", "hyperopt"], Field(description="The searcher")
    ] = "auto"
    trials: Annotated[int, Field(ge=1, description="Trials of the study, the baseline included")] = 40
    stop: Annotated[
        Stop | None,
        BeforeValidator(_off, json_schema_input_type=Stop | Literal["off", False] | None),
        Field(description="When auto ends before; off: never"),
    ] = Stop()
    seed: Annotated[int, Field(ge=0, le=2**32 - 1, description="Of everything that is drawn at random")] = 0
    baseline: Annotated[Baseline, Field(description="Trial 0: the engine's default, or a Config")] = "default"
    confirm: Annotated[
        int, Field(ge=0, description="Rounds, at most, in which finalists and default are measured afresh; 0: none")
    ] = 3
    finalists: Annotated[
        int | None,
        Field(
            ge=1,
            description="Configs, at most, that are measured afresh beside the default: the best, and those that noise "
            "may have put behind it; null: the best alone, and every round of confirm",
        ),
    ] = 3
    put_back: Annotated[
        bool,
        Field(
            description="Whether settings of the best that seem to do nothing are put back to the default: such a "
            "Config is measured, if it was not, and is a finalist"
        ),
    ] = True
    select: Annotated[
        Literal["slo_met", "score"], Field(description="Whether the best must meet every SLO, if any Config does")
    ] = "slo_met"
    max_concurrent_trials: Annotated[
        int | None, Field(ge=1, description="Trials at a time; default, and with hyperband: as many as fit")
    ] = None
    heed_disturbance: Annotated[
        bool,
        Field(
            description="Whether a load point during which others used its cores, servers or GPUs is measured once "
            "more, then marked, and the searcher not told of it"
        ),
    ] = True
    reference_every: Annotated[
        ReferenceEvery,
        BeforeValidator(_off, json_schema_input_type=int | Literal["auto", "off", False] | None),
        Field(
            description="After so many trials each the default is measured again, at one load level, to see whether "
            "the machine became slower; auto: 20, but not in a load search; off: never"
        ),
    ] = "auto"
    check_nodes: Annotated[
        Literal["auto", "always", "never"],
        Field(description="Whether like nodes measure the default first; auto: with 10 trials a node or more to come"),
    ] = "auto"


class Fidelity(Section):
    """How early a trial can be stopped."""

    trial_scheduler: Annotated[
        Literal["asha", "hyperband", "median", "none"], Field(description="What stops trials after a rung")
    ] = "asha"
    cut: Annotated[
        Literal["auto", "levels", "requests"],
        Field(description="What a rung adds: load levels, or requests at every level; auto: requests with hyperband"),
    ] = "requests"
    compare: Annotated[
        Literal["auto", "front", "first"],
        Field(
            description="By what trials of several objectives are compared after a rung: front: how many others are "
            "better in all of them; first: the first objective alone; auto: front, with hyperband first"
        ),
    ] = "auto"
    rungs: Annotated[
        int, Field(ge=1, le=8, description="Fidelity levels of a trial; by levels no more than there are of these")
    ] = 3
    eta: Annotated[
        int, Field(ge=2, le=10, description="One of how many trials goes on, and by requests how many times as many")
    ] = 3

    @property
    def is_cut_by_levels(self) -> bool:
        """Whether each rung measures further load levels in full, rather than all of them further."""
        return self.cut == "levels" or (self.cut == "auto" and self.trial_scheduler != "hyperband")


class Budget(Section):
    """What a study may spend; it then ends with what it has."""

    gpu_hours: Annotated[float | None, Field(gt=0, description="GPUs reserved × hours; default: no limit")] = None
    wall_clock_h: Annotated[float | None, Field(gt=0, description="Since the start; default: no limit")] = None
