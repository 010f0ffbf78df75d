"""What ``autotuner status`` says in words."""

from __future__ import annotations

import io
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from autotuner.metrics import LoadKind, LoadLevel
from autotuner.report.facts.standing import standing_text, standing_view
from autotuner.report.facts.waiting import holder_text, wait_text
from autotuner.results.account import Account, LifeSpent
from autotuner.results.driver import Driver, DriverState
from autotuner.results.progress import Doing, RunningTrial, StudyProgress
from autotuner.results.records import Phase, QuarantineRecord, TrialState
from autotuner.results.standing import Standing
from autotuner.results.waits import Holder, Wait
from autotuner.scoring import Score
from autotuner.scoring.select import Choice
from autotuner.servers.supervision.tags import Owner

NOW = 1_700_000_000.0
HERE = Driver(DriverState.ALIVE, Owner(socket.gethostname(), 4711, 1), NOW - 60)
LEVEL = LoadLevel(LoadKind.CONCURRENCY, 32)


def running(trial_id: str, score: Score | None = None, **changes: Any) -> RunningTrial:
    values: dict[str, Any] = {
        "trial_id": trial_id,
        "phase": Phase.SEARCH,
        "config": {"tp": 4, "max-num-seqs": 128},
        "doing": Doing.MEASURING,
        "node": "node-a/1234",
        "gpus": 4,
        "accelerator": "H100-80GB",
        "rungs_ended": 1,
        "score": score,
        "running_s": 200.0,
        "last_activity_at": NOW - 12,
    }
    return RunningTrial(**values | changes)


def progress(**changes: Any) -> StudyProgress:
    values: dict[str, Any] = {
        "name": "llama",
        "study_id": "s1",
        "path": Path("/data/a study"),
        "at": NOW,
        "standing": Standing.RUNNING,
        "driver": HERE,
        "phase": Phase.SEARCH,
        "objective": "goodput_per_gpu",
        "rungs": 3,
        "trials_planned": 40,
        "trials": dict.fromkeys(TrialState, 0),
        "not_counted": 0,
        "confirmations": (0, 6),
        "running": (),
        "failures": {},
        "best": None,
        "best_config": None,
        "best_scope": "",
        "account": Account((LifeSpent(1, NOW - 60, 60.0, 0.0, 90.0),), 0.0, 90.0),
        "wall_clock_limit_s": None,
        "gpu_limit_s": None,
        "left_s": None,
        "last_activity_at": NOW - 12,
        "quarantines": (),
        "stop_reason": "",
    }
    return StudyProgress(**values | changes)


TRAINING = Holder(
    "node-a/1234",
    gpus=8,
    cpus=4,
    job_id="03000000",
    submission_id="raysubmit_x",
    entrypoint="python train.py",
    placement_groups=("training",),
)


def shown(told: StudyProgress) -> str:
    stream = io.StringIO()
    Console(file=stream, width=160).print(standing_view(told))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("standing", "driver", "text"),
    [
        (Standing.RUNNING, HERE, "running; driver process 4711"),
        (Standing.STARTING, HERE, "starting: nothing is stored yet; driver process 4711"),
        (Standing.NOT_BEGUN, Driver(DriverState.DEAD), "not begun: nothing is stored yet, and no driver runs"),
        (
            Standing.UNKNOWN,
            Driver(DriverState.UNKNOWN, Owner("far", 5, 1), NOW),
            "not ended; driver process 5 on another host, far: unknown from here whether it lives, "
            "last activity 12 s ago",
        ),
        (
            Standing.DRIVER_DEAD,
            Driver(DriverState.DEAD, HERE.owner, NOW),
            "driver process 4711 is dead, last activity 12 s ago; go on with: autotuner resume '/data/a study'",
        ),
        (Standing.INTERRUPTED, HERE, "interrupted; go on with: autotuner resume '/data/a study'"),
    ],
)
def test_each_standing_says_what_it_means(standing: Standing, driver: Driver, text: str) -> None:
    assert standing_text(progress(standing=standing, driver=driver)) == text


