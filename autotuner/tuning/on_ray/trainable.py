"""The Ray Tune trainable: a thin shell around TrialRun, one ``step()`` a rung.

Ray may reuse the actor for the next trial (``reset_config``), stop it between rungs (``cleanup``) or
pause it under HyperBand (``save_checkpoint``, then ``cleanup``, then a new actor). The store remembers
ended rungs, so a checkpoint holds nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Any, ClassVar

import ray
from ray import tune

from autotuner.results import OutputFolder
from autotuner.scoring import Score, parse_objective, told_value
from autotuner.servers import accelerator_name, tags
from autotuner.study.model import Study
from autotuner.tuning.decisions.assignment import Assignment, RungReport
from autotuner.tuning.decisions.capacity import need_of
from autotuner.tuning.on_ray.cluster import accelerator_here
from autotuner.tuning.on_ray.job import StudyJob
from autotuner.tuning.on_ray.priority import take_usual_priority
from autotuner.tuning.on_ray.rank_host import RemoteNode, rank_hosts
from autotuner.tuning.on_ray.store_actor import RemoteStore
from autotuner.tuning.trial.launch import Place
from autotuner.tuning.trial.rig import make_rig
from autotuner.tuning.trial.trial import TrialRun

ASSIGNMENT = "assignment"  # the only key of a Ray Tune config here
REPORT = "report"
SCORE = "score"
MERITS = "merits"  # of several objectives what is told of each, more is better
RESOURCE = "resource"  # eta^rung: what ASHA's milestones 1, eta, eta² are compared with
HYPERBAND_TIME = "hyperband_time"  # its running sum: reaches the milestones of Ray's HyperBand, summed up or not


class TrialTrainable(tune.Trainable):  # type: ignore[misc]  # Ray has no type stubs
    JOB: ClassVar[StudyJob]
    STORE: ClassVar[Any]  # the store actor's handle
    _run: TrialRun
    _last: RungReport | None  # of the rung that ended last
    _is_to_end: bool

    def setup(self, config: dict[str, Any]) -> None:
        # Ray's workers take SIGTERM as "exit now"; that is what kills the supervisor's pipe as well.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        take_usual_priority()
        self._gpu_ids = tuple(str(i) for i in ray.get_gpu_ids())
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # they are the servers'
        self._store = RemoteStore(self.STORE)
        self._begin(config[ASSIGNMENT])

    def __repr__(self) -> str:
        """What Ray calls this actor. Its dashboard asks once: later trials may follow this one."""
        return f"{self.JOB.study.name}-{self._assignment.trial_id}…"

    def step(self) -> dict[str, Any]:
        """The next rung; after ``end_early()``, the last one once more, when all that served it is gone."""
        if self._is_to_end and self._last is not None:
            return self._as_result(self._run.stop(self._last))
        self._last = self._run.run_rung(self._next_rung)
        self._next_rung += 1
        return self._as_result(self._last)

    def end_early(self) -> None:
        """Has the next step be the last."""
        self._is_to_end = True

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.cleanup()
        self._begin(new_config[ASSIGNMENT])
        return True

    def cleanup(self) -> None:
        with self._hosts:
            self._run.release()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        self.cleanup()  # it is paused for this: when it counts as such, its GPUs must be free
        Path(checkpoint_dir, "rung").write_text(str(self._next_rung), encoding="utf-8")

    def load_checkpoint(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            self._next_rung = int(Path(checkpoint, "rung").read_text(encoding="utf-8"))

    def _begin(self, assignment: Assignment) -> None:
        job = self.JOB
        self._next_rung = 0
        self._last = None
        self._is_to_end = False
        self._assignment = assignment
        self._hosts = contextlib.ExitStack()
        others = self._hosts.enter_context(rank_hosts(job, self.STORE, assignment))
        self._run = TrialRun(
            job.study,
            assignment,
            self._place(assignment, others),
            make_rig(job.study, assignment.handed_out_s),
            self._store,
            job.ends_at,
        )

    def _place(self, assignment: Assignment, others: tuple[RemoteNode, ...]) -> Place:
        job = self.JOB
        folder = OutputFolder(Path(job.out_dir))
        is_replayed = job.study.launcher.kind == "replay"
        recorded_on = need_of(job.study, assignment.config).accelerator if is_replayed else ""
        return Place(
            node=f"{os.uname().nodename}/{ray.get_runtime_context().get_node_id()[:8]}",
            gpu_ids=self._gpu_ids,
            accelerator=recorded_on or accelerator_here() or accelerator_name(self._gpu_ids),
            log_dir=folder.trial_logs(assignment.trial_id) if folder.takes_logs_of(job.study_id) else None,
            tags=tags(job.study_id, assignment.trial_id, job.owner),
            other_nodes=others,
            meeting_host=ray.util.get_node_ip_address(),
        )

    def _as_result(self, report: RungReport) -> dict[str, Any]:
        return {REPORT: report, "done": report.is_final, **judged(self.JOB.study, report.rung, report.score)}


def trainable_of(job: StudyJob, store: Any) -> type[TrialTrainable]:
    """The trainable of one study.

    Ray keeps classes in its control store. ``tune.with_parameters`` would put the parameters into the object store, out
    of which an actor waits for ever for them when the node that it asks for a copy is lost meanwhile.
    """
    return type("TrialTrainable", (TrialTrainable,), {"JOB": job, "STORE": store})


def judged(study: Study, rung: int, score: Score | None) -> dict[str, Any]:
    """What the trial schedulers read of a rung; without a score there is nothing to compare."""
    eta = study.fidelity.eta
    result: dict[str, Any] = {RESOURCE: eta**rung, HYPERBAND_TIME: (eta ** (rung + 1) - 1) // (eta - 1)}
    if score is not None:
        result[SCORE] = told_value(score.merit(), parse_objective(study.objectives[0]).direction)
        if len(study.objectives) > 1:
            result[MERITS] = tuple(score.merit(name).told for name in study.objectives)
    return result
