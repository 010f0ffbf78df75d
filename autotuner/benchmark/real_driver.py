"""RealLoadDriver: presses a server with real requests from processes of its own."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from statistics import median
from types import TracebackType
from typing import Self

from autotuner.benchmark.adapters import ModelChoice
from autotuner.benchmark.ask import Prober
from autotuner.benchmark.client.wire import ClientSpec, Job, Outcome, PointResult
from autotuner.benchmark.driver import DriverSettings, LoadDriver, Target
from autotuner.benchmark.probe import ServerApi, find_api
from autotuner.benchmark.shards import Shards
from autotuner.benchmark.traffic.arrivals import REPEAT_OFFSET
from autotuner.benchmark.traffic.list_plan import full_requests, levels
from autotuner.benchmark.traffic.plan import LoadPoint
from autotuner.benchmark.traffic.prompts import Span
from autotuner.benchmark.traffic.workload import check_workload, source_specs
from autotuner.errors import InfrastructureError, WorkloadError
from autotuner.metrics.load_level import LoadKind
from autotuner.metrics.request import PointRun, RequestError, RequestRecord, TokensBy
from autotuner.study.model import FindMaxLoad, RateLoad

SATURATED_LAG_MS = 5.0  # a client this late, at the 99th percentile …
SATURATED_SHARE_OF_TTFT = 0.05  # … or by this share of the median TTFT, measures itself

_UNFORCED_OFFSET = 10 * REPEAT_OFFSET  # for a point that is measured again without forced lengths
_START_S = 30.0
_MAKE_REQUESTS_S = 120.0
_GRACE_S = 30.0  # for a worker to hand its records over
_LEAD_S = 0.02  # from "go" to the point's time 0


@dataclass(frozen=True)
class _Limits:
    """``time.monotonic`` seconds at which a point ends, and up to which it may take."""

    ends_s: float
    allowed_until_s: float

    @property
    def left_s(self) -> float:
        return self.ends_s - time.monotonic()

    def after(self, start_s: float) -> dict[str, float]:
        return {
            "deadline_s": max(0.0, self.ends_s - start_s),
            "allowed_s": max(0.0, self.allowed_until_s - start_s),
        }


class RealLoadDriver:
    """A LoadDriver with one worker process for each client core, or one.

    The constructor checks the workload (WorkloadError); entering starts the processes.
    """

    def __init__(self, target: Target, settings: DriverSettings) -> None:
        self._mix = check_workload(settings.workload, settings.seed)
        _check_headers(target)
        self._target = target
        self._settings = settings
        self._shards: Shards | None = None
        self._told = False  # whether the workers know where to send what
        self._api: ServerApi | None = None

    def __enter__(self) -> Self:
        self._shards = Shards(self._settings.cores)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_shards()

    def run(self, point: LoadPoint, *, deadline_s: float, allowed_s: float | None = None) -> PointRun:
        now_s = time.monotonic()
        limits = _Limits(now_s + deadline_s, now_s + (deadline_s if allowed_s is None else allowed_s))
        run = self._run(point, limits)
        if self._forces_in_vain(run) and limits.left_s > 0:
            self._end_shards()
            again = replace(point, first_index=point.first_index + _UNFORCED_OFFSET)
            run = self._run(again, limits)
        return run

    def _run(self, point: LoadPoint, limits: _Limits) -> PointRun:
        try:
            shards = self._ready_shards(limits.left_s)
            started_at, results = self._press(shards, self._jobs(point, len(shards)), limits)
        except BaseException:  # whatever the workers are doing now, their answers would come out of turn
            self._end_shards()
            raise
        return _point_run(point, results, started_at, self._settings.workload.client_lag_ms)

    def _forces_in_vain(self, run: PointRun) -> bool:
        """Whether a server that seemed to honour a forced length ended an answer by itself; it is forced no more."""
        api = self._api
        if api is None or self._target.is_known or not api.features.forces_length:
            return False
        if not any(record.error is RequestError.WRONG_LENGTH for record in run.records):
            return False
        self._api = replace(api, features=replace(api.features, ignore_eos=False, min_tokens=False))
        return True

    def _end_shards(self) -> None:
        if self._shards is not None:
            self._shards.close()
        self._shards, self._told = None, False

    def _ready_shards(self, deadline_s: float) -> Shards:
        """The worker processes, told where to send what; started again when an earlier run lost them."""
        if self._shards is None:
            self._shards = Shards(self._settings.cores)
        if self._api is None:
            timeout_s = min(self._settings.request_timeout_s, deadline_s / 2)  # a hanging server costs one
            prober = Prober(self._target, self._settings.workload.api, self._body(), timeout_s)
            self._api = find_api(prober, self._settings.seed, self._mix.most_output_tokens)
        if not self._told:
            everyone = range(len(self._shards))
            spec = self._spec(self._api).to_json()
            for number in everyone:
                self._shards.send(number, "spec", spec)
            for _ in self._shards.collect("ready", everyone, _START_S):
                pass
            self._told = True
        return self._shards

    def _press(self, shards: Shards, jobs: dict[int, Job], limits: _Limits) -> tuple[float, list[PointResult]]:
        """The epoch second of the point's time 0, and what each worker measured."""
        for number, job in jobs.items():
            shards.send(number, "job", asdict(job))
        numbers = list(jobs)
        for _ in shards.collect("ready", numbers, _MAKE_REQUESTS_S):
            pass
        start_s = time.monotonic() + _LEAD_S
        started_at = time.time() + _LEAD_S
        for number in numbers:
            shards.send(number, "go", {"start_s": start_s, **limits.after(start_s)})
        results = []
        for ended, content in shards.collect("result", numbers, limits.after(start_s)["deadline_s"] + _GRACE_S):
            results.append(PointResult.from_json(content))
            if results[-1].stopped_early:
                for number in numbers:
                    if number != ended:
                        shards.send(number, "stop", {"reason": results[-1].stopped_early})
        return started_at, results

    def _jobs(self, point: LoadPoint, workers: int) -> dict[int, Job]:
        """Each worker's share; with fewer slots or requests than workers some have none."""
        level, load = point.level, self._settings.workload.load
        most = level.value if level.kind is LoadKind.CONCURRENCY else point.requests
        shards = max(1, min(workers, int(most)))
        arrival = load.arrival if isinstance(load, RateLoad | FindMaxLoad) else "poisson"
        return {
            shard: Job(
                kind=level.kind.value,
                value=level.value,
                arrival=arrival,
                requests=point.requests,
                first_index=point.first_index,
                shard=shard,
                shards=shards,
                lost_at=point.lost_at,  # of all workers together: one alone sees them later, and no sooner
            )
            for shard in range(shards)
        }

    def _body(self) -> dict[str, object]:
        return {**dict(self._target.features.extra_body), **self._settings.workload.extra_body}

    def _models(self) -> ModelChoice:
        served, lora = self._target.served_name, self._settings.workload.lora
        if lora is None:
            return ModelChoice(served)
        name = self._target.features.adapter_model
        adapters = tuple(name.format(served=served, adapter=adapter) for adapter in lora.adapters)
        return ModelChoice(served, adapters, lora.base_share, self._settings.seed)

    def _spec(self, api: ServerApi) -> ClientSpec:
        workload = self._settings.workload
        return ClientSpec(
            urls=tuple(self._target.urls),
            models=self._models(),
            headers=dict(self._target.headers),
            api=workload.api,
            body=self._body(),
            ignore_eos=api.features.ignore_eos,
            min_tokens=api.features.min_tokens,
            request_timeout_s=self._settings.request_timeout_s,
            seed=self._settings.seed,
            cold=workload.cache == "cold",
            sources=source_specs(workload),
            shared_prefix_tokens=workload.shared_prefix_tokens,
            sizing=api.sizing,
            spans=self._spans(),
            dialect=api.dialect,
            insecure=self._target.insecure,
        )

    def _spans(self) -> dict[str, Span]:
        """Each level's share of a dataset. A server that others use too may know every prompt of it: none is new."""
        if self._mix.prompts is None:
            return {}
        spans, first = {}, 0
        for level in levels(self._settings.workload):
            count = full_requests(self._settings.workload, level)
            spans[str(level)] = Span(first, count if self._target.is_known else 0)
            first += count
        return spans


