"""A drawn surface as files: study.yaml and table.parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from pyarrow import parquet

from autotuner.errors import Failure
from benchmarks.surfaces.drawn.draw import Drawn, requests_at
from benchmarks.surfaces.drawn.effects import Values
from benchmarks.surfaces.drawn.knobs import ABSENT, TP, Indices, Kind, Knob

_REFUSED_S = 0.1  # of a start-up: a server that does not take its flags says so soon
_TABLE = "table.parquet"


def write_surface(drawn: Drawn, folder: Path) -> Path:
    """Writes both into a folder of its own, and returns the study."""
    place = folder / drawn.name
    place.mkdir(parents=True, exist_ok=True)
    parquet.write_table(_table(drawn), place / _TABLE, compression="zstd")
    study = place / "study.yaml"
    text = yaml.safe_dump(_study(drawn), sort_keys=False, allow_unicode=True)
    study.write_text(f"# Drawn: no server was measured. {drawn.told}.\n{text}", encoding="utf-8")
    return study


def _study(drawn: Drawn) -> dict[str, Any]:
    space: dict[str, Any] = {"parameters": {k.name: list(k.values) for k in drawn.knobs if k.name != TP}}
    space["conditions"] = {k.name: k.needs.replace("-", "_") for k in drawn.knobs if k.needs is not None}
    for knob in drawn.knobs:
        if knob.name == TP:
            space["parallelism"] = {TP: list(knob.values)}
    slo: dict[str, dict[str, Any]] = {}
    for name, threshold in drawn.slo_ms.items():
        metric, statistic = name.split(".")
        slo.setdefault(metric, {})[statistic] = {"threshold_ms": threshold}
    return {
        "name": drawn.name,
        "model": {"id": f"drawn/{drawn.name}"},
        "engine": {"name": "vllm"},
        "launcher": {"kind": "replay", "table": _TABLE},
        "space": space,
        "workload": {
            "scenario": f"D(100,{drawn.behaviour.tokens_out})",
            "load": {"concurrency": list(drawn.levels)},
            "requests": {"per_slot": drawn.per_slot, "min": drawn.min_requests},
        },
        "slo": slo,
        "objective": drawn.objective,
        "search": {"trials": drawn.trials, "baseline": dict(drawn.default)},
    }


# ── the table: for each repeat a launch of every Config, of which each has a row a level ────────


def _table(drawn: Drawn) -> pa.Table:
    rng = np.random.default_rng([*drawn.seed, 1])  # measuring draws apart from what is measured
    launches = [_of_launches(rng, drawn, repeat) for repeat in range(drawn.repeats)]
    return pa.concat_tables(launches)


def _of_launches(rng: np.random.Generator, drawn: Drawn, repeat: int) -> pa.Table:
    count, levels = drawn.behaviour.ttft_s.shape
    rows = count * levels
    failures = _failures(drawn)
    lives = np.array([failure is None for failure in failures])
    startup = drawn.startup_s * _spread(rng, drawn.noise.launch, count)
    refused = np.array([failure is Failure.INVALID_CONFIG for failure in drawn.behaviour.at_start])
    startup = np.where(refused, startup * _REFUSED_S, startup)
    columns: dict[str, Any] = {f"config.{k.name}": _column(k, drawn.configs[:, i], levels) for i, k in _each(drawn)}
    columns |= {
        "load_kind": ["concurrency"] * rows,
        "level": list(drawn.levels) * count,
        "repeat": [repeat] * rows,
        "status": np.where(lives, "ok", "failed").tolist(),
        "failure": failures,
        "startup_s": np.repeat(startup.round(2), levels),
        "gpus": np.repeat(drawn.behaviour.gpus.astype(int), levels),
    }
    slower = _spread(rng, drawn.noise.launch, (count, 1)) * _spread(rng, drawn.noise.point, (count, levels))
    columns |= _requests(rng, drawn, slower) if drawn.is_raw else _metrics(rng, drawn, slower, lives)
    return pa.table(columns)


def _each(drawn: Drawn) -> enumerate[Knob]:
    return enumerate(drawn.knobs)


def _failures(drawn: Drawn) -> list[str | None]:
    """Of each row. A launch that fails has the same in all of its rows."""
    found: list[str | None] = []
    for at_start, dies_from in zip(drawn.behaviour.at_start, drawn.behaviour.under_load, strict=True):
        for level in range(len(drawn.levels)):
            under_load = Failure.OUT_OF_MEMORY_UNDER_LOAD if level >= dies_from else None
            failure = at_start or under_load
            found.append(None if failure is None else str(failure))
    return found


def _column(knob: Knob, indices: Indices, levels: int) -> pa.Array:
    kinds = {Kind.ORDERED: pa.int64(), Kind.CATEGORICAL: pa.string(), Kind.BOOLEAN: pa.bool_()}
    values = [None if index == ABSENT else knob.values[index] for index in indices for _ in range(levels)]
    return pa.array(values, kinds[knob.kind])


def _spread(rng: np.random.Generator, share: float, shape: int | tuple[int, ...]) -> Values:
    return np.exp(share * rng.normal(size=shape))


def _metrics(rng: np.random.Generator, drawn: Drawn, slower: Values, lives: Values) -> dict[str, Any]:
    """What requests show on an average; a rate and latencies each with what their own measurement adds."""
    behaviour = drawn.behaviour
    rate = np.array(drawn.levels, dtype=float) / behaviour.e2e_s / slower
    found = {
        "ttft_p90_ms": 1000 * behaviour.ttft_s * drawn.noise.p90 * slower,
        "tpot_mean_ms": 1000 * behaviour.tpot_s * slower,
        "e2e_mean_ms": 1000 * behaviour.e2e_s * slower,
    }
    noisy = {name: values * _spread(rng, drawn.noise.metric, values.shape) for name, values in found.items()}
    noisy |= {"requests_per_s": rate, "output_tokens_per_s": rate * behaviour.tokens_out}
    return {name: np.where(lives, values.ravel(), np.nan) for name, values in noisy.items()}


def _requests(rng: np.random.Generator, drawn: Drawn, slower: Values) -> dict[str, Any]:
    """Raw requests of a closed loop, ``level`` slots each of which sends its next as soon as its last has ended."""
    of_levels = [_closed_loop(rng, drawn, slower, index) for index in range(len(drawn.levels))]
    counts = [one.shape[1] for one in of_levels]
    flat = np.concatenate([one[config].ravel() for config in range(len(drawn.configs)) for one in of_levels])
    ends = np.concatenate([[0], np.cumsum(np.tile(counts, len(drawn.configs)))])
    fours = pa.ListArray.from_arrays(pa.array(np.arange(0, len(flat) + 1, 4), pa.int32()), pa.array(flat.round(4)))
    return {"requests": pa.ListArray.from_arrays(pa.array(ends, pa.int32()), fours)}


def _closed_loop(rng: np.random.Generator, drawn: Drawn, slower: Values, index: int) -> Values:
    """[Configs, requests, 4] of one level."""
    behaviour, noise, level = drawn.behaviour, drawn.noise, drawn.levels[index]
    count = requests_at(level, drawn.per_slot, drawn.min_requests)
    turns = -(-count // level)
    shape = (len(drawn.configs), turns, level)
    each = slower[:, index, None, None] * _spread(rng, noise.request, shape) / np.exp(noise.request**2 / 2)
    if index == 0:
        each[:, 0, :] *= noise.cold
    ttft_s = behaviour.ttft_s[:, index, None, None] * each
    e2e_s = ttft_s + drawn.behaviour.tokens_out * behaviour.tpot_s[:, index, None, None] * each
    sent_s = np.cumsum(e2e_s, axis=1) - e2e_s
    tokens = np.full(shape, float(behaviour.tokens_out))
    return np.stack([sent_s, ttft_s, e2e_s, tokens], axis=-1).reshape(len(drawn.configs), -1, 4)[:, :count]
