from __future__ import annotations

import dataclasses
import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

from autotuner.errors import Failure, FolderError, InfrastructureError
from autotuner.metrics import (
    LoadKind,
    LoadLevel,
    Measurement,
    PointRun,
    RequestError,
    RequestRecord,
    Telemetry,
    TelemetrySample,
    TokensBy,
)
from autotuner.results import (
    OutputFolder,
    Phase,
    PointFailure,
    RungRecord,
    Store,
    StudyStatus,
    TrialEnd,
    TrialRecord,
    TrialState,
    Usage,
)
from autotuner.scoring import Grade, PointScore, Score, Tier, Violation
from tests.integration.postgresql import postgresql

LEVEL = LoadLevel(LoadKind.CONCURRENCY, 8)
VIOLATION = Violation("ttft_p90_ms", 110.0, 100.0, 0.1, 2.718, Tier.MINOR)
SCORE = Score(
    score=12.5,
    feasible=True,
    slo_met=False,
    level=LEVEL,
    value=13.0,
    objectives={"throughput": 12.5},
    violations=(VIOLATION,),
    reason="",
    points=(PointScore(LEVEL, "throughput", 13.0, 12.5, True, False, 2.718, (VIOLATION,), ""),),
)
RECORDS = (
    RequestRecord(
        0, True, 0.0, 0.001, 0.1, 0.5, 0.51, 10, 5, 5, (0.1, 0.3, 0.5), None, 200, "", "poet", 6, TokensBy.PROBE, 0.3, 2
    ),
    RequestRecord(
        1, False, 0.5, 0.52, None, None, 0.9, None, None, 5, (), RequestError.HTTP_STATUS, 503, "busy — ü", "poet"
    ),
)
TELEMETRY = Telemetry(
    (
        TelemetrySample(-0.25, kv_cache_use=0.1, running=3.0, waiting=0.0, preemptions=2.0),
        TelemetrySample(0.5, gpu_memory_gib=70.5, gpu_utilization=0.99, gpu_power_w=650.0, gpu_energy_j=1e9 + 0.001),
    ),
    missed=3,
)
RUNS = (
    PointRun(LEVEL, RECORDS, lag_p99_ms=1.5, started_at=1.7e9 + 0.125, telemetry=TELEMETRY),
    PointRun(LoadLevel(LoadKind.RATE, 2.5), (), saturated=True, stopped_early="the queue grows"),
    PointRun(LEVEL, RECORDS[1:], telemetry=Telemetry(missed=7), notes=("the cache stayed",)),
)


def rung(number: int = 0, trial_id: str = "0000", runs: tuple[PointRun, ...] = RUNS) -> RungRecord:
    return RungRecord(
        trial_id=trial_id,
        rung=number,
        launch_id=f"{trial_id}-l1",
        score=SCORE,
        measurements=(
            Measurement(LEVEL, 2, 1, {"ttft_p90_ms": 0.1 + 0.2}, tokens_by=TokensBy.PROBE, notes=("one", "two ü")),
        ),
        ended_at=1000.5,
        usage=Usage(10, 4, 5),
        runs=runs,
        failures=(PointFailure("concurrency 32", Failure.OUT_OF_MEMORY_UNDER_LOAD, "CUDA out of memory"),),
    )


def trial(trial_id: str = "0000") -> TrialRecord:
    return TrialRecord(trial_id, Phase.SEARCH, {"ubatch-size": 64, "map": {"a": [1, None]}, "x": 0.1}, 999.0, cpus=2)


@pytest.fixture
def folder(tmp_path: Path) -> OutputFolder:
    return OutputFolder(tmp_path / "a folder? with #odd%20 ünd 'signs'")


def open_store(folder: OutputFolder, study_id: str = "s1", url: str | None = None) -> Store:
    folder.path.mkdir(exist_ok=True)
    store = Store(url or folder.database_url, folder.requests)
    store.open_study("name: a\n", study_id, "a", now=1.0)
    return store


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgresql() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, folder: OutputFolder) -> str:
    """Each database in turn, empty."""
    if request.param == "sqlite":
        return folder.database_url
    found: str = request.getfixturevalue("server")
    engine = sqlalchemy.create_engine(found)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    engine.dispose()
    return found


@pytest.fixture
def store(folder: OutputFolder, url: str) -> Iterator[Store]:
    with open_store(folder, url=url) as opened:
        yield opened


def test_what_is_written_is_read_back(store: Store, folder: OutputFolder, url: str) -> None:
    assert store.add_trial(trial())
    assert store.add_rung(rung(0))
    assert store.add_rung(rung(1))
    store.close()
    again = open_store(folder, url=url)
    (record,) = again.trials()
    assert record == dataclasses.replace(trial(), usage=Usage(10, 4, 5))
    assert again.rungs("0000") == [dataclasses.replace(rung(n), runs=()) for n in (0, 1)]
    assert again.runs("0000") == [(number, run) for number in (0, 1) for run in RUNS]


