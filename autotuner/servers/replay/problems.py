"""What keeps a study from being replayed from its table, said before anything starts."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

from autotuner.benchmark import full_requests, levels
from autotuner.benchmark.load_search import searchable_levels
from autotuner.engines import Problem
from autotuner.errors import SpaceError
from autotuner.metrics.load_level import LoadLevel
from autotuner.metrics.registry import LATENCY_METRICS, RATES, STATISTICS
from autotuner.scoring import parse_objectives
from autotuner.scoring.max_load import FOUND
from autotuner.servers.replay.lookup import Lookup, find_lookup, values_text
from autotuner.servers.replay.row import CONFIG, KEY, canonical
from autotuner.servers.replay.truth import true_score
from autotuner.space import SearchSpace
from autotuner.space.config import Config
from autotuner.study.model import FindMaxLoad, Study

_MOST_LOOKED_UP = 50_000  # Configs of a space that are looked up; of a larger one so many are drawn
_DRAWN = 1_000
_NO_REQUESTS_TELL = frozenset({"ttft_visible", "itl"})  # what sent, ttft, e2e and output tokens do not say


def replay_problems(study: Study, space: SearchSpace, baselines: Iterable[Config]) -> list[Problem]:
    """Empty for a study of servers. Raises StudyError for a table that can't be read."""
    if study.launcher.kind != "replay":
        return []
    lookup = find_lookup(study)
    found = [*_columns(study, space, lookup), *_levels(study, lookup), *_metrics(study, lookup)]
    if not _refuses(found):
        found += _configs(space, lookup, baselines)
    if not _refuses(found):
        found += _feasible(study, lookup)
    return found


def _refuses(problems: Iterable[Problem]) -> bool:
    return any(problem.fatal for problem in problems)


def _columns(study: Study, space: SearchSpace, lookup: Lookup) -> Iterator[Problem]:
    searched = [parameter.name for parameter in space.parameters]
    for name in searched:
        if name not in lookup.table.names:
            yield Problem(KEY, f"column {CONFIG + name}", "is missing: the study searches over this parameter")
    for name in lookup.table.names:
        values = {canonical(config[name]) for config in lookup.table.configs.values() if name in config}
        if name not in searched and name not in study.engine.args and len(values) > 1:
            rule = "has several values: the study must search over it, or fix it in engine.args"
            yield Problem(KEY, f"column {CONFIG + name}", rule)


def _levels(study: Study, lookup: Lookup) -> Iterator[Problem]:
    most: dict[LoadLevel, int] = {}
    for launches in lookup.table.launches.values():
        for one in launches:
            for level, recorded in one.levels.items():
                most[level] = max(most.get(level, 0), len(recorded.requests))
    if isinstance(study.workload.load, FindMaxLoad):
        yield from _searched_levels(study, lookup)
        return
    for level in levels(study.workload):
        if level not in most:
            known = ", ".join(map(str, lookup.table.levels)) or "none"
            yield Problem("workload.load", str(level), f"a load level of the table, which has {known}")
            continue
        wanted = full_requests(study.workload, level)
        if 0 < most[level] < wanted:
            rule = f"the table has {most[level]} requests at {level}: no more are taken"
            yield Problem("workload.requests", wanted, rule, fatal=False)


def _searched_levels(study: Study, lookup: Lookup) -> Iterator[Problem]:
    """A load search asks for what was recorded alone, which each Config that came up must have something of."""
    for key, launches in lookup.table.launches.items():
        for one in launches:
            if one.failure is None and not searchable_levels(study.workload, one.levels):
                known = ", ".join(map(str, lookup.table.levels)) or "none"
                rule = f"a recorded load within from and up_to for {values_text(dict(key))}; the table has {known}"
                yield Problem("workload.load", study.workload.load.model_dump(), rule)
                return


def _metrics(study: Study, lookup: Lookup) -> Iterator[Problem]:
    """What the study asks of each load point, and the table can't tell."""
    columns = lookup.table.columns
    known = set(columns)
    if "requests" in columns:
        told = [metric for metric in LATENCY_METRICS if metric.name not in _NO_REQUESTS_TELL]
        known |= {metric.column(statistic) for metric in told for statistic in STATISTICS}
        known |= RATES - {"total_tokens_per_s"} | {"error_rate", "tokens_per_s_per_user"}
    known |= {f"{column}_per_gpu" for column in known & RATES}
    priced = study.hardware.cost_per_gpu_hour is not None or study.hardware.cost_per_cpu_hour is not None
    if priced:
        known |= {"cost_per_mtok", "output_tokens_per_cost"} if "output_tokens_per_s" in known else set()
        known |= {"goodput_per_cost"} if "goodput_per_s" in known else set()
    if isinstance(study.workload.load, FindMaxLoad):
        known |= set(FOUND)
    for objective in parse_objectives(study.objectives):
        if objective.column not in known:
            rule = f"the table has no column {objective.column}, and no requests that tell it"
            yield Problem("objective", objective.name, rule)
    for metric, statistic, _ in study.slo.terms():
        column = f"{metric}_{statistic}_ms"
        if column not in known:
            yield Problem(
                f"slo.{metric}.{statistic}", column, "the table has no such column, and no requests that tell it"
            )
    if "requests" not in columns and not columns & {"requests_per_s", "e2e_mean_ms"}:
        rule = "how long a load point takes is not told: it has neither requests nor requests_per_s nor e2e_mean_ms"
        yield Problem(KEY, "column requests_per_s", rule)


def _configs(space: SearchSpace, lookup: Lookup, baselines: Iterable[Config]) -> Iterator[Problem]:
    for config in baselines:
        try:
            lookup.find(config.values)
        except SpaceError as error:
            what = values_text(config.values) or "without any flag"
            rule = f"the table has no row of the default ({what}): {error.rule}"
            yield Problem("search.baseline", dict(config.values), rule)
            return
    if lookup.takes_nearest:
        return
    raw = space.raw_points
    if raw is not None and raw <= _MOST_LOOKED_UP:
        configs: Iterable[Config] = space.grid()
    else:
        rng = random.Random(0)  # noqa: S311  # a sample, the same each time
        configs = (space.sample(rng) for _ in range(_DRAWN))
    lacking = next((config for config in configs if not _has(lookup, config)), None)
    if lacking is not None:
        rule = f"has no row of {values_text(lacking.values)}: narrow the space, or set `nearest: true`"
        yield Problem(KEY, f"{CONFIG}*", rule)


def _has(lookup: Lookup, config: Config) -> bool:
    try:
        lookup.find(config.values)
    except SpaceError:
        return False
    return True


def _feasible(study: Study, lookup: Lookup) -> Iterator[Problem]:
    """No Config of the whole table that is feasible: nothing can be found, and nothing be compared with it."""
    closest: tuple[float, str] | None = None
    for key, launches in lookup.table.launches.items():
        score = true_score(study, launches).score
        if score.feasible:
            return
        if score.violations:
            worst = max(score.violations, key=lambda violation: violation.ratio)
            told = f"{worst.metric} {worst.value:g} over {worst.threshold:g} ({values_text(dict(key))})"
            closest = min(closest or (worst.ratio, told), (worst.ratio, told))
    what = f"; the closest: {closest[1]}" if closest else ""
    yield Problem(KEY, f"{len(lookup.table.launches)} Configs", f"has no feasible Config under the study's SLOs{what}")
