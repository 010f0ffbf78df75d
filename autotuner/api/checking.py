"""check: everything about a study that can be told without starting anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from autotuner.api.baseline_check import baseline_problem
from autotuner.api.budget_check import budget_problems
from autotuner.api.check_report import CheckReport
from autotuner.api.unchecked import unchecked_models
from autotuner.api.versions import with_installed_versions
from autotuner.benchmark import check_workload, longest_request_tokens
from autotuner.benchmark.measurable import workload_problems
from autotuner.engines import Problem, one_engine, random_token_problems, requantization_problems, study_problems
from autotuner.engines.deployment import Rank
from autotuner.engines.known_space import known_space
from autotuner.scoring import parse_objective
from autotuner.servers import adapter_problems, executable_problem, model_problem, secret_problems, variant_problems
from autotuner.servers.replay.problems import replay_problems
from autotuner.servers.telemetry import energy_problem
from autotuner.servers.weights.prefetch import prefetch_problem
from autotuner.space import Config, Count, SearchSpace
from autotuner.strict.problem import Problem as StudyProblem
from autotuner.strict.problem import study_error
from autotuner.study import doubtful_limits
from autotuner.study import load_study as load_study_file
from autotuner.study.known_models import KnownModels, find_known_models
from autotuner.study.model import Study
from autotuner.tuning.decisions.baseline import baseline_config, baseline_configs
from autotuner.tuning.decisions.capacity import bundle, check_capacity, fitting_by_type, misfit, misfit_values, need_of
from autotuner.tuning.decisions.default_space import default_space
from autotuner.tuning.decisions.needs_range import needs_range
from autotuner.tuning.proposers import require_searchable, require_searcher


def load_study(path: str | Path, overrides: Sequence[str] = ()) -> Study:
    """Reads a study file. ``overrides`` are ``key.path=value`` texts. Raises StudyError."""
    return load_study_file(path, overrides).study


def check(
    study: Study,
    address: str | None = None,
    *,
    starts_here: bool = False,
    begins: bool = True,
    models: KnownModels | None = None,
) -> CheckReport:
    """Validates a study. With ``address`` also whether a trial fits the cluster's nodes.

    ``starts_here``: its servers are about to be started on this machine, so their executables must be there; else
    one that is missing is only told. ``begins``: it has measured nothing yet, so that its budgets must hold all of it.
    ``models``: what was known when the study began; by default what this machine knows now. The report's study has the
    versions that ``auto`` stands for on this machine.
    Raises InputError for what is wrong, CapacityError when no node holds a trial.
    """
    for name in study.objectives:
        parse_objective(name)
    mix = check_workload(study.workload)
    require_searcher(study)
    told = _refuse(workload_problems(study, mix))
    study, versions = with_installed_versions(study, address)
    told += _refuse(versions)
    models = models or find_known_models(study)
    tokens = longest_request_tokens(study.workload, study.slo.error_rate)
    space, facts = known_space(study, models, tokens), models.facts
    require_searchable(study, space)
    told += _refuse(study_problems(study, space))
    if facts is not None:
        told += _refuse(requantization_problems(study, space, facts))
    told += _refuse(random_token_problems(study, space, is_moe=facts is not None and facts.is_moe))
    count = space.count()
    defaults = default_space(study, space, models, tokens)
    baseline = baseline_config(study, defaults)
    _refuse([baseline_problem(study, space, baseline, models, tokens)])
    told += _refuse(replay_problems(study, space, [baseline]))
    ranks = _ranks(study, baseline)
    needs = bundle(study, baseline)
    told += _refuse_what_is_missing(study, models, ranks, address, starts_here)
    told += unchecked_models(study, models)
    ends = needs_range(study, space, needs)
    if begins:
        told += _refuse(budget_problems(study, needs, ends, count.number))
    told += _refuse([energy_problem(study, needs.get("GPU", 0))])
    fits: int | None = None
    misfits: list[str] = []
    if address is not None and study.launcher.kind != "replay":  # it holds none of the cluster's GPUs
        fits, misfits = _fit_on_cluster(study, space, defaults, address)
    return CheckReport(
        study=study,
        count=count,
        ranks=ranks,
        warnings=(*map(_text, told), *doubtful_limits(study.slo), *mix.told, *misfits, *_warnings(study, count)),
        needs=needs,
        needs_range=ends,
        nodes=len(need_of(study, baseline).shares),
        facts=facts,
        fits=fits,
    )


def _refuse_what_is_missing(
    study: Study, models: KnownModels, ranks: Sequence[Rank], address: str | None, starts_here: bool
) -> list[Problem]:
    """Files, executables, secrets and packages that must be on this machine; hands back what is only told."""
    told = _refuse([*variant_problems(study, models.variants), *adapter_problems(study)])
    told += _refuse([model_problem(study), *_executables(study, ranks, address, starts_here)])
    told += _refuse(secret_problems(study, starts_here=starts_here) if address is None else [])
    return told + _refuse([prefetch_problem(study)] if address is None else [])


def _fit_on_cluster(study: Study, space: SearchSpace, defaults: SearchSpace, address: str) -> tuple[int, list[str]]:
    """How many baselines fit on the cluster at a time, over all GPU types, and what is left out as it fits on no node.

    Raises CapacityError where no baseline fits and StudyError for a launcher that the nodes have no use for.
    """
    from autotuner.tuning.on_ray.cluster import Cluster
    from autotuner.tuning.on_ray.cluster_checks import nodes_without_secrets, refuse_docker_in_pods
    from autotuner.tuning.on_ray.session import ray_session

    with ray_session(address):
        refuse_docker_in_pods(study)
        lacking = nodes_without_secrets(study)
        nodes = Cluster().nodes()
    baselines = baseline_configs(study, defaults, lambda config: misfit(need_of(study, config), nodes) is None)
    check_capacity(need_of(study, baselines[0]), nodes)
    fits = sum(fitting_by_type([need_of(study, config) for config in baselines], nodes).values())
    left_out = [f"{text}; such Configs are left out" for text in misfit_values(study, space, baselines[0], nodes)]
    return fits, [*lacking, *left_out]


def _executables(
    study: Study, ranks: Iterable[Rank], address: str | None, starts_here: bool
) -> Iterator[Problem | None]:
    """An executable that the study names itself must be here, unless a cluster's nodes have it, or an image."""
    named = bool(study.engine.command) and study.launcher.kind != "docker"
    fatal = address is None and (starts_here or named)
    for rank in ranks:
        problem = executable_problem(study, rank.argv[0])
        yield problem and replace(problem, fatal=fatal)


