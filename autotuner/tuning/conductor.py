"""Conductor: which trial comes next, and when a study is over. Pure: events in, decisions out.

    node checks ──▶ baselines ──▶ search: proposals ──▶ confirm: best and default in turn ──▶ finished

What is proposed waits in a line until the cluster has a place for it. Like nodes are compared before they get a trial.
The baselines are started first and never stopped; the search goes on beside them. Confirmation begins when every
searched trial has ended, one trial at a time. Both budgets keep room for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import count
from typing import Literal

from autotuner.errors import Failure
from autotuner.results.records import Phase, TrialState
from autotuner.scoring import Objective, Score, select_best
from autotuner.space.config import Config
from autotuner.tuning.assignment import Assignment, RungReport
from autotuner.tuning.budget import Budget, Spent
from autotuner.tuning.confirmation import confirmation_round, confirmations
from autotuner.tuning.followed_trial import Followed, KnownTrial
from autotuner.tuning.node_health import NodeHealth, Quarantine
from autotuner.tuning.outcome import outcome, refused
from autotuner.tuning.placement_policy import Need, Node, Share, closed, fits_ever
from autotuner.tuning.proposers import Proposer
from autotuner.tuning.repeats import Repeats
from autotuner.tuning.twin_checks import TwinChecks
from autotuner.tuning.waiting_line import LOOK_AHEAD, WaitingLine

_MOST_REFUSED = 1000  # proposals in a row that fit no node, after which the space is taken for exhausted
_PATIENCE_S = 120.0  # for a node that could hold one of the trials that are left


class Pause(StrEnum):
    """Why ``next()`` hands out no trial."""

    WAIT = "wait"  # until a running trial ends, or something gets free
    FINISHED = "finished"
    NO_PLACE = "no_place"  # no node is left that could hold what is left to do


@dataclass(frozen=True)
class Rules:
    """What of the study steers the conductor. ``trials`` counts the baselines: ``baseline``, the default that the
    best is compared with, and those of the study's further GPU types."""

    trials: int
    rungs: int
    confirm: int
    objectives: tuple[Objective, ...]
    baseline: Config
    max_running: int | None
    select: Literal["slo_met", "score"]
    more_baselines: tuple[Config, ...] = ()
    trials_per_checked_node: int | None = None

    @property
    def baselines(self) -> tuple[Config, ...]:
        return (self.baseline, *self.more_baselines)


def _nothing_reserved(_: Config) -> Need:
    return Need((Share(0, 0.0),))