def test_what_runs_is_a_table_and_what_is_known_a_list() -> None:
    trials = {TrialState.RUNNING: 2, TrialState.COMPLETED: 5, TrialState.STOPPED: 3, TrialState.FAILED: 1}
    score = Score(12.5, True, False, LEVEL, 12.5, {})
    text = shown(
        progress(
            trials=trials,
            failures={"CRASH": 2, "HANG": 1},
            running=(running("0009", score), running("0010", gpus=0, accelerator="", node="", rungs_ended=0)),
            best=Choice("0004", LEVEL, 3.0, 3.0, True, True),
            best_config={"tp": 2},
            best_scope="concurrency 32",
            account=Account((LifeSpent(1, NOW - 3600, 3600.0, 7200.0, 90.0),), 7200.0, 90.0),
            gpu_limit_s=36000.0,
            wall_clock_limit_s=7200.0,
            left_s=1800.0,
            quarantines=(QuarantineRecord("node-b", "two Configs failed on it", NOW),),
        )
    )
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "trials 9 of 40 ended (2 running, 5 completed, 3 stopped, 1 failed)" in lines
    assert "failures 2 CRASH, 1 HANG" in lines
    assert "best so far trial 0004: goodput_per_gpu score 3 (concurrency 32), meets the SLOs" in lines
    assert "spent wall clock 1 h 00 min of 2 h 00 min, GPU time 2 h 00 min of 10 h 00 min" in lines
    assert "left about 30 min 00 s at the pace so far" in lines
    assert "quarantined node node-b: two Configs failed on it" in lines
    assert (
        "0009 search measuring 1 of 3 12.5 (SLOs not met) 3 min 20 s 12 s ago node-a/1234 4 × H100-80GB "
        "tp 4, max-num-seqs 128" in lines
    )
    assert "0010 search measuring 0 of 3 – 3 min 20 s 12 s ago – 0 tp 4, max-num-seqs 128" in lines


def test_trials_that_use_up_no_trial_are_told_apart() -> None:
    text = " ".join(shown(progress(trials={TrialState.COMPLETED: 5, TrialState.FAILED: 3}, not_counted=2)).split())
    assert (
        "trials 6 of 40 ended (5 completed, 3 failed); 2 of the failed are not counted: the load driver was too slow"
        in text
    )


def test_a_trial_that_waits_for_a_place_holds_nothing() -> None:
    text = " ".join(shown(progress(running=(running("0009", doing=Doing.WAITING, running_s=0.0),))).split())
    assert "0009 search waiting 1 of 3 – – 12 s ago" in text


def test_each_life_is_told_beside_what_all_took() -> None:
    lives = (LifeSpent(1, NOW - 900, 600.0, 1200.0, 90.0), LifeSpent(2, NOW - 60, 60.0, 180.0, 9.0))
    text = shown(progress(account=Account(lives, 1380.0, 99.0), gpu_limit_s=3600.0, wall_clock_limit_s=900.0))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert (
        "spent wall clock 1 min 00 s of 15 min 00 s (this life; all 2 lives 11 min 00 s), "
        "GPU time 23 min 00 s of 1 h 00 min (all lives)" in lines
    )
    assert (
        "life 1: wall clock 10 min 00 s, GPU time 20 min 00 s; life 2: wall clock 1 min 00 s, GPU time 3 min 00 s"
        in lines
    )


def test_what_came_from_elsewhere_is_text_and_no_markup() -> None:
    trial = running("0001", config={"note": "[bold]x[/bold] [/nothing]"})
    assert "note [bold]x[/bold] [/nothing]" in " ".join(shown(progress(running=(trial,))).split())


def test_a_crowd_is_cut_and_counted() -> None:
    text = shown(progress(running=tuple(running(f"{n:04}") for n in range(100))))
    assert "and 60 more" in text


def test_what_a_study_waits_for_stands_with_who_holds_it_before_any_trial_has_begun() -> None:
    text = " ".join(shown(progress(phase=None, waits=(Wait("", "4 GPU of H100-80GB", NOW - 90, (TRAINING,)),))).split())
    assert "waits the next trial waits for 4 GPU of H100-80GB, which others hold: " in text
    assert "Ray job 03000000 (raysubmit_x): python train.py holds 8 GPU and 4 CPU on node-a/1234" in text
    assert "in placement group training; for 1 min 30 s by now" in text


@pytest.mark.parametrize(
    ("holder", "told"),
    [
        (
            Holder("a", cpus=2, study="quick", trial_id="0003", folder="/data/quick", pid=4711),
            "trial 0003 of study quick (/data/quick), process 4711, holds 2 CPU on a",
        ),
        (
            Holder("a", gpus=1, study="llama", job_id="02000000", submission_id="s", actors=("llama-0001…",)),
            "study llama, Ray job 02000000 (s) holds 1 GPU on a",
        ),
        (
            Holder("a", gpus=0.5, job_id="02000000", actors=("T", "U")),
            "Ray job 02000000 holds 0.5 GPU on a by actor T, U",
        ),
        (Holder("a", gpus=3), "somebody whom nothing names holds 3 GPU on a"),
    ],
)
def test_who_holds_something_in_words(holder: Holder, told: str) -> None:
    assert holder_text(holder) == told


def test_of_many_holders_a_few_are_told() -> None:
    told = wait_text(Wait("0004", "2 CPU", NOW, tuple(Holder(f"n{i}", cpus=1) for i in range(9))))
    assert told.startswith("trial 0004 waits for 2 CPU, which others hold: ")
    assert told.endswith("on n3; and 5 more")


def test_what_is_waited_for_survives_json() -> None:
    wait = Wait("", "4 GPU", NOW, (TRAINING, Holder("b", cpus=1.5, pid=3)))
    assert Wait.from_dict(json.loads(json.dumps(wait.as_dict()))) == wait
    assert progress(waits=(wait,)).as_dict()["waiting"] == [wait.as_dict()]
