"""Why a study ends, or its search. What cut it short is told before what did not. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from autotuner.errors import Failure
from autotuner.tuning.decisions.followed_trial import Followed

_DONE = "all trials done"
_NO_PLACE = "no node is left that holds a trial"
_MOST_SATURATED = 5  # trials in a row


@dataclass
class Ending:
    """``limit``: the key of the budget that cut something which was yet to be done. ``exhausted``: why the search had
    nothing more to propose, or nothing that is worth a trial."""

    has_no_place: bool = False
    limit: str = ""
    exhausted: str = ""
    _saturated: int = 0  # trials in a row that the load driver was too slow for
    _was_cut_by_client: bool = False

    @property
    def reason(self) -> str:
        if self.has_no_place:
            return _NO_PLACE
        if self.limit:
            return f"budget: {self.limit}"
        if self._was_cut_by_client:
            return (
                f"the load driver was too slow in {self._saturated} trials in a row: give it more cores "
                "(hardware.client_cpus), or its host less to do"
            )
        return self.exhausted or _DONE

    def note(self, trial: Followed) -> None:
        """A trial has ended."""
        if trial.assignment.phase.explores:
            self._saturated = self._saturated + 1 if trial.failure is Failure.CLIENT_SATURATED else 0

    def is_cut_by_client(self) -> bool:
        """Whether more trials would tell no more than the last ones; asked only where there are more."""
        self._was_cut_by_client = self._saturated >= _MOST_SATURATED
        return self._was_cut_by_client
