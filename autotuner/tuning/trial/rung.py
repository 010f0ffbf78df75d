"""One rung: its load points one after another on a live server, then measured and scored."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from autotuner.benchmark import (
    LoadDriver,
    LoadPlan,
    LoadPoint,
    PointOutcome,
    cuts_by_levels,
    full_requests,
    levels,
    make_plan,
    rungs_of,
)
from autotuner.benchmark.traffic.arrivals import REPEAT_OFFSET
from autotuner.engines.deployment import Deployment, HttpCall
from autotuner.engines.engine import FailureReport
from autotuner.errors import Failure, InfrastructureError
from autotuner.metrics import LoadLevel, Measurement, PointRun, RequestError, measure, measure_context
from autotuner.results import kept_runs
from autotuner.results.records import PointFailure, RungRecord, disturbed_score
from autotuner.scoring import Score, parse_objective, parse_objectives, score_point, score_rung
from autotuner.servers import DIAGNOSED_BYTES, RunningServer, reset_caches
from autotuner.study.model import Study
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.trial.level_state import LevelState
from autotuner.tuning.trial.point_failure import Client, point_failure
from autotuner.tuning.trial.rig import Clock
from autotuner.tuning.trial.searched_load import SearchedLoad
from autotuner.tuning.trial.unsettled import unsettled

_LOG = logging.getLogger(__name__)
_DEATH_IS_TOLD_WITHIN_S = 2.0
_TIMES_AS_LONG = 2.0  # what a repeat may take, at most, of what it repeats: who disturbs may do more of it
_CACHE_STAYED = "a server's prefix cache could not be emptied before the load point"


@dataclass(frozen=True)
class RungResult:
    """What a rung came to. ``failure`` is set when the trial can't go on after it, ``is_last`` when nothing is left."""

    score: Score
    measurements: tuple[Measurement, ...]
    runs: tuple[PointRun, ...] = ()
    failures: tuple[PointFailure, ...] = ()
    failure: Failure | None = None
    message: str = ""
    timed_out: bool = False
    is_last: bool = False

    @property
    def metrics(self) -> dict[LoadLevel, Mapping[str, float]]:
        """Of each load point that was measured."""
        return {measurement.level: measurement.metrics for measurement in self.measurements}

    @property
    def is_disturbed(self) -> bool:
        """Whether others had a part in the load points that its score rests on."""
        return bool(disturbed_score(self.score, self.measurements))


def rung_limit_s(study: Study, assignment: Assignment) -> float:
    """Seconds that a rung may take: ``timeouts.rung_s``, times the rungs that a fresh run has in its single one."""
    return study.timeouts.rung_s * rungs_of(study) / assignment.rungs


