"""Conductor: which trial comes next, and when a study is over. Pure: events in, decisions out.

    node checks ──▶ baselines ──▶ search: proposals ──▶ confirm: best and default in turn ──▶ finished
                                  └▶ now and then the default again

What is proposed waits in a line until the cluster has a place for it. Like nodes are compared before they get a trial.
The baselines are started first and never stopped; the search goes on beside them. Confirmation begins when every
searched trial has ended, one trial at a time. Both budgets keep room for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import count, islice

from autotuner.errors import Failure
from autotuner.results.records import Phase, TrialState
from autotuner.scoring import Score
from autotuner.space.config import Config
from autotuner.tuning.decisions.assignment import Assignment, RungReport
from autotuner.tuning.decisions.budget import Budget, Spent
from autotuner.tuning.decisions.confirmation import Confirmation
from autotuner.tuning.decisions.ending import Ending
from autotuner.tuning.decisions.followed_trial import Followed, KnownTrial
from autotuner.tuning.decisions.foresight import Foresight
from autotuner.tuning.decisions.incumbent import ranks_by_violation
from autotuner.tuning.decisions.known_nodes import KnownNodes, Places
from autotuner.tuning.decisions.node_health import NodeHealth, Quarantine
from autotuner.tuning.decisions.pause import Pause
from autotuner.tuning.decisions.placement_policy import Need, Node, Share
from autotuner.tuning.decisions.plainer import Plainer
from autotuner.tuning.decisions.probing import Probing
from autotuner.tuning.decisions.proposals import Proposals
from autotuner.tuning.decisions.put_back import PutBack
from autotuner.tuning.decisions.references import References
from autotuner.tuning.decisions.repeats import Repeats
from autotuner.tuning.decisions.rules import Rules
from autotuner.tuning.decisions.twin_checks import TwinChecks
from autotuner.tuning.decisions.waiting_line import LOOK_AHEAD, WaitingLine, has_room, held_up
from autotuner.tuning.proposers import Proposer

_DEFAULT = "0000"
_SEARCHING = (Phase.SEARCH, Phase.REFERENCE, Phase.PUT_BACK)
_PATIENCE_S = 120.0  # for a node that could hold one of the trials that are left


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
        *,
        nodes: Sequence[Node] = (),
        quarantined: Iterable[Quarantine] = (),
        put_back: PutBack | None = None,
    ) -> None:
        """``need_of``: what a trial of a Config reserves. ``nodes``: at the beginning. ``put_back``: if anything is."""
        self._rules = rules
        self._proposer = proposer
        self._budget = budget
        self._need_of = need_of
        self._followed: dict[str, Followed] = {}
        self.references = References(self._followed, rules)
        self.confirmation = Confirmation(self._followed, rules, self.references.fair)
        self._probing = Probing(self._followed, rules, self.references.fair)
        self._plainer = Plainer(self._followed, rules, proposer, put_back, self.references.fair)
        self._line = WaitingLine()
        self._begun: dict[str, Followed] = {}  # trials in the line that have run before
        self._repeats: dict[str, Repeats] = defaultdict(Repeats)
        known = tuple(known)
        per_node, used = rules.trials_per_checked_node, (trial.trial_id for trial in known)
        twins = TwinChecks(rules.baselines, need_of, rules.objectives[0], trials_per_node=per_node, used=used)
        self._nodes = KnownNodes(NodeHealth(quarantined), twins, nodes)
        self._proposals = Proposals(proposer, need_of, self._nodes, rules.objectives)
        self._without_place_since: float | None = None
        self._ending = Ending()
        self._foresight = Foresight(rules.stop, proposer)
        for trial in sorted(known, key=lambda trial: [*Phase].index(trial.phase)):  # scores are read by references
            self._recall(trial)

    # ── decisions ─────────────────────────────────────────────────────────────────────────────

    def next(self, spent: Spent, nodes: Sequence[Node] | None = None) -> Assignment | Pause:
        """The next trial to start, given what has been spent and what is free; it counts at once.

        ``nodes`` are the live ones; ``None``: Ray places trials itself, in their order.
        """
        if limit := self._budget.what_is_spent(spent):
            if self.running():
                return Pause.WAIT
            if self._has_more_to_do():
                self._ending.limit = limit
            return Pause.FINISHED
        check = None if nodes is None else self._start_check(nodes)
        if check is not None:
            return check
        places = None if nodes is None else self._nodes.places(nodes)
        started = self._start_or_propose(spent, places)
        if started is not None:
            return started
        if not self._running_in(Phase.BASELINE, Phase.SEARCH) and not len(self._line):
            if not self.running() and (last := self._put_back(spent) or self.confirmation.next()):
                self._join(last)
            started = self._start_one(places)
            if started is not None:
                return started
        if len(self._line) or self.running():
            return self._wait(spent, places)
        return Pause.FINISHED

    def held_up(self, spent: Spent, nodes: Sequence[Node], alone: Sequence[Node]) -> Need | None:
        """What waits on ``nodes``, and would not if they were ``alone``: without what others hold."""
        if self._is_full() or self._budget.what_is_spent(spent):
            return None
        needs = self._line.needs or [self._need_of(self._rules.baseline)] * self._is_searching(spent)
        return held_up(needs, self._nodes.places(nodes).nodes, self._nodes.places(alone).nodes)

    def must_stop(self, trial_id: str, spent: Spent) -> bool:
        """Whether a running trial must end at its next rung, for a budget's sake or as all that was to be seen."""
        trial = self._followed[trial_id]
        phase = trial.assignment.phase
        limit = self._budget.what_is_spent(spent)
        if phase in (Phase.SEARCH, Phase.PUT_BACK):
            limit = limit or self._search_limit(spent)
        if limit and len(trial.scores) < trial.assignment.rungs:
            self._ending.limit = limit
        return bool(limit) or phase is Phase.NODE_CHECK or self._probing.is_clearly_worse(trial)

    @property
    def stop_reason(self) -> str:
        """Why the study ends, once it does."""
        return self._ending.reason

    def seconds_of(self, trial_id: str) -> float:
        """For how long a trial has held its place, as far as it was told."""
        return self._followed[trial_id].seconds

    def running(self) -> list[Assignment]:
        return [f.assignment for f in self._followed.values() if not f.state.is_terminal]

    def newly_sick(self, nodes: Sequence[Node]) -> list[Quarantine]:
        """Nodes that get no further trial from now on; each is told once."""
        self._look(nodes)
        return self._nodes.newly_sick(nodes, list(map(self._need_of, self._rules.baselines)))

    @property
    def refused(self) -> Sequence[Config]:
        """What was proposed and fits on no node, in its order."""
        return self._proposals.refused

    @property
    def seen(self) -> Sequence[Node]:
        """Every node that was there at any time."""
        return self._nodes.seen

    # ── events ────────────────────────────────────────────────────────────────────────────────

    def rung_ended(self, report: RungReport) -> None:
        """Notes a rung's score; called for recalled rungs too."""
        trial = self._followed[report.trial_id]
        trial.note(report)
        if report.score is not None and report.rung == len(trial.scores):
            trial.scores.append(report.score)
            if report.failure is None:
                self._nodes.health.succeeded(trial.assignment.config, trial.assignment.nodes)

    def repeats(self, trial_id: str, failure: Failure | None) -> bool:
        """Whether a trial that failed, or whose process was lost (``None``), is started again; it then waits first."""
        assignment, repeats = self._followed[trial_id].assignment, self._repeats[trial_id]
        is_bound_here = assignment.phase is Phase.NODE_CHECK
        if is_bound_here or (failure is None and not repeats.may_follow_a_loss()):
            return False
        repeats.note(failure, assignment.nodes)
        if failure is not None:
            self._nodes.health.failed(assignment.config, assignment.nodes, failure)
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
        self._ending.note(trial)
        if trial.assignment.phase is Phase.NODE_CHECK:
            self._nodes.check_ended(trial)
        self.references.tell(trial, self._foresight)

    def score_of(self, trial_id: str) -> Score | None:
        followed = self._followed.get(trial_id) or self._begun.get(trial_id)
        return followed.scores[-1] if followed is not None and followed.scores else None

    def best(self) -> str | None:
        """The id of the best completed trial of baseline and search."""
        return self.confirmation.best()

    @property
    def ranks_by_violation(self) -> bool:
        """Whether trials have come to their end and none of them meets the SLOs."""
        return ranks_by_violation(self._followed, self._rules)

    # ── starting ──────────────────────────────────────────────────────────────────────────────

    def _look(self, nodes: Sequence[Node]) -> None:
        begun = sum(f.assignment.phase.explores for f in self._followed.values())
        self._nodes.look(nodes, self._rules.trials - begun)

    def _start_check(self, nodes: Sequence[Node]) -> Assignment | None:
        self._look(nodes)
        check = None if self._is_full() else self._nodes.start_check(nodes, self._rules.rungs)
        return None if check is None else self._start(check)

    def _is_full(self) -> bool:
        limit = self._rules.max_running
        return limit is not None and len(self.running()) >= limit

    def _start_one(self, places: Places | None) -> Assignment | None:
        if self._is_full():
            return None
        if places is None:
            first = self._line.start_first()
            return None if first is None else self._start(first[0])
        self._line.reconsider(lambda trial_id, need: self._repeats[trial_id].need(need, places.usable))
        found = self._line.start_one(places.nodes, places.usable)
        if found is None:
            return None
        assignment, need = found
        repeat_on = self._repeats[assignment.trial_id].repeat_on(need, assignment.nodes, places.usable)
        return self._start(replace(assignment, repeat_on=repeat_on))

    def _start(self, assignment: Assignment) -> Assignment:
        assignment = self.references.begin(self._probing.begin(assignment))
        followed = self._begun.pop(assignment.trial_id, None) or Followed(assignment)
        followed.assignment = assignment
        self._followed[assignment.trial_id] = followed
        self._without_place_since = None
        return assignment

    def _wait(self, spent: Spent, places: Places | None) -> Pause:
        """WAIT, until it has been clear for long enough that nothing will ever get a place.

        What was only proposed is then let go, where nodes are left for what comes after the search.
        """
        if places is None or self.running() or any(map(places.could_hold, self._line.needs)):
            self._without_place_since = None
            return Pause.WAIT
        if self._without_place_since is None:
            self._without_place_since = spent.wall_s
        if spent.wall_s - self._without_place_since < _PATIENCE_S:
            return Pause.WAIT
        self._ending.has_no_place = True
        if places.could_hold(self._need_of(self._rules.baseline)) and self._let_go(*_SEARCHING, Phase.BASELINE):
            return Pause.WAIT
        return Pause.NO_PLACE

    # ── searching ─────────────────────────────────────────────────────────────────────────────

    def _start_or_propose(self, spent: Spent, places: Places | None) -> Assignment | None:
        if self._fresh(*_SEARCHING) and self._must_not_search(spent):
            self._let_go(*_SEARCHING)
        self._join_reference(spent)
        if not self._proposer.learns:  # the more are known, the better they can be laid out
            while places is not None and self._is_searching(spent) and self._draw(places):
                pass
        while (started := self._start_one(places)) is None:
            if not (self._has_use_for_more(places) and self._is_searching(spent) and self._draw(places)):
                return None
        return started

    def _join_reference(self, spent: Spent) -> None:
        """Puts the default before all that waits, where it is to be measured again and there is a search beside it."""
        reference = self.references.due(self._line.assignments)
        if reference is None or not (self._fresh(Phase.SEARCH) or self._could_search()):
            return
        if not self._must_not_search(spent) and not self._foresight.why_enough():
            self._line.join(reference, self._need_of(reference.config), first=True)

    def _is_searching(self, spent: Spent) -> bool:
        return self._could_search() and not self._must_not_search(spent)

    def _could_search(self) -> bool:
        return not self._proposals.is_exhausted and self._searched() < self._rules.trials

    def _must_not_search(self, spent: Spent) -> bool:
        """Whether trials that were yet to come are not to be started; asked only where there are any."""
        if limit := self._search_limit(spent):
            self._ending.limit = limit
        return bool(limit) or self._ending.is_cut_by_client()

    def _search_limit(self, spent: Spent) -> str:
        """The key of the budget that has no room for more than confirmation, if one has not."""
        return self._budget.what_is_spent(spent, keep=self.confirmation.cost())

    def _let_go(self, *phases: Phase) -> bool:
        """Lets go of what was proposed and never started; returns whether there was any. Nothing more is proposed."""
        if fresh := self._fresh(*phases):
            self._line.leave(fresh)
            self._proposals.end()
        return bool(fresh)

    def _fresh(self, *phases: Phase) -> set[str]:
        """Waiting trials that have never run, but for the default itself, which no study can do without."""
        waiting = {a.trial_id for a in self._line.assignments if a.phase in phases}
        return waiting - set(self._begun) - {_DEFAULT}

    def _has_use_for_more(self, places: Places | None) -> bool:
        if self._is_full():
            return False
        if places is None:
            return not len(self._line)
        if not has_room(places.nodes, self._need_of(self._rules.baseline)):
            return not (len(self._line) or self.running())  # one waits for it, or the study would seem to be at its end
        waiting = islice(filter(places.could_hold, self._line.needs), LOOK_AHEAD)  # of a list there may be hundreds
        return sum(1 for _ in waiting) < LOOK_AHEAD

    def _draw(self, places: Places | None) -> bool:
        """Puts one more trial into the line; returns whether there was one."""
        trial_id = self._unused_id()
        if int(trial_id) < len(self._rules.baselines):
            baseline = self._rules.baselines[int(trial_id)]
            self._proposer.replay(trial_id, baseline, None)
            self._join(Assignment(trial_id, Phase.BASELINE, baseline, self._rules.rungs))
            return True
        if enough := self._foresight.why_enough():
            self._ending.exhausted = enough
            self._proposals.end()
            return False
        config = self._proposals.next(trial_id, places, self._line.needs)
        if config is not None:
            self._join(Assignment(trial_id, Phase.SEARCH, config, self._rules.rungs))
        elif self._proposals.is_exhausted:
            where = " that fits on a node" if self._proposals.refused else ""
            self._ending.exhausted = f"the space has no further Config{where}"
        return config is not None

    def _put_back(self, spent: Spent) -> Assignment | None:
        """The best with settings put back, where there is room for one more trial; it ends the search."""
        if self._searched() >= self._rules.trials or self._search_limit(spent) or self._ending.has_no_place:
            return None
        if found := self._plainer.next(self._unused_id()):
            self._proposals.end()
        return found

    def _join(self, assignment: Assignment) -> None:
        self._line.join(assignment, self._need_of(assignment.config))

    def _unused_id(self) -> str:
        """The lowest free number: a driver that was killed may have stored trial 0004 before 0003, or before 0000."""
        used = {*self._followed, *(a.trial_id for a in self._line.assignments)}
        return next(name for name in (f"{number:04d}" for number in count()) if name not in used)

    def _searched(self) -> int:
        waiting = sum(a.phase.explores for a in self._line.assignments)
        return waiting + sum(f.counts for f in self._followed.values())

    def _has_more_to_do(self) -> bool:
        """Whether the study would go on if it might."""
        is_cut = any(trial.is_cut for trial in self._followed.values())
        return is_cut or bool(len(self._line)) or self._could_search() or self.confirmation.next() is not None

    # ── the past ──────────────────────────────────────────────────────────────────────────────

    def _recall(self, trial: KnownTrial) -> None:
        if trial.phase is Phase.NODE_CHECK:
            return
        if trial.phase is Phase.PUT_BACK and not self._plainer.has_begun:
            self._ending.exhausted = self._foresight.why_enough()  # as it was known when the search ended
            self._proposals.end()
        assignment = trial.assignment(self._rules)
        ended = trial.state.is_terminal
        if ended:
            self._followed[trial.trial_id] = trial.followed(assignment)
            self._ending.note(self._followed[trial.trial_id])
            if trial.phase is Phase.REFERENCE:
                self.references.look()
        else:
            self._begun[trial.trial_id] = Followed(assignment)
            self._join(assignment)
        if trial.phase.explores:
            told = self.references.outcome(self._followed[trial.trial_id]) if ended else None
            self._foresight.replay(trial.trial_id, self._plainer.told(trial.phase, trial.config), told)

    def _running_in(self, *phases: Phase) -> bool:
        return any(a.phase in phases for a in self.running())
