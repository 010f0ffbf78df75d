"""Searches of all seeds, beside one another in processes of their own: each draws from its seed alone, so that how many
run at a time changes no figure."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache, partial
from pathlib import Path

from benchmarks.search_cost.ours import autotuner
from benchmarks.search_cost.surface import Surface, load_surface
from benchmarks.search_cost.trace import Trace
from benchmarks.search_cost.ways import Way, ways

OURS = "autotuner"
Pool = ProcessPoolExecutor | None


def all_ways() -> dict[str, Way]:
    return {**ways(), OURS: autotuner}


def default_jobs() -> int:
    """One core less than this process may use, at least one."""
    return max(1, len(os.sched_getaffinity(0)) - 1)


def pool_of(jobs: int) -> AbstractContextManager[Pool]:
    """One job runs in this process."""
    if jobs == 1:
        return nullcontext(None)
    return ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))


def searches(file: Path, surface: Surface, way: str, trials: int, seeds: int, pool: Pool) -> Iterator[Trace]:
    """One trace a seed, in their order; ``surface`` is that of ``file``, which other processes read themselves."""
    if pool is None:
        return (all_ways()[way](surface, trials, seed) for seed in range(seeds))
    return pool.map(partial(_search, file, way, trials), range(seeds))


def _search(file: Path, way: str, trials: int, seed: int) -> Trace:
    return all_ways()[way](_loaded(file), trials, seed)


@lru_cache(maxsize=1)
def _loaded(file: Path) -> Surface:
    return load_surface(file)
