"""CheckReport: what a valid study would do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from autotuner.api.plan_cost import PlanCost
from autotuner.api.shown_rank import shown_rank
from autotuner.benchmark import cuts_by_levels, full_requests, levels, rungs_of
from autotuner.engines import load_catalogue, study_of
from autotuner.engines.deployment import Rank
from autotuner.models.facts import ModelFacts
from autotuner.results.replayed import replayed_text
from autotuner.space import Count
from autotuner.study.model import FindMaxLoad, Study


@dataclass(frozen=True)
class CheckReport:
    """A valid study's plan. ``ranks`` are the processes of the baseline's server, ``{host}`` and ``{port}`` still open.

    ``needs`` are what the baseline's trial reserves, ``needs_range`` the least and the most of any. ``facts`` are the
    model's, by its files on this machine or as registered.
    """

    study: Study
    count: Count
    ranks: tuple[Rank, ...]
    warnings: tuple[str, ...]
    needs: dict[str, float]
    needs_range: dict[str, tuple[float, float]]
    facts: ModelFacts | None
    nodes: int  # that the default's trial is laid over
    fits: int | None  # trials at a time on the cluster, where one was asked

    @property
    def argv(self) -> tuple[tuple[str, ...], ...]:
        return tuple(rank.argv for rank in self.ranks)

    @property
    def cost(self) -> PlanCost:
        return PlanCost.of(self.study, self.needs, self.needs_range, self.count.number, self.fits)

    def baseline_lines(self) -> list[str]:
        """The baseline's commands, each with its environment and its files."""
        return [line for rank in self.ranks for line in shown_rank(rank).lines()]

    def plan(self) -> list[tuple[str, str]]:
        study = self.study
        rows = [
            ("engine", ", ".join(_engine_texts(study))),
            ("model", study.model.id + (f": {_told(self.facts)}" if self.facts else "")),
            ("Configs", _counted(self.count)),
            ("trials", f"{study.search.trials} by {study.search.algorithm}, the default first"),
            ("rungs", _rungs_text(study)),
            ("load points", _load_text(study)),
            ("objective", ", ".join(study.objectives)),
            ("SLO", ", ".join(_slo_texts(study)) or "none"),
            ("confirmation", confirmation_text(study)),
            ("a trial reserves", _reserved(self.needs, self.needs_range)),
            ("nodes", f"{self.nodes} for the default" + ("" if self.nodes == 1 else ", a rank on each")),
            *self.cost.rows(),
        ]
        if replayed := replayed_text(study):
            rows.append(("measurements", replayed))
        if self.fits is not None:
            rows.append(("trials at a time", str(self.fits)))
        return rows

    def as_dict(self) -> dict[str, Any]:
        return {
            "valid": True,
            "study": self.study.model_dump(mode="json"),
            "configs": {"number": self.count.number, "exact": self.count.exact},
            "baseline_argv": [list(argv) for argv in self.argv],
            "baseline": [shown_rank(rank).as_dict() for rank in self.ranks],
            "needs": self.needs,
            "needs_range": {name: list(ends) for name, ends in self.needs_range.items()},
            "nodes": self.nodes,
            "fits": self.fits,
            "cost": self.cost.as_dict(),
            "engines": dict(_versions(self.study)),
            "model": asdict(self.facts) if self.facts else None,
            "warnings": list(self.warnings),
        }


def _load_text(study: Study) -> str:
    every, load = levels(study.workload), study.workload.load
    if not isinstance(load, FindMaxLoad):
        return ", ".join(f"{level} ({full_requests(study.workload, level)} requests)" for level in every)
    ends = [f"{level.value:g} ({full_requests(study.workload, level)} requests)" for level in (every[0], every[-1])]
    return f"the largest {load.find_max} that meets the SLOs, searched for from {ends[0]} to {ends[1]}"


def _rungs_text(study: Study) -> str:
    fidelity = study.fidelity
    adds = "load levels" if cuts_by_levels(study) else "requests"
    return f"{rungs_of(study)}, each adds {adds}; {fidelity.trial_scheduler}, eta {fidelity.eta}"


def _engine_texts(study: Study) -> Iterator[str]:
    """Each engine with the version that its flags were judged by."""
    return (f"{name} (flags of {version})" for name, version in _versions(study))


def _versions(study: Study) -> Iterator[tuple[str, str]]:
    for name in study.engine.names:
        yield name, load_catalogue(name, study_of(study, name).engine.version).version


def _reserved(needs: Mapping[str, float], ends: Mapping[str, tuple[float, float]]) -> str:
    baseline = " and ".join(f"{amount:g} {name}" for name, amount in needs.items())
    if all(least == most for least, most in ends.values()):
        return baseline
    texts = (f"{least:g}" if least == most else f"{least:g} to {most:g}" for least, most in ends.values())
    listed = " and ".join(f"{text} {name}" for text, name in zip(texts, ends, strict=True))
    return f"{listed}; the default {baseline}"


def _told(facts: ModelFacts) -> str:
    """A model in one line."""
    parts = [facts.architecture or facts.family]
    if facts.parameters:
        parts.append(f"{facts.parameters / 1e9:.3g} B parameters")
    if facts.layers:
        parts.append(f"{facts.layers} layers")
    if facts.attention_heads:
        parts.append(f"{facts.attention_heads} heads, {facts.kv_heads or facts.attention_heads} for KV")
    if facts.is_moe:
        parts.append(f"{facts.active_experts} of {facts.experts} experts")
    parts.append(facts.weight_format.text if facts.weight_format else facts.dtype or "")
    parts.append("known by its id" if facts.stated_by else "")
    return ", ".join(part for part in parts if part)


def _counted(count: Count) -> str:
    if count.number is None:
        return f"endless, {count.kept_fraction:.0%} of what is drawn meets the constraints"
    return f"{'' if count.exact else 'about '}{count.number:,}"


def _slo_texts(study: Study) -> Iterator[str]:
    for metric, statistic, term in study.slo.terms():
        yield f"{metric} {statistic} ≤ {term.threshold_ms:g} ms"


def confirmation_text(study: Study) -> str:
    """Of whom there are how many rounds."""
    rounds, finalists = study.search.confirm, study.search.finalists
    if not rounds:
        return "none"
    many = f"{rounds} round{'' if rounds == 1 else 's'}"
    if finalists is None:
        return f"{many} of best and default"
    others = " and the best" if finalists == 1 else f", the best and up to {finalists - 1} that may be better"
    return f"at most {many} of the default{others}, until they are told apart"
