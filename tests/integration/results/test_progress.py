"""Where a study stands, told from stores that the tests fill, by somebody who only reads."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from autotuner.errors import Failure, FolderError
from autotuner.report.facts.standing import standing_text
from autotuner.report.facts.verdict import verdict
from autotuner.report.html import render_report
from autotuner.results import (
    OutputFolder,
    Phase,
    RungRecord,
    Store,
    StudyStatus,
    TrialEnd,
    TrialRecord,
    TrialState,
    Usage,
    load_results,
    resolved_yaml,
)
from autotuner.results.driver import DriverState, find_driver
from autotuner.results.fetched import FetchedCopy, fetched_copy, note_fetched
from autotuner.results.find_progress import study_progress
from autotuner.results.held_folder import resume_folder
from autotuner.results.progress import Doing, StudyProgress
from autotuner.results.records import Hold
from autotuner.results.standing import Standing
from autotuner.scoring import Score
from autotuner.study.model import Study
from tests.integration.postgresql import postgresql
from tests.scores import LEVEL, made_score
from tests.tuning_parts import study as make_study

STUDY_ID = "s1"
BEGAN = 1_700_000_000.0
KEYS: dict[str, Any] = {
    "objective": "throughput",
    "search": {"trials": 6, "confirm": 2},
    "budget": {"gpu_hours": 1, "wall_clock_h": 0.5},
}


def score(value: float, *, slo_met: bool = True) -> Score:
    return made_score(value, "throughput", slo_met=slo_met)


class Diary:
    """A study's folder, and the store as its driver writes it. Times are seconds since the study began."""

    def __init__(self, path: Path, study: Study, url: str | None = None) -> None:
        self.folder = OutputFolder(path)
        self.folder.prepare(study, STUDY_ID)
        self.url = url
        self.store = Store(url or self.folder.database_url, self.folder.requests)
        self.study = study
        self.held = contextlib.ExitStack()

    def begin(self) -> Diary:
        self.store.open_study(resolved_yaml(self.study, STUDY_ID), STUDY_ID, self.study.name, now=BEGAN)
        return self

    def trial(self, trial_id: str, at_s: float, phase: Phase = Phase.SEARCH, *, gpus: int = 2) -> None:
        config = {"ubatch-size": 64, "n": int(trial_id[:4])}
        record = TrialRecord(trial_id, phase, config, BEGAN + at_s, gpus=gpus, cpus=4)
        self.store.add_trial(record)
        self.store.take_hold(trial_id, record.held, now=BEGAN + at_s)

    def launch(self, trial_id: str, number: int = 1, *, up: bool = True) -> None:
        self.store.update_launch(trial_id, f"{trial_id}-l{number}", "node-a", 3.0 if up else None, "1", "H100-80GB")

    def rung(self, trial_id: str, number: int, at_s: float, value: Score, reserved_s: float = 0.0) -> None:
        usage = Usage(reserved_s=reserved_s)
        self.store.add_rung(RungRecord(trial_id, number, f"{trial_id}-l1", value, (), BEGAN + at_s, usage))

    def end(
        self, trial_id: str, at_s: float, state: TrialState, reserved_s: float, failure: Failure | None = None
    ) -> None:
        usage = Usage(reserved_s=reserved_s)
        self.store.end_trial(TrialEnd(trial_id, state, BEGAN + at_s, usage, failure, "it broke" if failure else ""))
        self.store.let_go(trial_id, reserved_s, now=BEGAN + at_s)

    def driver(self, owner: str, at_s: float = 0.0) -> None:
        """The lock file as a driver leaves it that nobody holds any more."""
        self.folder.lock_file.write_text(owner, encoding="utf-8")
        os.utime(self.folder.lock_file, (BEGAN + at_s, BEGAN + at_s))

    def lives(self, at_s: float = 0.0) -> None:
        """A driver holds the folder since then."""
        self.held.enter_context(self.folder.lock())
        os.utime(self.folder.lock_file, (BEGAN + at_s, BEGAN + at_s))

    def progress(self, at_s: float) -> StudyProgress:
        return study_progress(self.folder.path, database=self.url, now=BEGAN + at_s)


@pytest.fixture
def diary(tmp_path: Path) -> Iterator[Diary]:
    written = Diary(tmp_path / "a study? #1", make_study(**KEYS))
    with written.held:
        yield written
    written.store.close()


