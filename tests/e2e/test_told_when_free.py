"""A trial is told done when nothing of it holds its place any more, however its end was decided."""

from __future__ import annotations

import re
from pathlib import Path

import psutil
import pytest

from autotuner.results import OutputFolder
from autotuner.servers.supervision.tags import STUDY, TRIAL
from tests.e2e.studies import Workplace, assert_nothing_left, living, mock_engine, paced_study, wait_until

_ENDS_WITHIN_S = 600.0
_TOLD = re.compile(r"trial (\d{4}) (stopped|completed)")


@pytest.mark.fault
@pytest.mark.parametrize("scheduler", ["asha", "hyperband"])
def test_servers_that_linger_are_gone_when_their_trial_is_told_done(workplace: Workplace, scheduler: str) -> None:
    study = paced_study(
        workplace,
        engine=mock_engine("lingers"),
        space={"parameters": {"env.TTFT_MS": ["400", "1000", "1050", "1100"]}},
        workload={"load": {"concurrency": [8]}, "requests": {"min": 8}},
        search={"trials": 5, "confirm": 0, "max_concurrent_trials": 1},
        fidelity={"trial_scheduler": scheduler},
    )
    out = workplace.folder / "out"
    process = workplace.start("run", study, "--out", out)
    told: dict[str, str] = {}

    def has_told() -> bool:
        ended = process.poll() is not None
        for trial_id, how in _TOLD.findall(workplace.errors(process)):
            if trial_id not in told:
                told[trial_id] = how
                assert not servers_of(out, trial_id), f"trial {trial_id} is told {how}"
        return ended

    wait_until(has_told, "the study to end", _ENDS_WITHIN_S)
    assert "stopped" in told.values()
    assert_nothing_left(workplace, out)


def servers_of(out: Path, trial_id: str) -> set[psutil.Process]:
    return {*living(STUDY, OutputFolder(out).study_id or "")} & {*living(TRIAL, trial_id)}