def _ranks(study: Study, config: Config) -> tuple[Rank, ...]:
    engine, own_study, own_config = one_engine(study, config)
    deployment = engine.deployment(own_study, own_config)
    return tuple(rank for group in deployment.groups for rank in group.ranks)


def _refuse(found: Iterable[Problem | None]) -> list[Problem]:
    """Raises StudyError for the fatal ones; hands back the others."""
    problems = _by_rule(problem for problem in found if problem is not None)
    fatal = [problem for problem in problems if problem.fatal]
    if fatal:
        raise study_error([StudyProblem(one.key, one.value, one.rule, one.nearest) for one in fatal])
    return problems


def _by_rule(problems: Iterable[Problem]) -> list[Problem]:
    """One for a flag that is wrong in several of its values, with all of these."""
    found: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        found.setdefault((problem.key, problem.rule), []).append(problem)
    return [_of_all(alike) for alike in found.values()]


def _of_all(alike: list[Problem]) -> Problem:
    values = list({repr(problem.value): problem.value for problem in alike}.values())
    return alike[0] if len(values) == 1 else replace(alike[0], value=values)


def _text(problem: Problem) -> str:
    return f"{problem.key}: {problem.value!r}: {problem.rule}"


def _warnings(study: Study, count: Count) -> Iterator[str]:
    if count.exact and count.number is not None and study.search.trials > count.number + 1:
        yield f"search.trials is {study.search.trials}, but there are {count.number} Configs: the study ends sooner"
    if study.objectives[0].startswith("goodput") and not study.slo.terms():
        yield "goodput without an SLO counts every request as good"
    if study.fidelity.trial_scheduler == "hyperband":
        yield "hyperband pauses trials: each pause ends the server, and going on launches it again"