ELSEWHERE = "another-host:4711:99"
DEAD = f"{socket.gethostname()}:1:0"  # process 1 runs, but began at another time


def busy(diary: Diary) -> None:
    """After 100 s: a baseline and two trials ended, two run; 5 GPUs of two trials."""
    diary.begin()
    diary.trial("0000", 0, Phase.BASELINE)
    diary.launch("0000")
    diary.rung("0000", 0, 20, score(100))
    diary.rung("0000", 1, 30, score(110))
    diary.end("0000", 30, TrialState.COMPLETED, reserved_s=30)
    diary.trial("0001", 30)
    diary.rung("0001", 0, 40, score(300, slo_met=False))
    diary.rung("0001", 1, 50, score(310, slo_met=False))
    diary.end("0001", 50, TrialState.COMPLETED, reserved_s=20)
    diary.trial("0002", 50)
    diary.end("0002", 60, TrialState.FAILED, 10, Failure.OUT_OF_MEMORY_AT_START)
    diary.trial("0003", 60, gpus=4)
    diary.launch("0003")
    diary.rung("0003", 0, 80, score(200), reserved_s=20)
    diary.trial("0004", 70, gpus=1)
    diary.launch("0004", up=False)


def test_a_running_study_is_told_as_it_is(diary: Diary) -> None:
    busy(diary)
    diary.lives()
    told = diary.progress(100)
    assert (told.standing, told.phase, told.stop_reason) == (Standing.RUNNING, Phase.SEARCH, "")
    assert told.trials == {
        TrialState.RUNNING: 2,
        TrialState.COMPLETED: 2,
        TrialState.STOPPED: 0,
        TrialState.FAILED: 1,
    }
    assert told.trials_planned == 6
    assert told.failures == {"OUT_OF_MEMORY_AT_START": 1}
    first, second = told.running
    assert (first.trial_id, first.doing, first.rungs_ended) == ("0003", Doing.MEASURING, 1)
    assert (first.node, first.gpus, first.accelerator) == ("node-a", 4, "H100-80GB")
    assert first.score is not None
    assert (first.score.score, first.running_s, first.last_activity_at) == (200, 40, BEGAN + 80)
    assert (second.doing, second.rungs_ended, second.score) == (Doing.STARTING, 0, None)


def test_the_best_meets_the_slos_before_all_else(diary: Diary) -> None:
    busy(diary)
    best = diary.progress(100).best
    assert best is not None
    assert (best.trial_id, best.score, best.slo_met, best.level) == ("0000", 110, True, LEVEL)


def test_what_is_spent_counts_running_trials_up_to_now(diary: Diary) -> None:
    busy(diary)
    diary.lives()
    told = diary.progress(100)
    ended = 2 * (30 + 20 + 10)
    running = 4 * (20 + 20) + 1 * 30  # 20 s stored and 20 s since; 30 s since its start
    assert told.account.gpu_s == ended + running
    assert told.account.cpu_s == 4 * (30 + 20 + 10 + 40 + 30)
    assert told.account.wall_clock_s == 100
    assert (told.gpu_limit_s, told.wall_clock_limit_s) == (3600, 1800)


def test_a_trial_that_is_started_again_is_counted_once(diary: Diary) -> None:
    busy(diary)
    diary.lives()
    before = diary.progress(100).account.gpu_s
    diary.store.let_go("0003", 40, now=BEGAN + 100)  # its process is lost: it waits
    told = diary.progress(150)
    assert told.account.gpu_s == before + 1 * 50  # trial 0004 goes on alone
    assert [(t.trial_id, t.doing) for t in told.running] == [("0003", Doing.WAITING), ("0004", Doing.STARTING)]
    diary.store.take_hold("0003", Hold(4, 4), now=BEGAN + 150)
    told = diary.progress(160)
    assert told.account.gpu_s == before + 1 * 60 + 4 * 10
    assert told.running[0].running_s == 10


