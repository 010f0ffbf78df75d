"""What the conductor knows of a trial: of this life of the study, and of an earlier one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from autotuner.errors import Failure
from autotuner.metrics.load_level import LoadLevel
from autotuner.results.records import Phase, TrialState
from autotuner.scoring import Score
from autotuner.space.config import Config
from autotuner.tuning.decisions.assignment import Assignment, RungReport
from autotuner.tuning.decisions.outcome import outcome
from autotuner.tuning.decisions.rules import Rules
from autotuner.tuning.proposers import Outcome, OutcomeKind


@dataclass(frozen=True)
class KnownTrial:
    """A trial of an earlier life of the study: its state and its ended rungs' scores. ``probe``: the load level of the
    first of them, or its lowest."""

    trial_id: str
    phase: Phase
    config: Config
    state: TrialState
    failure: Failure | None
    scores: tuple[Score, ...]
    seconds: float  # that it held its place
    gpus: int = 0  # that it held meanwhile
    is_disturbed: bool = False
    changed: Config | None = None  # the Config that ran, where it is not the one that was asked for
    probe: LoadLevel | None = None
    starting_s: float = 0.0  # of ``seconds``, until its servers answered
    ended_s: float = 0.0  # its last rung, seconds since the epoch
    node: str = ""

    def assignment(self, rules: Rules) -> Assignment:
        """As it was handed out, with the Config that ran."""
        rungs = 1 if self.phase.is_afresh else rules.rungs
        probe = self.probe if rules.levels else None
        return Assignment(self.trial_id, self.phase, self.changed or self.config, rungs, probe=probe)

    def followed(self, assignment: Assignment) -> Followed:
        """The same in this life, of a trial that has ended."""
        gpu_s = self.seconds * self.gpus
        ended = Followed(assignment, list(self.scores), self.state, self.seconds, gpu_s, self.failure)
        ended.starting_s = self.starting_s
        ended.is_disturbed = self.is_disturbed
        ended.ended_s, ended.node = self.ended_s, self.node
        return ended


@dataclass
class Followed:
    """A trial of this life, while it runs and after."""

    assignment: Assignment
    scores: list[Score] = field(default_factory=list)
    state: TrialState = TrialState.RUNNING
    seconds: float = 0.0
    gpu_seconds: float = 0.0
    failure: Failure | None = None
    is_cut: bool = False  # in the middle of a rung, for want of time
    is_disturbed: bool = False  # others had a part in what its last rung came to
    starting_s: float = 0.0  # of ``seconds``, until its servers answered
    ended_s: float = 0.0  # its last rung, seconds since the epoch
    node: str = ""  # where that was measured

    def note(self, report: RungReport) -> None:
        """How far it came. What ran in place of its Config is what is confirmed, and deployed; the searcher is told of
        its own."""
        if report.changed is not None:
            self.assignment = replace(self.assignment, config=report.changed)
        self.is_disturbed = report.disturbed
        self.is_cut = report.out_of_time
        self.seconds = report.usage.reserved_s
        self.gpu_seconds = report.usage.reserved_s * report.gpus
        self.starting_s = report.usage.loading_s
        self.ended_s, self.node = report.ended_s, report.node

    @property
    def is_at_fault(self) -> bool:
        """Whether it failed by its Config's own fault."""
        return self.failure is not None and self.failure.blames_config

    def outcome(self, rules: Rules) -> Outcome:
        """What the searcher is told of it, once it has ended: nothing of what others had a part in."""
        if self.is_disturbed and self.failure is None:
            return Outcome(OutcomeKind.UNKNOWN)
        gpu_s = self.gpu_seconds or self.seconds  # without GPUs a server counts as one
        told = outcome(
            self.state,
            self.failure,
            self.scores,
            rules.objectives,
            gpu_s,
            rules.select,
            start_gpu_s=gpu_s * self.starting_s / self.seconds if self.seconds else 0.0,
            in_full=self.assignment.probe is not None,
        )
        return told if rules.lists_levels else replace(told, shown={})

    @property
    def counts(self) -> bool:
        """Whether it uses up one of ``search.trials``."""
        return self.assignment.phase.counts(self.failure)

    @property
    def is_spoiled(self) -> bool:
        """Whether it is a confirmation that failed through no fault of its Config."""
        innocent = self.failure is not None and not self.failure.blames_config
        return innocent and self.assignment.phase is Phase.CONFIRM