def test_nothing_is_stored_twice(store: Store) -> None:
    store.add_trial(trial())
    store.add_rung(rung())
    assert not store.add_trial(trial())
    other = dataclasses.replace(rung(), score=dataclasses.replace(SCORE, score=99.0), runs=())
    assert not store.add_rung(other)
    assert store.rungs() == [dataclasses.replace(rung(), runs=())]
    assert store.runs("0000") == [(0, run) for run in RUNS]
    assert len(store.failures()) == 1


def test_a_rung_without_kept_requests_has_no_runs(store: Store, folder: OutputFolder) -> None:
    store.add_trial(trial())
    store.add_rung(rung(runs=()))
    assert store.runs("0000") == []
    assert list(folder.requests.iterdir()) == []
    assert not folder.telemetry.exists()


def test_the_requests_of_a_cut_rung_are_not_read_and_are_replaced(store: Store, folder: OutputFolder) -> None:
    """A driver that died between file and row leaves a file that no row names."""
    store.add_trial(trial())
    store.add_rung(rung(0))
    (folder.requests / "0000-r1.parquet").write_bytes(b"PAR1 cut")
    (folder.requests / ".0000-r1.parquet.tmp").write_bytes(b"PAR1 cut")
    (folder.telemetry / "0000-r1.parquet").write_bytes(b"PAR1 cut")
    assert [number for number, _ in store.runs("0000")] == [0, 0, 0]
    untold = tuple(dataclasses.replace(run, telemetry=None) for run in RUNS)
    assert store.add_rung(rung(1, runs=untold))
    assert [number for number, _ in store.runs("0000")] == [0, 0, 0, 1, 1, 1]
    assert [run for number, run in store.runs("0000") if number == 1] == list(untold)


def test_parquet_has_the_columns_of_the_contract(store: Store, folder: OutputFolder) -> None:
    import pandas as pd

    store.add_trial(trial())
    store.add_rung(rung())
    frame = pd.read_parquet(folder.requests / "0000-r0.parquet")
    wanted = {"trial_id", "rung", "level", "load_kind", "scheduled_s", "sent_s", "first_token_s", "last_token_s"}
    assert wanted | {"prompt_tokens", "output_tokens", "error"} <= set(frame.columns)
    assert frame["error"].tolist()[1:] == ["http_status", "http_status"]
    assert frame["level"].tolist() == [8, 8, 8]
    told = pd.read_parquet(folder.telemetry / "0000-r0.parquet")
    assert {"trial_id", "rung", "run", "load_kind", "level"} <= set(told.columns)
    assert told["at_s"].tolist() == [-0.25, 0.5]
    assert told["running"].tolist()[0] == 3.0
    assert told["running"].isna().tolist() == [False, True]
    assert told["level"].tolist() == [8, 8]


def test_a_trials_life(store: Store) -> None:
    store.add_trial(trial())
    store.update_launch("0000", "0000-l2", node="n1", startup_s=1.5, engine_version="b1", accelerator="L40S")
    store.set_usage("0000", Usage(3, 2, 1))
    (record,) = store.trials()
    assert (record.launch_id, record.node, record.startup_s, record.accelerator) == ("0000-l2", "n1", 1.5, "L40S")
    assert record.usage == Usage(3, 2, 1)
    end = TrialEnd("0000", TrialState.FAILED, 5.0, Usage(9, 8, 1), Failure.CRASH, "signal 11", log_tail="core dumped")
    assert store.end_trial(end)
    assert not store.end_trial(dataclasses.replace(end, state=TrialState.COMPLETED))
    (record,) = store.trials()
    assert (record.state, record.failure, record.message) == (TrialState.FAILED, Failure.CRASH, "signal 11")
    assert record.usage == Usage(9, 8, 1)
    assert [(f.message, f.log_tail) for f in store.failures()] == [("signal 11", "core dumped")]
    store.reopen_trial("0000")
    (record,) = store.trials()
    assert (record.state, record.failure, record.ended_at) == (TrialState.RUNNING, None, None)


def test_trials_keep_their_order(store: Store) -> None:
    names = ["0001", "0000", "0001-c1", "0010"]
    for name in names:
        store.add_trial(trial(name))
    assert [t.trial_id for t in store.trials()] == names


def test_one_trial_by_its_id(store: Store) -> None:
    store.add_trial(trial("0000"))
    store.add_trial(trial("0001"))
    assert store.trial("0001") == trial("0001")
    assert store.trial("0002") is None


def test_text_that_was_cut_inside_a_character_is_kept(store: Store) -> None:
    cut = dataclasses.replace(SCORE, reason="the server's last words: \ud83d")
    store.add_trial(trial())
    store.add_rung(dataclasses.replace(rung(), score=cut))
    assert store.rungs()[0].score == cut


