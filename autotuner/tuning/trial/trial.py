"""A trial's life on its node: reserve → launch → rung, rung, … → release. Knows nothing of Ray."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass

from autotuner.benchmark.traffic.list_plan import at_level
from autotuner.engines import Deployment, engines_to_ask, judged_by, one_engine
from autotuner.errors import Failure, InfrastructureError, InputError, LaunchError, ServerLostError
from autotuner.metrics.load_level import LoadLevel
from autotuner.results.records import FailureRecord, RungRecord, TrialEnd, TrialRecord, TrialState, Usage
from autotuner.scoring import Score, parse_objectives, score_rung
from autotuner.space.config import Config
from autotuner.study.model import Study
from autotuner.tuning.decisions.assignment import Assignment, RungReport
from autotuner.tuning.decisions.budget import STUDYS_END
from autotuner.tuning.decisions.capacity import deployment_of, need_of
from autotuner.tuning.trial.launch import Live, Place, TrialLaunch
from autotuner.tuning.trial.less_memory import LessMemory, less_memory
from autotuner.tuning.trial.rig import Rig
from autotuner.tuning.trial.rung import RungResult, RungRunner, rung_limit_s
from autotuner.tuning.trial.trial_store import TrialStore

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Deadline:
    """Seconds that are left, and what sets them; a rung's own time-out is a failure, any other ends the trial."""

    left_s: float
    whose: str = ""

    @property
    def ends_trial(self) -> bool:
        return bool(self.whose)