def open_driver(target: Target, settings: DriverSettings) -> LoadDriver:
    """The load driver for a real server; use it as a context manager. Raises WorkloadError."""
    if not target.urls:
        raise InfrastructureError("the target has no URL")
    return RealLoadDriver(target, settings)


def _check_headers(target: Target) -> None:
    """Values are secrets, so the message leaves them out."""
    for name, value in target.headers.items():
        if not (name + value).isprintable():
            raise WorkloadError(f"headers: {name!r}: one line of printable text", key=f"headers.{name}")


def is_saturated(lag_p99_ms: float, median_ttft_ms: float | None, allowed_ms: float | None = None) -> bool:
    """Whether figures are the client's rather than the server's; ``allowed_ms``: the study's own limit."""
    if allowed_ms is not None:
        return lag_p99_ms > allowed_ms
    return lag_p99_ms > max(SATURATED_LAG_MS, SATURATED_SHARE_OF_TTFT * (median_ttft_ms or 0.0))


def _point_run(
    point: LoadPoint, results: list[PointResult], started_at: float, allowed_lag_ms: float | None
) -> PointRun:
    outcomes = sorted((o for result in results for o in result.outcomes), key=lambda o: (o.sent_s, o.index))
    lag_ms = max(result.lag_p99_ms for result in results)
    waits_ms = [
        1000.0 * (o.first_token_s - o.scheduled_s) for o in outcomes if not o.warmup and o.first_token_s is not None
    ]
    return PointRun(
        level=point.level,
        records=tuple(_record(outcome) for outcome in outcomes),
        lag_p99_ms=lag_ms,
        saturated=is_saturated(lag_ms, median(waits_ms) if waits_ms else None, allowed_lag_ms),
        stopped_early=next((result.stopped_early for result in results if result.stopped_early), None),
        started_at=started_at,
    )


def _record(outcome: Outcome) -> RequestRecord:
    return RequestRecord(
        index=outcome.index,
        warmup=outcome.warmup,
        scheduled_s=outcome.scheduled_s,
        sent_s=outcome.sent_s,
        first_token_s=outcome.first_token_s,
        last_token_s=outcome.last_token_s,
        end_s=outcome.end_s,
        prompt_tokens=outcome.prompt_tokens,
        output_tokens=outcome.output_tokens,
        expected_output_tokens=outcome.expected_output_tokens,
        chunk_s=tuple(outcome.chunk_s),
        error=RequestError(outcome.error) if outcome.error is not None else None,
        status=outcome.status,
        detail=outcome.detail,
        model=outcome.model,
        asked_output_tokens=outcome.asked_output_tokens,
        tokens_by=TokensBy(outcome.tokens_by) if outcome.tokens_by is not None else None,
        first_visible_s=outcome.first_visible_s,
        reasoning_tokens=outcome.reasoning_tokens,
    )
