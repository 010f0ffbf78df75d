"""check: everything about a study that can be told without starting anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autotuner.benchmark import check_workload, full_requests, levels
from autotuner.engines import Problem, build_space, one_engine, study_problems
from autotuner.errors import StudyError
from autotuner.scoring import parse_objective
from autotuner.servers import executable_problem, model_problem, secret_problem
from autotuner.space import Config, Count
from autotuner.study import load_study as load_study_file
from autotuner.study.model import Study
from autotuner.tuning.baseline import baseline_config
from autotuner.tuning.capacity import bundle, check_space_fits
from autotuner.tuning.proposers import require_searcher


@dataclass(frozen=True)
class CheckReport:
    """A valid study's plan. ``argv`` are the baseline's servers, ``{host}`` and ``{port}`` still open."""

    study: Study
    count: Count
    argv: tuple[tuple[str, ...], ...]
    warnings: tuple[str, ...]
    needs: dict[str, float]
    fits: int | None  # trials at a time on the cluster, where one was asked

    def plan(self) -> list[tuple[str, str]]:
        study = self.study
        points = [f"{level} ({full_requests(study.workload, level)} requests)" for level in levels(study.workload)]
        rows = [
            ("engine", ", ".join(study.engine.names)),
            ("model", study.model.id),
            ("Configs", _counted(self.count)),
            ("trials", f"{study.search.trials} by {study.search.algorithm}, the default first"),
            ("rungs", f"{study.fidelity.rungs}, {study.fidelity.trial_scheduler}, eta {study.fidelity.eta}"),
            ("load points", ", ".join(points)),
            ("objective", ", ".join(study.objectives)),
            ("SLO", ", ".join(_slo_texts(study)) or "none"),
            ("confirmation", f"{study.search.confirm} rounds of best and default"),
            ("a trial reserves", " and ".join(f"{amount:g} {name}" for name, amount in self.needs.items())),
        ]
        if self.fits is not None:
            rows.append(("trials at a time", str(self.fits)))
        return rows

    def as_dict(self) -> dict[str, Any]:
        return {
            "valid": True,
            "study": self.study.model_dump(mode="json"),
            "configs": {"number": self.count.number, "exact": self.count.exact},
            "baseline_argv": [list(argv) for argv in self.argv],
            "needs": self.needs,
            "fits": self.fits,
            "warnings": list(self.warnings),
        }


def load_study(path: str | Path, overrides: Sequence[str] = ()) -> Study:
    """Reads a study file. ``overrides`` are ``key.path=value`` texts. Raises StudyError."""
    return load_study_file(path, overrides).study


def check(study: Study, address: str | None = None) -> CheckReport:
    """Validates a study. With ``address`` also whether a trial fits the cluster's nodes.

    Raises InputError for the first thing that is wrong, CapacityError when no node holds a trial.
    """
    for name in study.objectives:
        parse_objective(name)
    check_workload(study.workload)
    require_searcher(study)
    space = build_space(study)
    told = _refuse(study_problems(study, space))
    count = space.count()
    baseline = baseline_config(study, space)
    argv = _argv(study, baseline)
    needs = bundle(study, baseline)
    _refuse([model_problem(study), secret_problem(study), *(executable_problem(study, words[0]) for words in argv)])
    _refuse([_budget_problem(study, needs)])
    fits = None
    if address is not None:
        from autotuner.tuning.session import node_resources, ray_session

        with ray_session(address):
            fits = check_space_fits(study, space, baseline, node_resources())
    return CheckReport(
        study=study,
        count=count,
        argv=argv,
        warnings=(*map(_text, told), *_warnings(study, count)),
        needs=needs,
        fits=fits,
    )


def _budget_problem(study: Study, needs: Mapping[str, float]) -> Problem | None:
    if study.budget.gpu_hours is None or needs.get("GPU"):
        return None
    return Problem("budget.gpu_hours", study.budget.gpu_hours, "never runs out without a GPU: use budget.wall_clock_h")


def _argv(study: Study, config: Config) -> tuple[tuple[str, ...], ...]:
    engine, own_study, own_config = one_engine(study, config)
    deployment = engine.deployment(own_study, own_config)
    return tuple(rank.argv for group in deployment.groups for rank in group.ranks)


def _refuse(found: Iterable[Problem | None]) -> list[Problem]:
    """Raises StudyError for the fatal ones; hands back the others."""
    # One line for a flag that is wrong in each of its values.
    known = {(problem.key, problem.rule): problem for problem in reversed([p for p in found if p is not None])}
    problems = list(known.values())[::-1]
    fatal = [problem for problem in problems if problem.fatal]
    if fatal:
        first = fatal[0]
        lines = "\n".join(map(_text, fatal[:5]))
        raise StudyError(lines, key=first.key, value=first.value, rule=first.rule, nearest=first.nearest)
    return problems


def _text(problem: Problem) -> str:
    hint = f"; did you mean {problem.nearest!r}?" if problem.nearest and problem.fatal else ""
    return f"{problem.key}: {problem.value!r}: {problem.rule}{hint}"


def _warnings(study: Study, count: Count) -> Iterator[str]:
    if count.exact and count.number is not None and study.search.trials > count.number + 1:
        yield f"search.trials is {study.search.trials}, but there are {count.number} Configs: the study ends sooner"
    if study.objectives[0].startswith("goodput") and not study.slo.terms():
        yield "goodput without an SLO counts every request as good"
    if study.fidelity.trial_scheduler == "hyperband":
        yield "hyperband pauses trials: each pause ends the server, and going on launches it again"


def _counted(count: Count) -> str:
    if count.number is None:
        return f"endless, {count.kept_fraction:.0%} of what is drawn meets the constraints"
    return f"{'' if count.exact else 'about '}{count.number:,}"


def _slo_texts(study: Study) -> Iterator[str]:
    for metric, statistic, term in study.slo.terms():
        yield f"{metric} {statistic} ≤ {term.threshold_ms:g} ms"
