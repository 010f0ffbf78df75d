"""Where a search for the largest load begins."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from autotuner.metrics import LoadKind, LoadLevel
from autotuner.results.records import Phase
from autotuner.scoring import Score
from autotuner.space.config import Config
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.begin_at import begin_at


def slots(load: float) -> LoadLevel:
    return LoadLevel(LoadKind.CONCURRENCY, load)


def score(level: LoadLevel | None) -> Score:
    return Score(0.0, level is not None, level is not None, level, None, {"max_load": 0.0})


@dataclass(frozen=True)
class Known:
    scores: dict[str, Score]
    best_id: str | None = None

    def best(self) -> str | None:
        return self.best_id

    def score_of(self, trial_id: str) -> Score | None:
        return self.scores.get(trial_id)


SCORES = {"0000": score(slots(4)), "0003": score(slots(32)), "0005": score(None)}


@pytest.mark.parametrize(
    ("trial_id", "phase", "best", "expected"),
    [
        ("0000", Phase.BASELINE, None, None),
        ("0007", Phase.SEARCH, "0003", slots(32)),
        ("0007", Phase.SEARCH, "0005", None),
        ("0003-c1", Phase.CONFIRM, "0003", slots(32)),
        ("0000-c1", Phase.CONFIRM, "0003", slots(4)),
        ("0009-c1", Phase.CONFIRM, "0003", None),
        ("0000-r2-3", Phase.REFERENCE, "0003", slots(4)),
    ],
)
def test_what_is_measured_afresh_begins_at_its_own_load_and_any_other_trial_at_the_incumbents(
    trial_id: str, phase: Phase, best: str | None, expected: LoadLevel | None
) -> None:
    assert begin_at(Assignment(trial_id, phase, Config({}), 1), Known(SCORES, best)) == expected