def test_what_was_held_when_a_driver_was_killed_counts_in_its_life(diary: Diary) -> None:
    busy(diary)
    diary.driver(DEAD)
    diary.store.note_alive(now=BEGAN + 90)
    killed = diary.progress(500).account
    held = 2 * 60 + 4 * (90 - 60) + 1 * (90 - 70)
    assert (killed.gpu_s, killed.wall_clock_s) == (held, 90)
    diary.store.open_study("", STUDY_ID, "t", now=BEGAN + 1000)
    diary.lives()
    diary.store.take_hold("0003", Hold(4, 4), now=BEGAN + 1010)
    told = diary.progress(1030).account
    assert [(life.wall_clock_s, life.gpu_s) for life in told.lives] == [(90, held), (30, 4 * 20)]
    assert (told.gpu_s, told.wall_clock_s, told.last_wall_clock_s) == (held + 80, 120, 30)


def test_a_killed_life_and_what_its_trials_held_end_at_the_same_time(diary: Diary) -> None:
    """Its driver last said at 62 s that it lives, a trial ended a rung at 84 s, another was handed out at 70 s."""
    busy(diary)
    diary.store.note_alive(now=BEGAN + 62)
    diary.rung("0003", 1, 84, score(200), reserved_s=24)
    diary.driver(DEAD)
    killed = diary.progress(500).account
    assert (killed.wall_clock_s, killed.gpu_s) == (84, 2 * 60 + 4 * 24 + 1 * 14)
    assert killed.cpu_s == 4 * (60 + 24 + 14)
    diary.store.open_study("", STUDY_ID, "t", now=BEGAN + 1000)
    assert diary.store.lives()[0].ended_at == BEGAN + 84
    before = diary.store.account(now=BEGAN + 1003)  # as the new life tells it, before it has left a trace
    assert [(life.life, life.wall_clock_s, life.gpu_s) for life in before.lives] == [(1, 84, killed.gpu_s), (2, 3, 0)]
    diary.store.note_alive(now=BEGAN + 1004)
    assert [life.wall_clock_s for life in diary.store.account(now=BEGAN + 1005).lives] == [84, 5]


def test_the_end_of_a_trial_is_a_sign_of_its_drivers_life(diary: Diary) -> None:
    diary.begin()
    diary.trial("0000", 5)
    diary.end("0000", 12, TrialState.COMPLETED, reserved_s=7)
    diary.driver(DEAD)
    killed = diary.progress(500).account
    assert (killed.wall_clock_s, killed.cpu_s) == (12, 4 * 7)


def test_a_study_that_is_interrupted_counts_what_ran_until_then(diary: Diary) -> None:
    busy(diary)
    diary.store.end_study(StudyStatus.INTERRUPTED, "interrupted", now=BEGAN + 100)
    diary.driver(DEAD)
    for at_s in (100, 5000):
        account = diary.progress(at_s).account
        assert (account.gpu_s, account.wall_clock_s) == (2 * 60 + 4 * 40 + 1 * 30, 100)
    results = load_results(diary.folder.path)
    assert results.account == account
    assert results.summary["spent"] == diary.progress(5000).as_dict()["spent"]
    assert results.summary["gpu_seconds"]["reserved"] == account.gpu_s == results.trials["gpu_seconds"].sum()
    assert results.summary["cpu_seconds"]["reserved"] == account.cpu_s == results.trials["cpu_seconds"].sum()


def test_a_pause_costs_nothing(diary: Diary) -> None:
    diary.begin()
    diary.lives()
    diary.trial("0000", 0, gpus=2)
    diary.store.let_go("0000", 30, now=BEGAN + 30)
    diary.store.hold_again("0000", 30, now=BEGAN + 100)
    assert diary.progress(110).account.gpu_s == 2 * 40
    diary.store.let_go("0000", 50, now=BEGAN + 120)
    assert diary.progress(200).account.gpu_s == 2 * 50


def test_servers_that_were_there_before_use_gpus_that_are_not_reserved(diary: Diary) -> None:
    diary.begin()
    record = TrialRecord("0000", Phase.BASELINE, {}, BEGAN, gpus=8, cpus=2)
    diary.store.add_trial(record)
    diary.store.take_hold("0000", Hold(0, 1), now=BEGAN)
    diary.end("0000", 50, TrialState.COMPLETED, 50)
    diary.store.end_study(StudyStatus.COMPLETED, "all trials done", now=BEGAN + 60)
    summary = load_results(diary.folder.path).summary
    assert (summary["gpu_seconds"]["reserved"], summary["cpu_seconds"]["reserved"]) == (0, 50)
    assert load_results(diary.folder.path).trials["gpus"].tolist() == [8]


