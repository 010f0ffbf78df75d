"""Foresight: whether a searcher expects so little of further trials that none is worth its GPU time. Pure."""

from __future__ import annotations

from autotuner.results.records import LITTLE_LEFT
from autotuner.space.config import Config
from autotuner.study.model import Stop
from autotuner.tuning.proposers import Amending, Foreseeing, Outcome, OutcomeKind, Proposer


class Foresight:
    """No more trials once less than ``improvement`` was expected after each of the last ``patience`` trials.

    Tells the searcher, counts that, and asks it once for each count. What it expected before its last trials
    is asked anew where it is not known, as after a resume: a study ends where it would have ended in one life.
    """

    def __init__(self, rule: Stop | None, proposer: Proposer) -> None:
        self._rule = rule
        self._proposer = proposer
        self._searcher = proposer if isinstance(proposer, Foreseeing) else None
        self._told = 0
        self._expected: dict[int, float | None] = {}

    def tell(self, trial_id: str, outcome: Outcome) -> None:
        """Tells the searcher, and counts it."""
        self._proposer.tell(trial_id, outcome)
        self._told += outcome.kind is not OutcomeKind.UNKNOWN

    def amend(self, trial_id: str, outcome: Outcome) -> None:
        """Tells a searcher that can forget what a trial that it was told of is known to have come to by now."""
        if isinstance(self._proposer, Amending):
            self._proposer.amend(trial_id, outcome)
            self._expected.clear()

    def replay(self, trial_id: str, config: Config, outcome: Outcome | None) -> None:
        """Tells it of a trial that it has not proposed in this life, and counts what has ended."""
        self._proposer.replay(trial_id, config, outcome)
        self._told += outcome is not None and outcome.kind is not OutcomeKind.UNKNOWN

    def why_enough(self) -> str:
        """With the numbers, or ``""`` while the search goes on."""
        rule, searcher = self._rule, self._searcher
        if rule is None or searcher is None or self._told < rule.patience:
            return ""
        expected: list[str] = []
        for before in range(rule.patience):
            told = self._told - before
            if told not in self._expected:
                self._expected[told] = searcher.expected_gain(before)
            gain = self._expected[told]
            if gain is None or gain >= rule.improvement:
                return ""
            expected.insert(0, f"{gain:.1%}")
        after = f"each of the last {rule.patience} trials" if rule.patience > 1 else "the last trial"
        return (
            f"{LITTLE_LEFT}: after {after} an improvement of {', '.join(expected)} was expected of the most "
            f"promising Config, less than {rule.improvement:.1%} (search.stop)"
        )