class RungRunner:
    """Keeps the raw requests of a trial's rungs, since each Measurement is cumulative over them."""

    def __init__(
        self,
        study: Study,
        assignment: Assignment,
        deployment: Deployment | None,
        records: Sequence[RungRecord] = (),
        runs: Sequence[tuple[int, PointRun]] = (),
        accelerator: str = "",
    ) -> None:
        """``records`` and ``runs`` (with the rung of each) are those of rungs that ended in an earlier life.

        ``accelerator`` sets the price of a GPU.
        """
        self._study = study
        self._assignment = assignment
        self._levels = levels(study.workload)
        self._objectives = parse_objectives(study.objectives)
        self._deployment = deployment
        self._cache_reset = _cache_reset(study, deployment)
        self._context = measure_context(
            study,
            gpus=deployment.gpus if deployment else 0,
            cpus=deployment.cpus if deployment else 0,
            replicas=deployment.replicas if deployment else 1,
            accelerator=accelerator,
        )
        self._searched = SearchedLoad.of(study, assignment, self._context)
        self._runs: dict[LoadLevel, list[PointRun]] = defaultdict(list)
        for _, run in kept_runs(records, runs):
            self._runs[run.level].append(run)
        by_name = {str(level): level for level in self._levels}
        self._failed: dict[LoadLevel, PointFailure] = {
            by_name[f.level]: f for r in records for f in r.failures if f.level in by_name and f.failure.blames_config
        }
        stopped = {run.level for _, run in runs if run.stopped_early is not None}
        self._given_up = {level for level in stopped if level in self._failed or self._runs[level]}
        self._doubled: set[LoadLevel] = set()
        self._stored_rungs = len(records)
        self._measured = _without_runs(records, self._runs)
        self._by_levels: LevelState | None = None
        if cuts_by_levels(study):
            self._by_levels = LevelState(study, assignment, self._objectives, records)
            for level in self._failed:
                self._by_levels.fails(level)

    def recall(self, record: RungRecord) -> RungResult:
        """The result of a rung that ended in an earlier life, from the store."""
        is_last = record.rung == self._stored_rungs - 1 and self._is_complete(record.rung)
        return RungResult(score=record.score, measurements=record.measurements, is_last=is_last)

    def run(
        self,
        rung: int,
        driver: LoadDriver,
        server: RunningServer,
        clock: Clock,
        deadline_s: float,
        diagnose: Callable[[int | None, str], FailureReport],
    ) -> RungResult:
        """Measures every load point that the plan asks for, until it ends, the server dies or time is up.

        ``deadline_s`` may be another's end; a load point is hopeless by what ``rung_limit_s`` allows alone.
        """
        plan = self._plan(rung, server)
        limit_s = rung_limit_s(self._study, self._assignment)
        began_s = clock.monotonic_s()
        ends_at, allowed_until = began_s + deadline_s, began_s + limit_s
        ended: list[PointOutcome] = []
        new_runs: list[PointRun] = []
        failures: list[PointFailure] = []
        died: PointFailure | None = None
        timed_out = False
        while not (died or timed_out) and (point := plan.next(ended) or self._more(rung, ended)) is not None:
            if point.level in self._failed:
                ended.append(PointOutcome(point, failed=True, hopeless=False))
                continue
            if self._by_levels is not None:
                self._by_levels.try_level(point.level)
            elif not self._runs[point.level]:
                point = _from_the_start(point, rung)
            if self._searched is not None:  # else little time that is left would seem to be a load that is too high
                allowed_until = clock.monotonic_s() + limit_s
                point = self._searched.watched(point)
            notes = (*self._empty_caches(server, point.level), *self._another_model(server))
            try:
                run = _run_point(driver, point, clock, ends_at, allowed_until)
                run = dataclasses.replace(run, notes=(*run.notes, *notes))
            except InfrastructureError as error:  # what was measured before it stays
                died = PointFailure(str(point.level), Failure.INFRASTRUCTURE, error.message)
                failures.append(died)
                timed_out = clock.monotonic_s() >= ends_at
                break
            timed_out = clock.monotonic_s() >= ends_at
            failure, is_dead = _judge(run, server, diagnose, self._client())
            if failure is None and timed_out:
                failure = PointFailure(str(point.level), Failure.HANG, f"the rung did not end within {deadline_s:g} s")
            if failure is not None:
                failures.append(failure)
                died = failure if is_dead else None
            new_runs.append(run)
            hopeless = run.stopped_early is not None and not timed_out
            self._remember(run, failure, hopeless)
            is_passed_over = hopeless or self._breaks(point.level, failure)
            holds = None
            if self._searched is not None and failure is None:
                holds = self._searched.holds(run.level, self._runs[run.level])
            ended.append(PointOutcome(point, failed=failure is not None, hopeless=is_passed_over, holds=holds))
        return self._result(rung, tuple(new_runs), failures, died, timed_out)

    def _done(self) -> set[LoadLevel]:
        return {level for level in self._levels if level in self._failed or self._measurement(level) is not None}

    def _is_complete(self, rung: int) -> bool:
        """Whether nothing is left to measure after this rung."""
        if self._by_levels is not None:
            return self._by_levels.is_complete(rung, self._done(), self._given_up)
        return rung == self._assignment.rungs - 1

    def _breaks(self, level: LoadLevel, failure: PointFailure | None) -> bool:
        """Whether what lies above a level that was just measured is passed over for what it showed."""
        if self._by_levels is None:
            return False
        if failure is not None and failure.failure.blames_config:
            self._by_levels.fails(level)
        found = self._measurement(level)
        if found is not None:
            self._by_levels.judge([score_point(found, self._study.slo, self._objectives[0])])
        return self._by_levels.breaks(level)

    def _more(self, rung: int, ended: Sequence[PointOutcome]) -> LoadPoint | None:
        """As many requests again, once, at a level of a whole trial that may meet its SLOs or not."""
        if self._by_levels is None or not self._is_complete(rung):
            return None
        found = {level: m for level in self._levels if (m := self._measurement(level)) is not None}
        points = [score_point(m, self._study.slo, self._objectives[0]) for m in found.values()]
        select, to_beat = self._study.search.select, self._assignment.to_beat
        for level in unsettled(points, found, self._objectives[0], select, to_beat):
            if level not in self._doubled:
                self._doubled.add(level)
                full = full_requests(self._study.workload, level)
                return LoadPoint(level, full, first_index=full)
        return None

    def _measurement(self, level: LoadLevel) -> Measurement | None:
        """Of all that was sent at a level so far; ``None`` where it has none."""
        if level in self._failed:
            return None
        if level not in self._measured and (runs := self._runs.get(level)):
            self._measured[level] = measure(level, runs, self._context)
        return self._measured.get(level)

    def _plan(self, rung: int, server: RunningServer) -> LoadPlan:
        if self._searched is not None:
            return self._searched.plan(server)
        if self._by_levels is not None:
            return self._by_levels.plan(rung, self._done(), self._given_up)
        return make_plan(self._study.workload, rung, self._assignment.rungs, self._study.fidelity.eta, self._given_up)

    def _empty_caches(self, server: RunningServer, level: LoadLevel) -> tuple[str, ...]:
        """Empties the servers' prefix caches where that is wanted and can be; what to note where it was in vain."""
        if self._cache_reset is None or reset_caches(server.urls, self._cache_reset):
            return ()
        _LOG.warning("%s: %s: %s", self._assignment.trial_id, level, _CACHE_STAYED)
        return (_CACHE_STAYED,)

    def _another_model(self, server: RunningServer) -> tuple[str, ...]:
        """What to note where a server that was there before has one model, and not by the study's name."""
        name = server.served_name
        if name is None or self._deployment is None or name in (self._deployment.served_name, self._study.model.id):
            return ()
        return (f"the server serves {name!r}, which was measured, and not {self._study.model.id!r}",)

    def _client(self) -> Client:
        return Client(self._study.hardware.client_cpus, os.getloadavg()[0], os.cpu_count() or 1)

    def _remember(self, run: PointRun, failure: PointFailure | None, hopeless: bool) -> None:
        """What later rungs must know: a failed level stays failed, unless it was the client's or a node's fault."""
        if failure is None:
            self._runs[run.level].append(run)
            self._measured.pop(run.level, None)
        elif failure.failure.blames_config:
            self._failed[run.level] = failure
        else:
            return
        if hopeless:
            self._given_up.add(run.level)

    def _result(
        self,
        rung: int,
        new_runs: tuple[PointRun, ...],
        failures: list[PointFailure],
        died: PointFailure | None,
        timed_out: bool,
    ) -> RungResult:
        measurements = tuple(m for level in self._asked() if (m := self._measurement(level)) is not None)
        is_last = self._is_complete(rung)
        lost = self._lost({m.level for m in measurements}, is_last)
        if self._searched is not None:
            measurements = self._searched.found(measurements, failures)
        score = score_rung(measurements, lost, self._study.slo, self._objectives, self._study.search.select)
        goes_on = bool(measurements) or (self._by_levels is not None and not is_last)
        ending = died or _why_it_ends(score, failures, [*self._failed.values()], timed_out, goes_on)
        if self._searched is not None and score.feasible and ending is not None and ending.failure.blames_config:
            ending = None  # a search presses until something gives: what it held before that counts
        if ending is not None:
            score = dataclasses.replace(score, reason=score.reason or ending.message)
        return RungResult(
            score=score,
            measurements=measurements,
            runs=new_runs,
            failures=tuple(failures),
            failure=ending.failure if ending else None,
            message=ending.message if ending else "",
            timed_out=timed_out,
            is_last=is_last,
        )

    def _asked(self) -> Sequence[LoadLevel]:
        """The levels that a score is of."""
        return self._levels if self._searched is None else [*dict.fromkeys([*self._runs, *self._failed])]

    def _lost(self, measured: Collection[LoadLevel], is_last: bool) -> list[LoadLevel]:
        if self._by_levels is not None:
            return self._by_levels.lost(measured, is_complete=is_last)
        return [level for level in self._asked() if level not in measured]