def test_what_references_took_is_part_of_the_pace_of_the_others(diary: Diary) -> None:
    busy(diary)
    diary.lives()
    diary.trial("0000-r1", 40, Phase.REFERENCE)
    diary.end("0000-r1", 60, TrialState.COMPLETED, 20)
    assert diary.progress(100).left_s == pytest.approx(100 / 3 * (3 + 8)), "it is none of the three that ended"


def test_time_left_is_told_at_the_pace_of_this_life(diary: Diary) -> None:
    busy(diary)
    diary.lives()
    assert diary.progress(100).left_s == pytest.approx(100 / 3 * (3 + 8))  # three trials, and two rounds of four
    diary.store.open_study("", STUDY_ID, "t", now=BEGAN + 200)  # resumed
    diary.store.take_hold("0003", Hold(4, 4), now=BEGAN + 210)
    told = diary.progress(260)
    assert told.left_s is None
    assert told.account.last_wall_clock_s == 60
    assert [trial.running_s for trial in told.running] == [50, 0]


def test_the_budget_bounds_the_time_left(tmp_path: Path) -> None:
    keys = {**KEYS, "budget": {"wall_clock_h": 0.03}}  # 108 s
    diary = Diary(tmp_path / "short", make_study(**keys))
    busy(diary)
    with diary.held:
        diary.lives()
        assert diary.progress(100).left_s == pytest.approx(8)


def test_a_study_whose_driver_was_killed_is_dead_and_has_no_time_left(diary: Diary) -> None:
    busy(diary)
    diary.driver(DEAD)
    told = diary.progress(500)
    assert (told.standing, told.left_s) == (Standing.DRIVER_DEAD, None)
    assert told.last_activity_at == BEGAN + 80
    # The last that is known is the end of a rung, at 80 s: for its trial, for the other one, and for the wall clock.
    assert (told.account.gpu_s, told.account.wall_clock_s) == (2 * 60 + 4 * 20 + 1 * 10, 80)


@pytest.mark.parametrize(
    ("owner", "word", "headline"),
    [
        (DEAD, "driver_dead", "Its driver died after 3 of 6 trials. So far: "),
        (ELSEWHERE, "unknown", "Not ended after 3 of 6 trials. So far: "),
        ("", "running", "Running, after 3 of 6 trials. So far: "),
    ],
)
def test_summary_and_report_have_the_word_that_status_has(diary: Diary, owner: str, word: str, headline: str) -> None:
    busy(diary)
    if owner:
        diary.driver(owner)
    else:
        diary.lives()
    results = load_results(diary.folder.path)
    assert results.summary["status"] == diary.progress(500).as_dict()["state"] == word
    assert verdict(results).headline.startswith(headline)
    assert f'<span class="chip status-{word}">{word}</span>' in render_report(results)


def test_a_driver_on_another_host_is_not_judged(diary: Diary) -> None:
    busy(diary)
    diary.driver(ELSEWHERE)
    told = diary.progress(100)
    assert (told.standing, told.driver.state) == (Standing.UNKNOWN, DriverState.UNKNOWN)
    assert told.driver.owner is not None
    assert told.driver.owner.host == "another-host"
    assert told.left_s is None


@pytest.mark.parametrize(("status", "standing"), [("completed", "completed"), ("interrupted", "interrupted")])
def test_an_ended_study_says_how_it_ended(diary: Diary, status: str, standing: str) -> None:
    busy(diary)
    diary.store.end_study(StudyStatus(status), "all trials done", now=BEGAN + 90)
    diary.driver(DEAD)
    told = diary.progress(500)
    assert (told.standing.value, told.stop_reason, told.standing.goes_on) == (standing, "all trials done", False)
    assert told.account.wall_clock_s == 90


def test_confirmations_are_counted_apart(diary: Diary) -> None:
    busy(diary)
    diary.trial("0000-c1", 100, Phase.CONFIRM)
    diary.end("0000-c1", 110, TrialState.COMPLETED, 10)
    diary.trial("0001-c1", 110, Phase.CONFIRM)
    told = diary.progress(120)
    assert (told.phase, told.confirmations) == (Phase.CONFIRM, (1, 8))
    assert told.trials[TrialState.COMPLETED] == 2


