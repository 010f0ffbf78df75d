"""What reserved time was used for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autotuner.results.records import Hold, Phase, TrialRecord, TrialState, Usage
from autotuner.results.uses import Use, seconds_by_use, spent_by_use

DONE = TrialRecord("0001", Phase.SEARCH, {}, 0.0, TrialState.COMPLETED, gpus=4, cpus=2, usage=Usage(100, 60, 30, 5))


def used(trial: TrialRecord) -> dict[str, float]:
    return {use.value: seconds for use, seconds in seconds_by_use(trial).items() if seconds}


def test_each_second_has_one_use() -> None:
    assert used(DONE) == {"starting": 60, "warming_up": 5, "measuring": 25, "idle": 10}


def test_all_of_a_failed_trial_and_all_of_a_fresh_run_are_one_use() -> None:
    assert used(replace(DONE, state=TrialState.FAILED)) == {"failed": 100}
    assert used(replace(DONE, phase=Phase.CONFIRM)) == {"confirming": 100}
    assert used(replace(DONE, phase=Phase.CONFIRM, state=TrialState.FAILED)) == {"failed": 100}
    assert used(replace(DONE, phase=Phase.REFERENCE)) == {"reference": 100}


@pytest.mark.parametrize("usage", [Usage(50, 60, 30, 5), Usage(70, 60, 30, 5), Usage(0, 1, 1, 1), Usage(9, 0, 2, 3)])
def test_what_was_told_never_adds_up_to_more_than_was_reserved(usage: Usage) -> None:
    found = seconds_by_use(replace(DONE, usage=usage))
    assert sum(found.values()) == usage.reserved_s
    assert min(found.values()) >= 0


def test_seconds_count_once_for_each_gpu_or_core_that_was_reserved() -> None:
    served = replace(DONE, hold=Hold(0, 3))  # a server that was there before: its GPUs are not the trial's
    assert spent_by_use([DONE, DONE], "gpus") == {
        Use.STARTING: 480,
        Use.WARMING_UP: 40,
        Use.MEASURING: 200,
        Use.REFERENCE: 0,
        Use.CONFIRMING: 0,
        Use.FAILED: 0,
        Use.IDLE: 80,
    }
    assert spent_by_use([served], "gpus")[Use.STARTING] == 0
    assert spent_by_use([served], "cpus")[Use.STARTING] == 180