def _without_runs(
    records: Sequence[RungRecord], runs: Mapping[LoadLevel, Sequence[PointRun]]
) -> dict[LoadLevel, Measurement]:
    """What was measured without requests that could be measured anew, as from a table of metrics."""
    last = max(records, key=lambda record: record.rung, default=None)
    if last is None:
        return {}
    intervals = {(p.level, p.objective): p.interval for p in last.score.points if p.interval is not None}
    found = {}
    for measurement in last.measurements:
        own = {parse_objective(name).column: i for (level, name), i in intervals.items() if level == measurement.level}
        if not any(run.records for run in runs.get(measurement.level, ())):
            found[measurement.level] = dataclasses.replace(measurement, intervals=own)
    return found


def _cache_reset(study: Study, deployment: Deployment | None) -> HttpCall | None:
    """How the prefix cache is emptied before a load point; a warm one stays, and so does a stranger's."""
    if deployment is None or study.workload.cache == "warm" or study.launcher.kind == "endpoint":
        return None
    return deployment.cache_reset


def _why_it_ends(
    score: Score, new: list[PointFailure], known: list[PointFailure], timed_out: bool, goes_on: bool
) -> PointFailure | None:
    """The failure that ends a trial whose server lives, ``None`` when it can go on, which needs something measured or
    yet to be."""
    if timed_out and new:
        return new[-1]
    innocent = next((f for f in new if not f.failure.blames_config), None)
    if innocent is not None and not score.feasible:
        return innocent  # else a client's trouble would be told as the Config's
    return None if goes_on else next(iter([*known, *new]), None)


