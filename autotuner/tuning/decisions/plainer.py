"""Plainer: which settings of the best are put back to the default before it is confirmed. Pure, as PutBack is.

A Config from which the searcher expects no loss is measured as any trial is, once the search has ended. What becomes
of it is the finals' to say: they rest on fresh runs alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

from autotuner.results.records import Phase
from autotuner.scoring import Grade
from autotuner.space.config import Config
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.confirmation import default_to_confirm
from autotuner.tuning.decisions.followed_trial import Followed
from autotuner.tuning.decisions.incumbent import Fair, as_measured, incumbent
from autotuner.tuning.decisions.put_back import PutBack
from autotuner.tuning.decisions.rules import Rules
from autotuner.tuning.proposers import Comparing, GainBelief, Proposer

# A trial each, of a study that spends most of its time on some dozens: one, and one more that knows what came of it.
_MOST = 2
_MOST_TOGETHER = 8  # settings of which every combination is looked at
_NOT_FELT = 0.005  # a loss that no user would feel, as in the finals
_SURELY = 0.01  # of a probability, less is no difference


class Plainer:
    """By what is known of the study's ``trials`` when it is asked, so that a study which died goes on where it was."""

    def __init__(
        self,
        trials: Mapping[str, Followed],
        rules: Rules,
        proposer: Proposer,
        put_back: PutBack | None,
        fair: Fair = as_measured,
    ) -> None:
        self._trials = trials
        self._rules = rules
        self._proposer = proposer
        self._put_back = put_back
        self._fair = fair
        self._asked: tuple[int, Config | None] | None = None  # with how many trials, and what was said

    @property
    def has_begun(self) -> bool:
        """Whether settings were put back: the search has ended then."""
        return any(f.assignment.phase is Phase.PUT_BACK for f in self._trials.values())

    def told(self, phase: Phase, config: Config) -> Config:
        """What the searcher is told that the Config of a trial of this phase is."""
        return config if self._put_back is None else self._put_back.told(phase, config)

    def next(self, trial_id: str) -> Assignment | None:
        """The trial of that id, told to the searcher, when the search has ended and nothing runs; ``None``: none."""
        config = self._wanted()
        if config is None:
            return None
        self._proposer.replay(trial_id, self.told(Phase.PUT_BACK, config), None)
        return Assignment(trial_id, Phase.PUT_BACK, config, self._rules.rungs)

    def _wanted(self) -> Config | None:
        """None where it would be no finalist: where there is one alone, no round, or where rounds have begun."""
        if self._put_back is None or not isinstance(self._proposer, Comparing):
            return None
        if not self._rules.put_back or not self._rules.confirm or (self._rules.finalists or 0) < 2:
            return None
        phases = [f.assignment.phase for f in self._trials.values()]
        if phases.count(Phase.PUT_BACK) >= _MOST or Phase.CONFIRM in phases:
            return None
        if self._asked is None or self._asked[0] != len(self._trials):
            self._asked = len(self._trials), self._find(self._put_back, self._proposer)
        return self._asked[1]

    def _find(self, put_back: PutBack, searcher: Comparing) -> Config | None:
        """The one with the fewest changes of which no loss is expected; ``None`` where that was measured already."""
        choice, default = incumbent(self._trials, self._rules, self._fair), default_to_confirm(self._trials.values())
        if choice is None or choice.merit.grade is not Grade.MEETING or default is None:
            return None
        best = self._trials[choice.trial_id].assignment
        if best.trial_id == default.assignment.trial_id:
            return None
        looked_at = self._combinations(put_back, best, default.assignment.config, searcher)
        harmless = [one for one, gain in _with_gains(searcher, put_back, best, looked_at) if _loses_nothing(gain)]
        changes = {config: len(put_back.changed(config, default.assignment.config)) for config in harmless}
        found = min(harmless, key=lambda config: changes[config], default=None)
        known = {put_back.said(f.assignment.config) for f in self._trials.values()}
        return None if found is None or put_back.said(found) in known else found

    def _combinations(self, put_back: PutBack, best: Assignment, against: Config, searcher: Comparing) -> list[Config]:
        """The best with one or more of its settings put back, of those that do nothing by themselves, or can't be put
        back by themselves; those that are expected to lose least are looked at first."""
        names = put_back.changed(best.config, against)
        alone = {name: put_back.without(best.config, against, (name,)) for name in names}
        possible = {config: name for name, config in alone.items() if config is not None and config != best.config}
        gains = _with_gains(searcher, put_back, best, [*possible])
        order = {possible[config]: gain.gain or 0.0 for config, gain in gains if _loses_nothing(gain)}
        order |= {name: 0.0 for name, config in alone.items() if config is None}
        together = sorted(order, key=lambda name: (order[name], name))[:_MOST_TOGETHER]
        found = (put_back.without(best.config, against, some) for some in _subsets(together))
        return list(dict.fromkeys(config for config in found if config is not None and config != best.config))


def _with_gains(
    searcher: Comparing, put_back: PutBack, best: Assignment, configs: Sequence[Config]
) -> list[tuple[Config, GainBelief]]:
    """Each with what the best is believed to gain over it; empty where nothing is believed."""
    told = put_back.told(best.phase, best.config)
    gains = searcher.expected_gains(told, [put_back.said(config) for config in configs]) if configs else None
    return [] if gains is None else list(zip(configs, gains, strict=True))


def _loses_nothing(belief: GainBelief) -> bool:
    """Whether the best gains nothing over it that anyone would feel, nor is more likely to meet the SLOs."""
    if belief.gain is None:
        return False
    return belief.gain <= _NOT_FELT and belief.other_meets >= belief.meets - _SURELY


def _subsets(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The largest first."""
    sizes = range(len(names), 0, -1)
    return itertools.chain.from_iterable(itertools.combinations(names, size) for size in sizes)