class TrialRun:
    """Runs the rungs of one Assignment. ``release()`` is idempotent and must be called."""

    def __init__(
        self, study: Study, assignment: Assignment, place: Place, rig: Rig, store: TrialStore, ends_at: float | None
    ) -> None:
        """``ends_at``: epoch second at which the study's wall clock is spent, ``None`` without one."""
        self._reserved_at = rig.clock.monotonic_s()
        study = _judged_here(study, assignment.config, place, rig)
        self._study = study
        self._assignment = assignment
        self._place = place
        self._rig = rig
        self._store = store
        self._ends_at = ends_at
        self._engine, _, _ = one_engine(study, assignment.config)
        self._reserved_gpus, cpus = need_of(study, assignment.config).size
        self._reserved_cpus = round(cpus)
        self._launch = TrialLaunch(study, assignment, place, rig, store)
        self._released_at: float | None = None
        self._deployment: Deployment | None = None
        self._invalid = ""
        try:
            self._deployment = deployment_of(study, assignment.config)
        except InputError as error:
            self._invalid = error.message
        record = store.begin_trial(self._record())
        self._before = record.usage
        self._changed: Config | None = None  # what runs in place of the assignment's Config
        if record.asked is not None:
            self._change(Config(record.config))
        self._past_failure = record if record.state is TrialState.FAILED else None
        self._measuring_s = 0.0
        self._rung_ended_s = 0.0  # seconds since the epoch
        self._warmup_s = 0.0
        self._stored: dict[int, RungRecord] = {}
        self._rungs = self._recall()

    def run_rung(self, rung: int) -> RungReport:
        """Runs one rung, or hands back the stored one. Everything reported is committed first."""
        known = self._stored.get(rung)
        past = self._past_failure
        recalled = None if known is None else self._rungs.recall(known)
        if known is not None and recalled is not None and (past is None or not recalled.is_last):
            self._rung_ended_s = known.ended_at
            return self._report(rung, recalled)
        if past is not None and past.failure is not None:
            return self._fail(rung, past.failure, past.message)
        if self._deployment is None:
            return self._fail(rung, Failure.INVALID_CONFIG, self._invalid)
        deadline = self._deadline()
        if deadline.left_s <= 0:
            return self._out_of_time(rung, deadline)
        try:
            return self._measure_patiently(rung)
        except LaunchError as error:
            ends = self._ends()
            if error.failure is Failure.STARTUP_TIMEOUT and ends.left_s <= 0:
                return self._out_of_time(rung, ends)
            return self._fail(rung, error.failure, error.message, error.log_tail)
        except InputError as error:
            return self._fail(rung, Failure.INVALID_CONFIG, error.message)
        except InfrastructureError as error:
            ends = self._ends()
            if ends.left_s <= 0:  # it was waiting for cores, or for weights
                return self._out_of_time(rung, ends)
            return self._fail(rung, Failure.INFRASTRUCTURE, error.message)

    def stop(self, after: RungReport) -> RungReport:
        """Ends a trial that is not to go on after this rung."""
        self._end(TrialState.STOPPED, message=after.message)
        return dataclasses.replace(after, usage=self.usage(), stopped=True)

    def release(self) -> None:
        """Ends the load driver and every server process, gives cores and folders back.

        What a node does not give back says nothing about what was measured: it is noted, and the next launch there
        fails for it.
        """
        if self._released_at is not None:
            return
        try:
            self._launch.close()
        except InfrastructureError as error:
            _log.error("trial %s: %s", self._assignment.trial_id, error.message)
            self._note(Failure.INFRASTRUCTURE, error.message)
        finally:
            self._released_at = self._rig.clock.monotonic_s()
            self._store.set_usage(self._assignment.trial_id, self.usage(), self._place.node)

    def usage(self) -> Usage:
        """What the trial has used up to now, earlier lives included."""
        until = self._rig.clock.monotonic_s() if self._released_at is None else self._released_at
        return Usage(
            reserved_s=self._before.reserved_s + until - self._reserved_at,
            loading_s=self._before.loading_s + self._launch.loading_s,
            measuring_s=self._before.measuring_s + self._measuring_s,
            warmup_s=self._before.warmup_s + self._warmup_s,
        )

    # ── measure ───────────────────────────────────────────────────────────────────────────────

    def _recall(self) -> RungRunner:
        """What is in the store, as the start of what comes next."""
        trial_id = self._assignment.trial_id
        self._stored = {r.rung: r for r in self._store.rungs(trial_id)}
        runs = self._store.runs(trial_id) if self._stored else ()
        records = [*self._stored.values()]
        study, only = self._study, self._assignment.only
        if only is not None:
            study = study.model_copy(update={"workload": at_level(study.workload, only)})
        return RungRunner(study, self._assignment, self._deployment, records, runs, accelerator=self._place.accelerator)

    def _measure_patiently(self, rung: int) -> RungReport:
        """A rung whose server was lost through no fault of its own is measured anew, once."""
        try:
            return self._measure(rung, self._live())
        except ServerLostError:
            self._launch.close()
            self._rungs = self._recall()
            return self._measure(rung, self._live())

    def _live(self) -> Live:
        """The live launch. Servers that had no memory to start are started once more with less of it."""
        assert self._deployment is not None
        try:
            return self._launch.ensure(self._deployment, self._ends().left_s)
        except LaunchError as error:
            less = self._with_less_memory(error)
            if less is None:
                raise
            message, log_tail = f"{error.message} (started again with less memory: {less.told})", error.log_tail
            self._note(error.failure, message, log_tail)
        live = self._launch.ensure(less.deployment, self._ends().left_s)
        self._store.set_config(self._assignment.trial_id, live.launch_id, less.config.values)
        self._change(less.config)
        return live

    def _with_less_memory(self, error: LaunchError) -> LessMemory | None:
        """Only for what is yet to be measured: all rungs, and all fresh runs, of a trial are of one Config."""
        if self._changed is not None or self._stored or not self._assignment.phase.explores:
            return None
        return less_memory(self._study, self._assignment.config, error)

    def _change(self, config: Config) -> None:
        self._changed = config
        self._deployment = deployment_of(self._study, config)

    def _measure(self, rung: int, live: Live) -> RungReport:
        deadline = self._deadline()
        if deadline.left_s <= 0:
            return self._out_of_time(rung, deadline)
        started = self._rig.clock.monotonic_s()
        server, left_s = live.server, deadline.left_s
        result = self._rungs.run(rung, live.driver, server, self._rig.clock, left_s, self._engine.diagnose)
        self._measuring_s += self._rig.clock.monotonic_s() - started
        self._warmup_s += math.fsum(run.warmup_s for run in result.runs)
        if deadline.ends_trial and result.timed_out:
            return self._out_of_time(rung, deadline)
        if result.failure in self._assignment.repeat_on:
            return self._hand_back(rung, result.failure, result.message, self._log_tail())
        self._rung_ended_s = self._rig.clock.epoch_s()
        self._store.add_rung(
            RungRecord(
                trial_id=self._assignment.trial_id,
                rung=rung,
                launch_id=live.launch_id,
                score=result.score,
                measurements=result.measurements,
                ended_at=self._rung_ended_s,
                usage=self.usage(),
                runs=result.runs,
                failures=result.failures,
            )
        )
        return self._report(rung, result)

    def _deadline(self) -> _Deadline:
        """What this rung may take at most."""
        limit_s = rung_limit_s(self._study, self._assignment)
        return min(_Deadline(limit_s), self._ends(), key=lambda deadline: deadline.left_s)

    def _ends(self) -> _Deadline:
        """When the trial ends, whatever it is at: by its own time, or with the study."""
        found = [_Deadline(math.inf)]
        if self._study.timeouts.trial_s is not None:
            spent_s = self._rig.clock.monotonic_s() - self._reserved_at
            found.append(_Deadline(self._study.timeouts.trial_s - spent_s, "the trial's time (timeouts.trial_s)"))
        if self._ends_at is not None:
            found.append(_Deadline(self._ends_at - self._rig.clock.epoch_s(), STUDYS_END))
        return min(found, key=lambda deadline: deadline.left_s)

    # ── report ────────────────────────────────────────────────────────────────────────────────

    def _report(self, rung: int, result: RungResult) -> RungReport:
        if result.failure is not None:
            return self._fail(rung, result.failure, result.message, self._log_tail(), result.score)
        if result.is_last:
            self._end(TrialState.COMPLETED)
        return self._make_report(
            rung, last=result.is_last, score=result.score, metrics=result.metrics, disturbed=result.is_disturbed
        )

    def _fail(
        self, rung: int, failure: Failure, message: str, log_tail: str = "", score: Score | None = None
    ) -> RungReport:
        if failure in self._assignment.repeat_on:
            return self._hand_back(rung, failure, message, log_tail)
        self._end(TrialState.FAILED, failure, message, log_tail)
        worst = score if score is not None and not score.feasible else self._worst_score(message)
        return self._make_report(rung, score=worst, failure=failure, message=message)

    def _hand_back(self, rung: int, failure: Failure | None, message: str, log_tail: str) -> RungReport:
        """Ends here, to be started on another node: the failure is noted, the cut rung is not recorded."""
        assert failure is not None
        self._note(failure, message, log_tail)
        self.release()
        return self._make_report(rung, failure=failure, message=message, to_repeat=True)

    def _note(self, failure: Failure, message: str, log_tail: str = "") -> None:
        now = self._rig.clock.epoch_s()
        self._store.note_failure(FailureRecord(self._assignment.trial_id, failure, message, now, log_tail=log_tail))

    def _log_tail(self) -> str:
        return self._launch.live.server.log_tail() if self._launch.live else ""

    def _out_of_time(self, rung: int, deadline: _Deadline) -> RungReport:
        message = f"{deadline.whose} was spent before this rung ended"
        self._end(TrialState.STOPPED, message=message)
        return self._make_report(rung, message=message, out_of_time=True)

    def _make_report(
        self,
        rung: int,
        *,
        last: bool = False,
        score: Score | None = None,
        metrics: Mapping[LoadLevel, Mapping[str, float]] | None = None,
        failure: Failure | None = None,
        message: str = "",
        out_of_time: bool = False,
        to_repeat: bool = False,
        disturbed: bool = False,
    ) -> RungReport:
        return RungReport(
            trial_id=self._assignment.trial_id,
            rung=rung,
            last=last,
            score=score,
            metrics=metrics or {},
            usage=self.usage(),
            gpus=self._reserved_gpus,
            failure=failure,
            message=message,
            out_of_time=out_of_time,
            to_repeat=to_repeat,
            changed=self._changed,
            disturbed=disturbed,
            ended_s=self._rung_ended_s,
            node=self._place.node,
        )

    def _end(self, state: TrialState, failure: Failure | None = None, message: str = "", log_tail: str = "") -> None:
        """Stored first: releasing takes seconds, and a death among them must not make a failed rung a good one."""
        end = TrialEnd(
            trial_id=self._assignment.trial_id,
            state=state,
            ended_at=self._rig.clock.epoch_s(),
            usage=self.usage(),
            failure=failure,
            message=message,
            log_tail=log_tail,
            node=self._place.node,
        )
        try:
            self._store.end_trial(end)
        finally:
            self.release()

    def _record(self) -> TrialRecord:
        return TrialRecord(
            trial_id=self._assignment.trial_id,
            phase=self._assignment.phase,
            config=dict(self._assignment.config.values),
            started_at=self._rig.clock.epoch_s(),
            gpus=self._deployment.gpus if self._deployment else 0,
            cpus=self._reserved_cpus,
            accelerator=self._place.accelerator,
            node=self._place.node,
        )

    def _worst_score(self, reason: str) -> Score:
        objectives = parse_objectives(self._study.objectives)
        return dataclasses.replace(score_rung([], [], self._study.slo, objectives), reason=reason)


def _judged_here(study: Study, config: Config, place: Place, rig: Rig) -> Study:
    """The study judged by the version of its engine on this node, where it says ``auto``."""
    engine, own_study, _ = one_engine(study, config)
    if rig.ask_version is None or engine.name not in engines_to_ask(study):
        return study
    answer = rig.ask_version(engine, own_study, gpu_ids=place.gpu_ids)
    return study if answer is None else judged_by(study, engine.name, answer)
