"""Small parts that the tests of tuning share: scores, reports, a searcher that counts, studies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from autotuner.errors import Failure
from autotuner.results.records import Usage
from autotuner.scoring import Score, parse_objective
from autotuner.space.config import Config
from autotuner.study.model import Stop, Study
from autotuner.tuning.decisions.assignment import RungReport
from autotuner.tuning.decisions.rules import Rules
from autotuner.tuning.proposers import Outcome
from tests.scores import made_score

LATENCY = parse_objective("ttft_p90")  # less is better; the score is of all levels together
THROUGHPUT = parse_objective("throughput")


def score(value: float, *, slo_met: bool = True) -> Score:
    return made_score(value, slo_met=slo_met)


def infeasible() -> Score:
    return made_score(None, feasible=False)


def report(
    trial_id: str,
    rung: int,
    value: float | Score | None = 1.0,
    *,
    last: bool = False,
    failure: Failure | None = None,
    reserved_s: float = 10.0,
    gpus: int = 0,
    out_of_time: bool = False,
) -> RungReport:
    scored = score(value) if isinstance(value, int | float) else value
    return RungReport(
        trial_id,
        rung,
        last,
        scored,
        usage=Usage(reserved_s=reserved_s),
        gpus=gpus,
        failure=failure,
        message="it broke" if failure else "",
        out_of_time=out_of_time,
    )


@dataclass
class CountingProposer:
    """Proposes {"n": 0}, {"n": 1}, … up to ``size`` Configs, and remembers what it hears."""

    size: int = 1000
    learns: bool = True
    proposed: list[tuple[str, Config]] = field(default_factory=list)
    told: list[tuple[str, Outcome]] = field(default_factory=list)
    replayed: list[tuple[str, Config, Outcome | None]] = field(default_factory=list)

    def propose(self, trial_id: str) -> Config | None:
        seen = {c.values.get("n") for c in (*(c for _, c in self.proposed), *(c for _, c, _ in self.replayed))}
        number = next((n for n in range(self.size) if n not in seen), None)
        if number is None:
            return None
        self.proposed.append((trial_id, Config({"n": number})))
        return self.proposed[-1][1]

    def tell(self, trial_id: str, outcome: Outcome) -> None:
        self.told.append((trial_id, outcome))

    def replay(self, trial_id: str, config: Config, outcome: Outcome | None) -> None:
        self.replayed.append((trial_id, config, outcome))


def rules(
    *, trials: int = 4, rungs: int = 2, confirm: int = 2, max_running: int | None = 2, stop: Stop | None = None
) -> Rules:
    return Rules(trials, rungs, confirm, (LATENCY,), Config({"default": True}), max_running, "slo_met", stop=stop)


def study(
    *,
    objective: str | Sequence[str] = "ttft_p90",
    parameters: dict[str, Any] | None = None,
    args: dict[str, Any] | None = None,
    **sections: Any,
) -> Study:
    """A llama.cpp study over two load levels and two rungs; ``sections`` replace whole sections."""
    return Study.model_validate(
        {
            "name": "t",
            "model": {"id": "m.gguf"},
            "engine": {"name": "llamacpp", "args": args or {}},
            "space": {"parameters": parameters or {"ubatch-size": [32, 64, 128]}},
            "workload": {
                "scenario": "D(8,4)",
                "load": {"concurrency": [1, 2]},
                "requests": {"per_slot": 4, "min": 16},
            },
            "objective": objective if isinstance(objective, str) else list(objective),
            "fidelity": {"rungs": 2, "eta": 2},
            **sections,
        }
    )