def test_quarantined_nodes_are_told(diary: Diary) -> None:
    busy(diary)
    diary.store.add_quarantine("node-b", "two Configs failed on it", now=BEGAN + 50)
    [told] = diary.progress(100).as_dict()["quarantined_nodes"]
    assert told == {"node": "node-b", "reason": "two Configs failed on it", "at": BEGAN + 50}


def test_a_growing_log_is_activity(diary: Diary) -> None:
    busy(diary)
    log = diary.folder.trial_logs("0004") / "0004-l1-rank0.log"
    log.parent.mkdir()
    log.write_text("loading weights\n")
    os.utime(log, (BEGAN + 95, BEGAN + 95))
    told = diary.progress(100)
    assert told.running[1].last_activity_at == told.last_activity_at == BEGAN + 95


@pytest.mark.parametrize("job_status", ["PENDING", "RUNNING"])
def test_a_copy_of_a_study_that_ran_says_of_which_job_and_when(diary: Diary, job_status: str) -> None:
    busy(diary)
    diary.store.note_alive(now=BEGAN + 100)
    note_fetched(diary.folder, FetchedCopy("job-1", job_status, "http://head:8265", BEGAN + 100))
    told = diary.progress(400)
    assert (told.standing, told.standing.goes_on, told.left_s) == (Standing.COPY, False, None)
    text = standing_text(told)
    assert text.startswith(f"a copy of the study of job job-1, taken 5 min 00 s ago while that ran ({job_status}); the")
    assert "autotuner fetch job-1 --address http://head:8265 --out" in text
    assert "resume" not in text
    assert told.as_dict()["fetched"]["at"] == BEGAN + 100
    assert told.account.wall_clock_s == 100, "as far as it had come"
    with pytest.raises(FolderError, match="the end of job job-1") as refused, resume_folder(diary.folder):
        pass
    assert refused.value.key == "DIR"


@pytest.mark.parametrize("job_status", ["SUCCEEDED", "FAILED", "STOPPED"])
def test_a_copy_of_a_job_that_had_ended_is_whole_and_can_be_gone_on_with(diary: Diary, job_status: str) -> None:
    busy(diary)
    note_fetched(diary.folder, FetchedCopy("job-1", job_status, None, BEGAN + 100))
    assert diary.progress(400).standing is Standing.DRIVER_DEAD
    with resume_folder(diary.folder):
        assert fetched_copy(diary.folder) is None, "it is this machine's own from now on"


def test_a_copy_of_a_study_that_had_ended_is_an_ended_study(diary: Diary) -> None:
    busy(diary)
    diary.store.end_study(StudyStatus.COMPLETED, "all trials done", now=BEGAN + 90)
    note_fetched(diary.folder, FetchedCopy("job-1", "RUNNING", None, BEGAN + 100))  # its report was being written
    assert diary.progress(400).standing is Standing.COMPLETED


# ── reading alone ─────────────────────────────────────────────────────────────────────────────


def test_looking_at_a_folder_in_which_nothing_is_stored_makes_nothing(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path / "new")
    folder.prepare(make_study(), STUDY_ID)
    before = sorted(folder.path.rglob("*"))
    assert study_progress(folder.path).standing is Standing.NOT_BEGUN
    assert study_progress(folder.path).as_dict()["best"] is None
    assert sorted(folder.path.rglob("*")) == before
    with folder.lock():
        assert study_progress(folder.path).standing is Standing.STARTING
    folder.database.touch()  # as it is for a moment before its tables are made
    assert study_progress(folder.path).standing is Standing.NOT_BEGUN


def test_what_is_no_studys_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FolderError):
            study_progress(path)


def test_a_study_is_seen_while_its_writer_is_in_the_middle_of_a_write(diary: Diary) -> None:
    busy(diary)
    with sqlite3.connect(diary.folder.database) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE trials SET message = 'half written'")
        assert diary.progress(100).trials[TrialState.RUNNING] == 2
        writer.rollback()
    with sqlite3.connect(diary.folder.database, timeout=0) as writer:  # which no reader keeps waiting
        writer.execute("UPDATE trials SET message = 'written'")


