"""A study outlives what happens to a trial: its actor, its supervisor or its server killed, the run goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from autotuner.results import OutputFolder
from tests.e2e.studies import Workplace, rows, wait_for_row
from tests.e2e.survival import ENGINE_WITH_FAMILY, Family, family, measured, wait_for_end_of_launch

# The second rung takes several times as long as it takes to find whom to kill.
WORKLOAD = {"scenario": "D(32,32)", "requests": {"per_slot": 48, "min": 480}}
SPOILED = "SELECT * FROM trials WHERE failure = 'CLIENT_SATURATED'"
A_RUNG = "SELECT * FROM rungs WHERE trial_id = ? AND rung = 0"


class _EndedBeforeError(Exception):
    """A trial ended before anything of it could be killed."""


@pytest.mark.fault
def test_a_run_goes_on_after_a_trial_lost_its_actor_its_supervisor_or_its_server(
    workplace: Workplace, tmp_path: Path, nothing_left_behind: Callable[..., None]
) -> None:
    study = workplace.study_file(tmp_path, workload=WORKLOAD, engine=ENGINE_WITH_FAMILY)
    for life in range(4):  # once more where others on the machine kept a load driver waiting for all of a trial
        out = tmp_path / f"out-{life}"
        lose_each_in_turn(workplace, study, out)
        nothing_left_behind(out)
        if not rows(out, SPOILED):
            break
    assert_nothing_lost(out)


def lose_each_in_turn(workplace: Workplace, study: Path, out: Path) -> None:
    """A whole study, of which each trial loses something in its second rung."""
    process = workplace.start("run", study, "--out", out)

    def kill_in_second_rung(trial_id: str, victim: Callable[[Family], psutil.Process]) -> None:
        launch_id = wait_for_row(out, A_RUNG, trial_id, process=process)["launch_id"]
        study_id = OutputFolder(out).study_id
        assert study_id is not None
        before = measured(out)
        workplace.look()
        try:
            found = family(study_id, launch_id)
        except KeyError:
            raise _EndedBeforeError from None
        victim(found).kill()
        wait_for_end_of_launch(study_id, launch_id)
        assert process.poll() is None
        assert before.is_kept_in(measured(out))

    try:
        kill_in_second_rung("0000", lambda found: found.actor)
        kill_in_second_rung("0001", lambda found: found.supervisor)
        kill_in_second_rung("0002", lambda found: found.server)
    except _EndedBeforeError:
        workplace.finish(process)
        assert rows(out, SPOILED), "a trial ended by itself, and not for its client's sake"
        return
    code, _ = workplace.finish(process)

    assert "Traceback" not in workplace.errors(process)
    assert code == 0


def assert_nothing_lost(out: Path) -> None:
    trials = {row["trial_id"]: row for row in rows(out, "SELECT * FROM trials")}
    assert {trial: (row["state"], row["failure"]) for trial, row in trials.items()} == {
        "0000": ("completed", None),
        "0001": ("completed", None),
        "0002": ("failed", "CRASH"),
        "0001-c1": ("completed", None),
        "0000-c1": ("completed", None),
    }
    # The end of an actor or a supervisor says nothing about a Config: its cut rung, and no other, was measured anew.
    launches = rows(out, "SELECT launch_id FROM rungs WHERE trial_id IN ('0000', '0001') ORDER BY trial_id, rung")
    assert [row["launch_id"] for row in launches] == ["0000-l1", "0000-l2", "0001-l1", "0001-l2"]
    # What the server measured before it crashed stays.
    (kept,) = rows(out, "SELECT * FROM measurements WHERE trial_id = '0002' AND rung = 0")
    assert kept["requests"] > 0
    counts = json.loads(OutputFolder(out).summary_json.read_text(encoding="utf-8"))["trials"]
    assert (counts["total"], counts["completed"], counts["failed"]) == (3, 2, 1)
