"""The study file as data: frozen, strict, every default shown.

Every number has its unit in its name. Loading, layers and error texts live in ``loader.py``; what a
space, a scenario or an SLO *means* lives in ``space``, ``benchmark`` and ``scoring``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, Tag, model_validator

from autotuner.strict.forms import Scalar, Section, as_tuple, form, text_or_list
from autotuner.study.sections.load import (
    ConcurrencyLoad,
    Dataset,
    FindMaxLoad,
    Load,
    Lora,
    RateLoad,
    Requests,
    ScenarioSource,
    Timeouts,
    Trace,
    TraceLoad,
    WeightedScenario,
    Workload,
)
from autotuner.study.sections.server import (
    DockerLauncher,
    EndpointLauncher,
    Engine,
    EngineSettings,
    Hardware,
    Launcher,
    Model,
    ProcessLauncher,
    ReplayLauncher,
    SecretRef,
    TextOrSecret,
)
from autotuner.study.sections.slo import LATENCIES, Slo, SloMetric, SloTerm, Statistic
from autotuner.study.sections.space import (
    Baseline,
    Budget,
    Fidelity,
    ParallelismSpace,
    QuantizationSpace,
    Search,
    Space,
    Stop,
)

__all__ = [
    "LATENCIES",
    "Baseline",
    "Budget",
    "ConcurrencyLoad",
    "Dataset",
    "DockerLauncher",
    "EndpointLauncher",
    "Engine",
    "EngineSettings",
    "Fidelity",
    "FindMaxLoad",
    "Hardware",
    "Launcher",
    "Load",
    "Lora",
    "Model",
    "ParallelismSpace",
    "ProcessLauncher",
    "QuantizationSpace",
    "RateLoad",
    "ReplayLauncher",
    "Requests",
    "Scalar",
    "ScenarioSource",
    "Search",
    "SecretRef",
    "Slo",
    "SloMetric",
    "SloTerm",
    "Space",
    "Statistic",
    "Stop",
    "Study",
    "TextOrSecret",
    "Timeouts",
    "Trace",
    "TraceLoad",
    "WeightedScenario",
    "Workload",
    "as_tuple",
]

Objectives = Annotated[
    Annotated[str, Tag("|text")] | Annotated[list[str], Tag("|list")],
    form(text_or_list, "the name of an objective, or a list of up to 4"),
]


class Study(Section):
    """One tuning job, described by one YAML file."""

    name: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", description="Names the output folder ./studies/NAME"),
    ] = "study"
    model: Annotated[Model, Field(description="What is served")]
    engine: Annotated[Engine, Field(description="The inference server")]
    launcher: Annotated[Launcher, Field(description="What starts the servers")] = ProcessLauncher()
    hardware: Annotated[Hardware, Field(description="What a trial gets, and its price")] = Hardware()
    profiles: Annotated[
        list[str], Field(description="Layers under this file: names under search_spaces/, as slo/balanced, or paths")
    ] = []
    space: Annotated[Space, Field(description="Which Configs there are")] = Space()
    workload: Annotated[Workload, Field(description="What is sent to every server")]
    timeouts: Annotated[Timeouts, Field(description="After how long each wait is given up")] = Timeouts()
    slo: Annotated[Slo, Field(description="What the service must keep to")] = Slo()
    objective: Annotated[
        Objectives,
        Field(
            description="What is optimised: one name, or up to 4, of which the first drives the study; "
            "of a load search by default max_load_per_gpu"
        ),
    ] = "goodput_per_gpu"
    search: Annotated[Search, Field(description="How Configs are proposed")] = Search()
    fidelity: Annotated[Fidelity, Field(description="Rungs, and what stops trials")] = Fidelity()
    budget: Annotated[Budget, Field(description="What the study may spend")] = Budget()

    @model_validator(mode="before")
    @classmethod
    def _of_a_load_search(cls, data: Any) -> Any:
        """A load search has defaults of its own: what it finds is the objective, and it is one rung."""
        workload = data.get("workload") if isinstance(data, dict) else None
        load = workload.get("load") if isinstance(workload, Mapping) else getattr(workload, "load", None)
        if not (isinstance(load, FindMaxLoad) or (isinstance(load, Mapping) and "find_max" in load)):
            return data
        fidelity = data.get("fidelity", {})
        if isinstance(fidelity, Mapping):
            data = {**data, "fidelity": {"rungs": 1, **fidelity}}
        return {"objective": "max_load_per_gpu", **data}

    @property
    def objectives(self) -> tuple[str, ...]:
        """One to four objective names; the first drives best and confirmation."""
        return (self.objective,) if isinstance(self.objective, str) else tuple(self.objective)

    @property
    def compares_by_front(self) -> bool:
        """Whether trials are compared in all objectives after a rung, rather than in the first."""
        fidelity = self.fidelity
        by_front = fidelity.compare == "front" or (
            fidelity.compare == "auto" and fidelity.trial_scheduler != "hyperband"
        )
        return by_front and len(self.objectives) > 1
