"""A study's measurements as a table that others can be replayed from: a row a (Config, load level, repeat)."""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from autotuner.errors import InputError
from autotuner.metrics.load_level import LoadLevel
from autotuner.metrics.request import PointRun, RequestError
from autotuner.results.kept_runs import kept_runs
from autotuner.results.records import Phase, PointFailure, TrialRecord, TrialState
from autotuner.results.result import StudyResults
from autotuner.results.storage.store import Store
from autotuner.servers.replay.row import CONFIG
from autotuner.space.config import Config

NAME = "replay.jsonl.gz"
_DIGITS = 6  # of seconds


def write_replay_table(results: StudyResults, path: Path) -> None:
    """Every trial that reached its last rung, and those that failed for their Config; each launch is a repeat.

    A trial that was stopped early has too few requests, a reference one load level. Raises InputError where there is
    no other.
    """
    with Store(results.folder.database_url, results.folder.requests, read_only=True) as store:
        store.read_study(results.study_id)
        rows = [*_rows(results, store)]
    if not rows:
        raise InputError("no trial was measured to its end: there is nothing to replay")
    # The time of its making is no part of it: the same study gives the same file.
    with path.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as file:
        for row in rows:
            file.write(json.dumps(row, separators=(",", ":")).encode() + b"\n")


def _rows(results: StudyResults, store: Store) -> Iterator[dict[str, Any]]:
    repeats: Counter[str] = Counter()
    for trial in results.all_records:
        failed = trial.failure if trial.state is TrialState.FAILED else None
        if trial.phase is Phase.REFERENCE:
            continue
        if trial.state is not TrialState.COMPLETED and (failed is None or not failed.blames_config):
            continue
        config = Config(trial.config)
        own = {**_head(trial, config), "repeat": repeats[config.key]}
        repeats[config.key] += 1
        rungs = results.rung_records.get(trial.trial_id, ())
        by_level: dict[LoadLevel, list[PointRun]] = defaultdict(list)
        for _, run in kept_runs(rungs, store.runs(trial.trial_id)):
            by_level[run.level].append(run)
        failures = {failure.level: failure for rung in rungs for failure in rung.failures}
        measured = [*_measured(own, by_level, failures)]
        if failed is not None and not measured:
            level = {"load_kind": "concurrency", "level": None}
            measured = [{**own, **level, "status": "failed", "failure": str(failed)}]
        yield from measured


def _head(trial: TrialRecord, config: Config) -> dict[str, Any]:
    startup_s = trial.usage.loading_s if trial.startup_s is None else trial.startup_s
    values = {f"{CONFIG}{name}": value for name, value in config.values.items()}
    return {**values, "startup_s": round(startup_s, _DIGITS), "gpus": trial.gpus}


def _measured(
    own: dict[str, Any], by_level: dict[LoadLevel, list[PointRun]], failures: dict[str, PointFailure]
) -> Iterator[dict[str, Any]]:
    for level, runs in sorted(by_level.items()):
        failure = failures.pop(str(level), None)
        if failure is None and (requests := _requests(runs)):
            yield {**own, "load_kind": str(level.kind), "level": level.value, "status": "ok", "requests": requests}
    for name, failure in failures.items():
        if failure.failure.blames_config:
            kind, _, value = name.partition(" ")
            told = {"status": "failed", "failure": str(failure.failure)}
            yield {**own, "load_kind": kind, "level": float(value), **told}


def _requests(runs: Sequence[PointRun]) -> list[list[float | int | None]]:
    """Runs of several rungs one after another, as one run would have had them."""
    found: list[list[float | int | None]] = []
    began_s = 0.0
    for run in runs:
        kept = [r for r in run.records if not r.warmup and r.error is not RequestError.CANCELLED]
        first_s = min((record.sent_s for record in kept), default=0.0)
        for record in sorted(kept, key=lambda record: record.sent_s):
            sent_s = round(began_s + record.sent_s - first_s, _DIGITS)
            if record.ok and record.first_token_s is not None:
                ttft_s = round(record.first_token_s - record.sent_s, _DIGITS)
                e2e_s = round((record.last_token_s or record.end_s) - record.sent_s, _DIGITS)
                found.append([sent_s, ttft_s, e2e_s, record.output_tokens or 0])
            else:
                found.append([sent_s, None, None, 0])
        began_s += max((record.end_s - first_s for record in kept), default=0.0)
    return found