class Conductor:
    """Hands out Assignments and learns how they went. Not thread-safe; lives on the driver."""

    def __init__(
        self,
        rules: Rules,
        proposer: Proposer,
        budget: Budget,
        known: Iterable[KnownTrial] = (),
        need_of: Callable[[Config], Need] = _nothing_reserved,
    ) -> None:
        """``need_of``: what a trial of a Config reserves."""
        self._rules = rules
        self._proposer = proposer
        self._budget = budget
        self._need_of = need_of
        self._followed: dict[str, Followed] = {}
        self._line = WaitingLine()
        self._begun: dict[str, Followed] = {}  # trials in the line that have run before
        self._repeats: dict[str, Repeats] = defaultdict(Repeats)
        self._health = NodeHealth()
        known = tuple(known)
        self._twins = TwinChecks(
            rules.baselines,
            need_of,
            rules.objectives[0],
            trials_per_node=rules.trials_per_checked_node,
            used=(trial.trial_id for trial in known),
        )
        self._seen: dict[str, Node] = {}  # every node that ever was there: it may come back
        self._without_place_since: float | None = None
        self._exhausted = False
        self.refused = 0  # proposals that fit no node
        self.stop_reason = ""
        for trial in known:
            self._recall(trial)

    # ── decisions ─────────────────────────────────────────────────────────────────────────────

    def next(self, spent: Spent, nodes: Sequence[Node] | None = None) -> Assignment | Pause:
        """The next trial to start, given what has been spent and what is free; it counts at once.

        ``nodes`` are the live ones; ``None``: Ray places trials itself, in their order.
        """
        if self._budget.is_spent(spent):
            self._stop("budget: " + self._budget.what_is_spent(spent))
            return Pause.FINISHED if not self.running() else Pause.WAIT
        started = self._start_check(nodes)
        if started is not None:
            return started
        nodes = self._open(nodes)
        started = self._start_or_propose(spent, nodes)
        if started is not None:
            return started
        if not self._running_in(Phase.BASELINE, Phase.SEARCH) and not len(self._line):
            self._plan_confirmation()
            started = self._start_one(nodes)
            if started is not None:
                return started
        if len(self._line) or self.running():
            return self._wait(spent, nodes)
        self._stop("all trials done")
        return Pause.FINISHED

    def must_stop(self, trial_id: str, spent: Spent) -> bool:
        """Whether a running trial must end at its next rung, for a budget's sake or as all that was to be seen."""
        phase = self._followed[trial_id].assignment.phase
        if self._budget.is_spent(spent) or phase is Phase.NODE_CHECK:
            return True
        return phase is Phase.SEARCH and self._no_time_to_search(spent)

    def running(self) -> list[Assignment]:
        return [f.assignment for f in self._followed.values() if not f.state.is_terminal]

    def newly_sick(self, nodes: Sequence[Node]) -> list[Quarantine]:
        """Nodes that get no further trial from now on; each is told once."""
        self._compare(nodes)
        return self._health.newly_sick(sum(node.open for node in self._but_sick(nodes)))

    # ── events ────────────────────────────────────────────────────────────────────────────────

    def rung_ended(self, report: RungReport) -> None:
        """Notes a rung's score; called for recalled rungs too."""
        trial = self._followed[report.trial_id]
        trial.seconds = report.usage.reserved_s
        trial.gpu_seconds = report.usage.reserved_s * report.gpus
        if report.score is not None and report.rung == len(trial.scores):
            trial.scores.append(report.score)
            if report.failure is None:
                self._health.succeeded(trial.assignment.config, trial.assignment.nodes)

    def repeats(self, trial_id: str, failure: Failure | None) -> bool:
        """Whether a trial that failed, or whose process was lost (``None``), is started again; it then waits first."""
        trial, repeats = self._followed[trial_id], self._repeats[trial_id]
        assignment = trial.assignment
        is_bound_here = assignment.phase is Phase.NODE_CHECK
        if is_bound_here or (failure is None and not repeats.may_follow_a_loss()):
            return False
        repeats.note(failure, assignment.nodes)
        if failure is not None:
            self._health.failed(assignment.config, assignment.nodes, failure)
        self._begun[trial_id] = self._followed.pop(trial_id)
        again = replace(assignment, nodes=(), repeat_on=frozenset())
        self._line.join(again, self._need_of(assignment.config), first=True)
        return True

    def trial_ended(self, trial_id: str, state: TrialState, failure: Failure | None) -> None:
        """Closes a trial and tells the searcher. Idempotent."""
        trial = self._followed[trial_id]
        if trial.state.is_terminal:
            return
        trial.state = state
        trial.failure = failure
        if trial.assignment.phase is Phase.NODE_CHECK:
            self._check_ended(trial)
        if trial.assignment.phase is Phase.SEARCH:
            self._proposer.tell(trial_id, outcome(state, failure, trial.scores, self._rules.objectives))

    def score_of(self, trial_id: str) -> Score | None:
        followed = self._followed.get(trial_id) or self._begun.get(trial_id)
        return followed.scores[-1] if followed is not None and followed.scores else None

    def best(self) -> str | None:
        """The id of the best completed trial of baseline and search."""
        completed = {
            trial_id: f.scores[-1]
            for trial_id, f in self._followed.items()
            if f.state is TrialState.COMPLETED and f.assignment.phase.explores and f.scores
        }
        choice = select_best(completed, self._rules.objectives[0], self._rules.select)
        return choice.trial_id if choice else None

    # ── starting ──────────────────────────────────────────────────────────────────────────────

    def _but_sick(self, nodes: Sequence[Node]) -> list[Node]:
        return closed(nodes, self._health.quarantined)

    def _open(self, nodes: Sequence[Node] | None) -> Sequence[Node] | None:
        """The nodes with those closed that are in quarantine or still to be checked; remembers them."""
        if nodes is None:
            return None
        self._seen |= {node.node_id: node for node in nodes}
        return closed(self._but_sick(nodes), self._twins.undecided)

    def _compare(self, nodes: Sequence[Node]) -> None:
        begun = sum(f.assignment.phase.explores for f in self._followed.values())
        for slow in self._twins.look(self._but_sick(nodes), self._rules.trials - begun):
            self._health.slow(slow)

    def _start_check(self, nodes: Sequence[Node] | None) -> Assignment | None:
        if nodes is None or self._is_full():
            return None
        self._compare(nodes)
        check = self._twins.start_one(self._but_sick(nodes), self._rules.rungs)
        return None if check is None else self._start(check)

    def _check_ended(self, trial: Followed) -> None:
        assignment = trial.assignment
        self._twins.ended(assignment.trial_id, trial.scores[-1] if trial.scores else None)
        if trial.failure is not None:
            self._health.failed(assignment.config, assignment.nodes, trial.failure)

    def _is_full(self) -> bool:
        limit = self._rules.max_running
        return limit is not None and len(self.running()) >= limit

    def _start_one(self, nodes: Sequence[Node] | None) -> Assignment | None:
        if self._is_full():
            return None
        if nodes is None:
            found = self._line.start_first()
            return None if found is None else self._start(found[0])
        self._line.reconsider(lambda trial_id, need: self._repeats[trial_id].need(need, nodes))
        found = self._line.start_one(nodes)
        if found is None:
            return None
        assignment, need = found
        nodes_it_knows = [node for node in nodes if node.open]
        repeat_on = self._repeats[assignment.trial_id].repeat_on(need, assignment.nodes, nodes_it_knows)
        return self._start(replace(assignment, repeat_on=repeat_on))

    def _start(self, assignment: Assignment) -> Assignment:
        followed = self._begun.pop(assignment.trial_id, None) or Followed(assignment)
        followed.assignment = assignment
        self._followed[assignment.trial_id] = followed
        self._without_place_since = None
        return assignment

    def _wait(self, spent: Spent, nodes: Sequence[Node] | None) -> Pause:
        """WAIT, until it has been clear for long enough that nothing will ever get a place."""
        if nodes is None or self.running() or any(fits_ever(need, nodes) for need in self._line.needs):
            self._without_place_since = None
            return Pause.WAIT
        if self._without_place_since is None:
            self._without_place_since = spent.wall_s
        if spent.wall_s - self._without_place_since < _PATIENCE_S:
            return Pause.WAIT
        self._stop("no node is left that holds a trial")
        return Pause.NO_PLACE

    # ── searching ─────────────────────────────────────────────────────────────────────────────

    def _start_or_propose(self, spent: Spent, nodes: Sequence[Node] | None) -> Assignment | None:
        self._give_up_for_time(spent)
        if not self._proposer.learns:  # the more are known, the better they can be laid out
            while nodes is not None and self._is_searching(spent) and self._draw():
                pass
        while (started := self._start_one(nodes)) is None:
            if not (self._has_use_for_more(nodes) and self._is_searching(spent) and self._draw()):
                return None
        return started

    def _is_searching(self, spent: Spent) -> bool:
        if self._exhausted or self._searched() >= self._rules.trials:
            return False
        return not self._no_time_to_search(spent)

    def _no_time_to_search(self, spent: Spent) -> bool:
        if not self._budget.is_spent(spent, keep=self._confirmation_cost()):
            return False
        self._stop("budget: " + self._budget.what_is_spent(spent, keep=self._confirmation_cost()))
        return True

    def _give_up_for_time(self, spent: Spent) -> None:
        """Lets go of what was proposed but never started, when there is no time left to search."""
        fresh = [a for a in self._line.assignments if a.phase is Phase.SEARCH and a.trial_id not in self._begun]
        if fresh and self._no_time_to_search(spent):
            self._line.leave({assignment.trial_id for assignment in fresh})
            self._exhausted = True

    def _has_use_for_more(self, nodes: Sequence[Node] | None) -> bool:
        if self._is_full():
            return False
        if nodes is None or not len(self._line):
            return not len(self._line) and (nodes is None or self._has_room(nodes))
        return len(self._line) < LOOK_AHEAD and self._has_room(nodes)

    def _has_room(self, nodes: Sequence[Node]) -> bool:
        """Whether anything is free that a trial could use: of GPUs, where the default needs one."""
        on_gpus = any(share.gpus for share in self._need_of(self._rules.baseline).shares)
        return any(node.open and (node.free_gpus > 0 if on_gpus else node.free_cpus >= 1) for node in nodes)

    def _draw(self) -> bool:
        """Puts one more trial into the line; returns whether there was one."""
        trial_id = self._unused_id()
        if int(trial_id) < len(self._rules.baselines):
            config = self._rules.baselines[int(trial_id)]
            self._join(Assignment(trial_id, Phase.BASELINE, config, self._rules.rungs))
            return True
        for _ in range(_MOST_REFUSED):
            proposed = self._proposer.propose(trial_id)
            if proposed is None:
                break
            if not self._seen or fits_ever(self._need_of(proposed), [*self._seen.values()]):
                self._join(Assignment(trial_id, Phase.SEARCH, proposed, self._rules.rungs))
                return True
            self.refused += 1
            self._proposer.tell(trial_id, refused(self._rules.objectives))
        self._exhausted = True
        self._stop("the space has no further Config" + (" that fits on a node" if self.refused else ""))
        return False

    def _join(self, assignment: Assignment) -> None:
        self._line.join(assignment, self._need_of(assignment.config))

    def _unused_id(self) -> str:
        """The lowest free number: a driver that was killed may have stored trial 0004 before 0003, or before 0000."""
        used = {*self._followed, *(a.trial_id for a in self._line.assignments)}
        return next(name for name in (f"{number:04d}" for number in count()) if name not in used)

    def _searched(self) -> int:
        waiting = sum(a.phase.explores for a in self._line.assignments)
        return waiting + sum(f.assignment.phase.explores for f in self._followed.values())

    # ── confirming ────────────────────────────────────────────────────────────────────────────

    def _plan_confirmation(self) -> None:
        if self.running():
            return
        for assignment in self._confirmations():
            if assignment.trial_id not in self._followed:
                self._join(assignment)
                return

    def _confirmations(self) -> list[Assignment]:
        best, default = self.best(), "0000"
        if best is None or best == default or self._followed[default].state is not TrialState.COMPLETED:
            return []
        rounds = self._rules.confirm + self._spoiled_rounds()
        return confirmations(self._followed[best].assignment, self._followed[default].assignment, rounds)

    def _spoiled_rounds(self) -> int:
        """Rounds that say nothing about a Config, for the client's or a node's sake: run again, within bounds."""
        spoiled = {confirmation_round(f.assignment.trial_id) for f in self._followed.values() if f.is_spoiled}
        return min(len(spoiled), self._rules.confirm)

    def _confirmation_cost(self) -> Spent:
        """What the confirmation rounds are expected to take, from the longest trials so far."""
        completed = [f for f in self._followed.values() if f.state is TrialState.COMPLETED]
        trials = 2 * self._rules.confirm
        return Spent(
            wall_s=trials * max((f.seconds for f in completed), default=0.0),
            gpu_s=trials * max((f.gpu_seconds for f in completed), default=0.0),
        )

    # ── the past ──────────────────────────────────────────────────────────────────────────────

    def _recall(self, trial: KnownTrial) -> None:
        rungs = 1 if trial.phase is Phase.CONFIRM else self._rules.rungs
        assignment = Assignment(trial.trial_id, trial.phase, trial.config, rungs)
        ended = trial.state.is_terminal
        if trial.phase is Phase.NODE_CHECK:
            return
        if ended:
            self._followed[trial.trial_id] = Followed(
                assignment, list(trial.scores), trial.state, trial.seconds, trial.seconds * trial.gpus, trial.failure
            )
        else:
            self._begun[trial.trial_id] = Followed(assignment)
            self._join(assignment)
        if trial.phase is Phase.SEARCH:
            told = outcome(trial.state, trial.failure, trial.scores, self._rules.objectives) if ended else None
            self._proposer.replay(trial.trial_id, trial.config, told)

    def _running_in(self, *phases: Phase) -> bool:
        return any(a.phase in phases for a in self.running())

    def _stop(self, reason: str) -> None:
        self.stop_reason = self.stop_reason or reason