def _from_the_start(point: LoadPoint, rung: int) -> LoadPoint:
    """A level that earlier rungs could not measure gets all its requests, with prompts of its own."""
    if point.first_index == 0:
        return point
    requests = point.first_index + point.requests
    return dataclasses.replace(point, requests=requests, first_index=(rung + 1) * 2 * REPEAT_OFFSET)


def _run_point(driver: LoadDriver, point: LoadPoint, clock: Clock, ends_at: float, allowed_until: float) -> PointRun:
    """One load point; once more, with new prompts, when the client was too slow or was lost, or others disturbed it."""

    def run(asked: LoadPoint) -> PointRun:
        now_s = clock.monotonic_s()
        return driver.run(asked, deadline_s=ends_at - now_s, allowed_s=allowed_until - now_s)

    found: PointRun | None
    try:
        found = run(point)
        if not _is_worth_repeating(found, ends_at - clock.monotonic_s()):
            return found
    except InfrastructureError:
        if clock.monotonic_s() >= ends_at:
            raise
        found = None
    again = run(dataclasses.replace(point, first_index=point.first_index + REPEAT_OFFSET))
    return found if found is not None and again.saturated and not found.saturated else again


def _is_worth_repeating(run: PointRun, left_s: float) -> bool:
    """A disturbed run is one of the server nevertheless: it is given up only where there is time for another."""
    if run.saturated or not run.disturbed or _may_be_dead(run):
        return run.saturated and left_s > 0
    took_s = max((record.end_s for record in run.records), default=0.0)
    return left_s > _TIMES_AS_LONG * took_s


def _judge(
    run: PointRun, server: RunningServer, diagnose: Callable[[int | None, str], FailureReport], client: Client
) -> tuple[PointFailure | None, bool]:
    """Why the point has no measurement, ``None`` when it has one, and whether the server has died."""
    exit_code = server.exit_code(_DEATH_IS_TOLD_WITHIN_S if _may_be_dead(run) else 0.0)
    failure = point_failure(run, exit_code, lambda code: diagnose(code, server.log_tail(DIAGNOSED_BYTES)), client)
    return failure, exit_code is not None


def _may_be_dead(run: PointRun) -> bool:
    """Whether the last request met a closed door: a server's connections end before its process does."""
    ended = [r for r in run.records if r.error is not RequestError.CANCELLED]
    last = max(ended, key=lambda record: record.end_s, default=None)
    return last is not None and last.error in (RequestError.REFUSED, RequestError.CUT)