_CUT_OFF = """
import os, signal, sqlite3, sys
writer = sqlite3.connect(sys.argv[1])
writer.execute("PRAGMA cache_size = 1")  # so that the write reaches the disk before it is committed
writer.execute("BEGIN IMMEDIATE")
writer.execute("UPDATE trials SET state = 'failed', message = hex(zeroblob(100000))")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_write_that_a_killed_driver_left_half_done_is_neither_read_nor_touched(diary: Diary) -> None:
    busy(diary)
    diary.store.close()
    done = subprocess.run([sys.executable, "-c", _CUT_OFF, str(diary.folder.database)], check=False)
    assert done.returncode == -signal.SIGKILL
    files = {path: path.read_bytes() for path in diary.folder.path.glob("results.sqlite*")}
    assert len(files) == 2, "the journal of the cut write"
    told = diary.progress(100)
    assert (told.trials[TrialState.RUNNING], told.trials[TrialState.FAILED]) == (2, 1)
    assert {path: path.read_bytes() for path in diary.folder.path.glob("results.sqlite*")} == files


def test_results_in_a_shared_database_are_found_by_its_url(tmp_path: Path) -> None:
    with postgresql() as url:
        diary = Diary(tmp_path / "shared", make_study(**KEYS), url)
        assert diary.progress(0).standing is Standing.NOT_BEGUN
        busy(diary)
        told = diary.progress(100)
        diary.store.close()
        assert told.trials[TrialState.COMPLETED] == 2
        with Store(url, diary.folder.requests, read_only=True) as store:
            store.read_study(STUDY_ID)
            with pytest.raises(Exception, match="read-only"):
                store.set_usage("0000", Usage(1.0))
        sqlalchemy.create_engine(url).dispose()


# ── the driver ────────────────────────────────────────────────────────────────────────────────

_HOLDER = """
import sys
from pathlib import Path
from autotuner.results import OutputFolder
with OutputFolder(Path(sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_driver_is_alive_until_it_is_killed(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path)
    assert find_driver(folder).state is DriverState.DEAD
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        driver = find_driver(folder)
        assert driver.state is DriverState.ALIVE
        assert driver.owner is not None
        assert driver.owner.pid == holder.pid
        assert driver.since is not None
        assert driver.since <= time.time()
        holder.kill()
    assert find_driver(folder).state is DriverState.DEAD


def test_a_held_lock_tells_a_driver_whose_process_cannot_be_seen(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path)
    with folder.lock():
        for owner in (DEAD, ELSEWHERE, ""):  # in a container, over a shared file system, not written yet
            folder.lock_file.write_text(owner)
            assert find_driver(folder).state is DriverState.ALIVE
    for owner, state in ((DEAD, DriverState.DEAD), (ELSEWHERE, DriverState.UNKNOWN), ("", DriverState.UNKNOWN)):
        folder.lock_file.write_text(owner)
        assert find_driver(folder).state is state


def test_a_glance_at_the_lock_keeps_no_driver_out(tmp_path: Path) -> None:
    """The lock is held by one who looks at the moment when a driver wants it."""
    import fcntl
    import threading

    folder = OutputFolder(tmp_path)
    folder.lock_file.touch()
    with folder.lock_file.open("rb") as glance:
        fcntl.flock(glance, fcntl.LOCK_SH)
        over = threading.Timer(0.05, lambda: fcntl.flock(glance, fcntl.LOCK_UN))
        over.start()
        with folder.lock():
            assert find_driver(folder).state is DriverState.ALIVE
        over.join()


def test_the_document_has_what_its_readers_rely_on(diary: Diary) -> None:
    busy(diary)
    diary.lives()
    document = diary.progress(100).as_dict()
    assert document["state"] == "running"
    assert document["driver"]["pid"] == os.getpid()
    assert document["trials"] == {"planned": 6, "running": 2, "completed": 2, "stopped": 0, "failed": 1}
    assert document["trials_not_counted"] == 0
    assert document["running"][0] == {
        "trial_id": "0003",
        "phase": "search",
        "config": {"ubatch-size": 64, "n": 3},
        "doing": "measuring",
        "node": "node-a",
        "gpus": 4,
        "accelerator": "H100-80GB",
        "rungs_ended": 1,
        "rungs": 2,
        "score": 200,
        "feasible": True,
        "slo_met": True,
        "running_s": 40,
        "last_activity_at": BEGAN + 80,
    }
    assert document["best"]["config"] == {"ubatch-size": 64, "n": 0}
    assert document["budget"] == {"wall_clock_s": 1800, "gpu_s": 3600}
    assert document["spent"]["wall_clock_s"] == 100
    assert [life["life"] for life in document["spent"]["lives"]] == [1]