def test_a_studys_life(store: Store, folder: OutputFolder, url: str) -> None:
    store.end_study(StudyStatus.INTERRUPTED, "SIGTERM", now=2.0)
    record = Store(url, folder.requests).read_study()
    assert (record.study_id, record.status, record.stop_reason) == ("s1", StudyStatus.INTERRUPTED, "SIGTERM")
    open_store(folder, url=url)
    record = store.read_study("s1")
    assert (record.status, record.stop_reason, record.created_at, record.ended_at) == (
        StudyStatus.RUNNING,
        "",
        1.0,
        None,
    )


def test_a_database_server_is_shared_by_studies(store: Store, folder: OutputFolder, url: str) -> None:
    if url == folder.database_url:
        with pytest.raises(FolderError, match="another study"):
            open_store(folder, "s2", url)
        return
    store.add_trial(trial())
    other = open_store(folder, "s2", url)
    assert other.trials() == []
    assert other.add_trial(trial())
    assert len(store.trials()) == 1


def test_another_study_is_refused(folder: OutputFolder) -> None:
    open_store(folder).close()
    with pytest.raises(FolderError, match="another study"):
        open_store(folder, "s2")


def test_another_schema_is_refused(folder: OutputFolder) -> None:
    open_store(folder).close()
    with sqlite3.connect(folder.database) as connection:
        connection.execute("UPDATE schema_info SET version = 99")
    with pytest.raises(FolderError, match="schema version 99"):
        open_store(folder)
    with pytest.raises(FolderError, match="schema version 99"):
        Store(folder.database_url, folder.requests).read_study()


def test_a_store_that_lacks_what_was_added_since_is_read_and_goes_on(
    store: Store, folder: OutputFolder, url: str
) -> None:
    store.add_trial(trial())
    store.add_rung(rung(0))
    store.close()
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        for column in ("tokens_by", "notes", "disturbed"):
            connection.exec_driver_sql(f"ALTER TABLE measurements DROP COLUMN {column}")
        for table in ("trials", "rungs"):
            connection.exec_driver_sql(f"ALTER TABLE {table} DROP COLUMN warmup_s")
        connection.exec_driver_sql("ALTER TABLE trials DROP COLUMN asked")
        for table in ("holds", "lives"):
            connection.exec_driver_sql(f"DROP TABLE {table}")
        kept = json.loads(connection.exec_driver_sql("SELECT CAST(score_detail AS TEXT) FROM rungs").scalar_one())
        del kept["merits"], kept["points"][0]["excess"]
        connection.execute(sqlalchemy.text("UPDATE rungs SET score_detail = :kept"), {"kept": json.dumps(kept)})
    engine.dispose()
    before = dataclasses.replace(rung(0).measurements[0], tokens_by=None, notes=())
    with Store(url, folder.requests, read_only=True) as reader:
        reader.read_study()
        assert [r.measurements for r in reader.rungs()] == [(before,)]
        usages = [t.usage for t in reader.trials()] + [r.usage for r in (*reader.rungs(), *reader.scores())]
        assert [usage.warmup_s for usage in usages] == [0, 0, 0]
        (score,) = (r.score for r in reader.rungs())
        assert score.points[0].excess == pytest.approx(math.log(1 + 2.718))
        assert score.merit().grade is Grade.VIOLATING
        assert score.merit().nearness == pytest.approx(-math.log(1 + 2.718))
        assert reader.account().lives == ()
    with open_store(folder, url=url) as again:
        again.add_rung(rung(1))
        assert [r.measurements for r in again.rungs()] == [(before,), rung(1).measurements]


def test_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "results.sqlite").write_bytes(b"not a database, and long enough to be looked at" * 10)
    folder = OutputFolder(tmp_path)
    with pytest.raises(FolderError, match="can be read"):
        Store(folder.database_url, folder.requests).read_study()
    with pytest.raises(InfrastructureError):
        open_store(folder)
    with pytest.raises(FolderError, match="can't be used"):
        Store("nonsense://x", tmp_path)


def test_sqlite_uses_a_rollback_journal(folder: OutputFolder) -> None:
    open_store(folder).close()
    with sqlite3.connect(folder.database) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


_WRITER = """
import sys
from pathlib import Path
sys.path[:0] = [sys.argv[2]]
from tests.integration.results.test_store import open_store, rung, trial
from autotuner.results import OutputFolder
store = open_store(OutputFolder(Path(sys.argv[1])))
store.add_trial(trial())
for number in range(10_000):
    store.add_rung(rung(number))
    print(number, flush=True)
"""


def test_a_killed_writer_loses_no_rung_that_it_said_was_stored(folder: OutputFolder) -> None:
    folder.path.mkdir()
    argv = [sys.executable, "-c", _WRITER, str(folder.path), str(Path(__file__).parents[3])]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        said = [int(next(writer.stdout)) for _ in range(15)]
        os.kill(writer.pid, signal.SIGKILL)
        said += [int(line) for line in writer.stdout]
    store = open_store(folder)
    stored = [record.rung for record in store.rungs("0000")]
    assert stored[: len(said)] == said
    assert len(stored) <= len(said) + 1
    assert len(store.runs("0000")) == len(stored) * len(RUNS)
