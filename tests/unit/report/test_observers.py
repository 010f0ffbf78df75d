"""Observers: TensorBoard's own reader opens what is written; the terminal says what happened."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, metadata

from autotuner.errors import Failure
from autotuner.metrics.direction import Direction
from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.report import TensorBoardObserver, make_progress
from autotuner.report.facts.worth import score_text, score_words
from autotuner.report.progress import Progress
from autotuner.report.terminal import LineProgress, LiveProgress, _head, event_line
from autotuner.results.account import Account, LifeSpent
from autotuner.results.noise.told_shift import ToldShift
from autotuner.results.records import Phase, TrialState
from autotuner.results.waits import Holder, Wait
from autotuner.scoring.merit import make_merit
from autotuner.scoring.score import PointScore, Score, Tier, Violation
from autotuner.tuning.events import (
    DefaultShifted,
    Event,
    PhaseStarted,
    RungEnded,
    StudyEnded,
    StudyStarted,
    TrialEnded,
    TrialStarted,
    Waiting,
)
from tests.scores import made_score

CONFIG: dict[str, Any] = {"size": 512, "ratio": 0.5, "on": True, "kind": "q8_0", "none": None, "list": [1, "a"]}
LEVEL = LoadLevel(LoadKind.CONCURRENCY, 8)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def score(value: float, objective: str = "goodput", *, feasible: bool = True, slo_met: bool = True) -> Score:
    return made_score(value, objective, feasible=feasible, slo_met=slo_met)


def started(**changes: Any) -> StudyStarted:
    values: dict[str, Any] = {
        "name": "s",
        "out_dir": "studies/s",
        "trials": 4,
        "rungs": 3,
        "objective": "goodput",
        "direction": "max",
        "concurrent_trials": 1,
    }
    return StudyStarted(**{**values, **changes})


def ended(trial_id: str, state: TrialState, value: Score | None, phase: Phase = Phase.SEARCH) -> TrialEnded:
    failure = Failure.CRASH if state is TrialState.FAILED else None
    return TrialEnded(trial_id, phase, CONFIG, state, failure, "it [red]died[/red]\nhere", value, 0.0, 20.0)


EVENTS: list[Event] = [
    started(),
    PhaseStarted(Phase.BASELINE, "the default first"),
    TrialStarted("0000", Phase.BASELINE, CONFIG),
    RungEnded("0000", Phase.BASELINE, CONFIG, 0, score(5.0), {}),
    ended("0000", TrialState.COMPLETED, score(5.5), Phase.BASELINE),
    TrialStarted("0001", Phase.SEARCH, CONFIG),
    ended("0001", TrialState.FAILED, None),
    StudyEnded("all trials ended"),
]


def accumulated(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder))
    found.Reload()
    return found


def test_tensorboard_reads_scalars_by_rung(tmp_path: Path) -> None:
    observer = TensorBoardObserver(tmp_path)
    observer.on_event(started())
    observer.on_event(TrialStarted("0001", Phase.SEARCH, CONFIG))
    for rung, value in enumerate((3.0, 4.0)):
        observer.on_event(
            RungEnded(
                "0001",
                Phase.SEARCH,
                CONFIG,
                rung,
                score(value),
                {LEVEL: {"ttft_p90_ms": 10 * value, "x": float("nan")}},
            )
        )
    observer.on_event(ended("0001", TrialState.COMPLETED, score(4.0)))
    observer.close()
    found = accumulated(tmp_path / "0001")
    assert [(e.step, e.value) for e in found.Scalars("score")] == [(0, 3.0), (1, 4.0)]
    assert [(e.step, e.value) for e in found.Scalars("concurrency 8/ttft_p90_ms")] == [(0, 30.0), (1, 40.0)]
    assert set(found.Tags()["scalars"]) == {"score", "feasible", "concurrency 8/ttft_p90_ms"}


def test_tensorboard_reads_every_hparam(tmp_path: Path) -> None:
    observer = TensorBoardObserver(tmp_path)
    observer.on_event(TrialStarted("0001", Phase.SEARCH, CONFIG))
    observer.on_event(ended("0001", TrialState.FAILED, None))
    observer.close()
    content = accumulated(tmp_path / "0001").PluginTagToContent(metadata.PLUGIN_NAME)
    start = metadata.parse_session_start_info_plugin_data(content[metadata.SESSION_START_INFO_TAG])
    values = {name: getattr(value, str(value.WhichOneof("kind"))) for name, value in start.hparams.items()}
    assert values == {
        "size": 512.0,
        "ratio": 0.5,
        "on": True,
        "kind": "q8_0",
        "none": "null",
        "list": '[1, "a"]',
        "phase": "search",
    }
    assert start.group_name == "0001"
    end = metadata.parse_session_end_info_plugin_data(content[metadata.SESSION_END_INFO_TAG])
    assert end.status == api_pb2.STATUS_FAILURE


def test_a_trial_that_is_cut_off_keeps_its_scalars(tmp_path: Path) -> None:
    observer = TensorBoardObserver(tmp_path)
    observer.on_event(TrialStarted("0002", Phase.SEARCH, CONFIG))
    observer.on_event(RungEnded("0002", Phase.SEARCH, CONFIG, 0, score(1.0), {}))
    observer.close()
    observer.close()
    assert len(accumulated(tmp_path / "0002").Scalars("score")) == 1


def test_a_folder_that_cannot_be_written_does_not_end_the_study(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    observer = TensorBoardObserver(tmp_path / "file")
    observer.on_event(TrialStarted("0001", Phase.SEARCH, CONFIG))
    observer.on_event(ended("0001", TrialState.COMPLETED, score(1.0)))
    observer.close()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_shift_of_the_default_is_told_with_its_size() -> None:
    shift = ToldShift("0000-r1", "host", 0.0, 1.0, "goodput_per_s", 0.8, (0.75, 0.85))
    told = event_line(DefaultShifted(shift), Progress(Clock()))
    assert told == (
        "the machine did not stay as it was: the default's goodput_per_s on host changed by −20\N{NO-BREAK SPACE}% "
        "(95 % interval −25\N{NO-BREAK SPACE}% to −15\N{NO-BREAK SPACE}%)"
    )


def test_lines_say_one_event_each() -> None:
    out = io.StringIO()
    observer = make_progress(out)
    assert isinstance(observer, LineProgress)
    for event in EVENTS:
        observer.on_event(event)
    observer.close()
    lines = out.getvalue().splitlines()
    assert len(lines) == len(EVENTS)
    assert "trial 0000 rung 0: score 5 (concurrency 8), meets the SLOs" in lines[3]
    assert "trial 0000 completed, score 5.5 (concurrency 8), meets the SLOs — best so far" in lines[4]
    assert "trial 0001 failed CRASH: it [red]died[/red] here" in lines[6]
    assert lines[7].endswith("study ended: all trials ended; spent: wall clock 0 s, CPU core time 40 s")


def test_a_terminal_gets_a_live_table() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120)
    observer = LiveProgress(console, Clock())
    for event in EVENTS[:4]:
        observer.on_event(event)
    observer._live.refresh()
    for event in EVENTS[4:]:
        observer.on_event(event)
    observer.close()
    observer.close()
    text = out.getvalue()
    for said in ("0/4", "baseline", "2/3", "CPU core time", "best so far", "it [red]died[/red]"):
        assert said in text, said


@pytest.mark.parametrize(("objective", "direction"), [("goodput", "max"), ("ttft_p90", "min")])
def test_the_best_so_far_meets_slos_first_then_scores(objective: str, direction: str) -> None:
    progress = Progress(Clock())
    progress.see(started(direction=direction))
    best, worse = (9.0, 5.0) if direction == "max" else (5.0, 9.0)
    progress.see(ended("0000", TrialState.COMPLETED, score(best, objective, slo_met=False)))
    assert progress.best is not None
    progress.see(ended("0001", TrialState.COMPLETED, score(worse, objective)))
    assert progress.best[0] == "0001"
    progress.see(ended("0002", TrialState.STOPPED, score(best, objective)))
    progress.see(ended("0003", TrialState.COMPLETED, score(best, objective, feasible=False, slo_met=False)))
    progress.see(ended("0001-c1", TrialState.COMPLETED, score(best, objective), Phase.CONFIRM))
    assert progress.best[0] == "0001"
    progress.see(ended("0004", TrialState.COMPLETED, score(best, objective)))
    assert progress.best[0] == "0004"


def test_time_left_follows_the_pace_and_the_budget() -> None:
    clock = Clock()
    progress = Progress(clock)
    assert progress.left_s is None
    progress.see(started(trials=10, wall_clock_s=1000.0))
    clock.now += 100
    assert progress.left_s == 900
    for number in range(4):
        progress.see(ended(f"000{number}", TrialState.STOPPED, score(1.0)))
    assert progress.left_s == 150
    clock.now += 800
    assert progress.left_s == 100


def test_the_clock_of_the_lines_is_that_of_all_lives_and_never_goes_back() -> None:
    """A life of 10 s was killed; the one that goes on has run for 2 s when it begins to tell."""
    clock, out = Clock(), io.StringIO()
    lines = LineProgress(out, clock)
    past = LifeSpent(1, 0.0, 10.0, 0.0, 20.0)
    lines.on_event(started(account=Account((past, LifeSpent(2, 500.0, 2.0, 0.0, 0.0)), 0.0, 20.0)))
    clock.now += 72
    lines.on_event(TrialStarted("0000", Phase.BASELINE, CONFIG))
    lines.on_event(StudyEnded("all trials done", Account((past, LifeSpent(2, 500.0, 74.0, 0.0, 0.0)), 0.0, 20.0)))
    stamps = [line[1:13].strip() for line in out.getvalue().splitlines()]
    assert stamps == ["12 s", "1 min 24 s", "1 min 24 s"]
    assert "wall clock 1 min 14 s (this life; all 2 lives 1 min 24 s)" in out.getvalue()


def test_an_end_of_which_the_store_knows_less_turns_no_clock_back() -> None:
    clock, out = Clock(), io.StringIO()
    lines = LineProgress(out, clock)
    lines.on_event(started(account=Account((LifeSpent(1, 0.0, 60.0, 0.0, 0.0), LifeSpent(2, 90.0, 1.0, 0.0, 0.0)))))
    clock.now += 4
    lines.on_event(PhaseStarted(Phase.CONFIRM, "again"))
    lines.on_event(StudyEnded("all trials done", Account((LifeSpent(1, 0.0, 60.0, 0.0, 0.0),))))
    assert [line[1:13].strip() for line in out.getvalue().splitlines()] == ["1 min 01 s", "1 min 05 s", "1 min 05 s"]


def test_what_misses_the_slos_is_told_by_how_far_and_not_by_its_score() -> None:
    """A penalised score of 10^23 says nothing."""
    over = Violation("ttft_p90_ms", 15.4, 1.0, 14.4, 1e22, Tier.SEVERE)
    merit = make_merit([(15.4, 50.0)], Direction.MIN, "slo_met", feasible=True)
    point = PointScore(LEVEL, "ttft_p90", 15.4, 9.35e22, True, False, violations=(over,), excess=50.0)
    missed = Score(
        9.35e22, True, False, None, 15.4, {"ttft_p90": 9.35e22}, (over,), points=(point,), merits={"ttft_p90": merit}
    )
    progress = Progress(Clock())
    progress.see(started(objective="ttft_p90", direction="min"))
    line = event_line(RungEnded("0000", Phase.BASELINE, CONFIG, 0, missed, {}), progress)
    assert line == (
        "trial 0000 rung 0: ttft_p90 15.4 (concurrency 8), violates ttft_p90_ms (at worst +1,440\N{NO-BREAK SPACE}%)"
    )
    assert score_text(missed) == "+1,440\N{NO-BREAK SPACE}% over"
    assert score_words(missed) == "+1,440\N{NO-BREAK SPACE}% over the SLOs"
    assert score_words(score(5.0)) == "score 5"
    by_score = dataclasses.replace(
        missed, merits={"ttft_p90": make_merit([(15.4, 50.0)], Direction.MIN, "score", feasible=True)}
    )
    assert score_text(by_score) == "9.35e+22", "there it is what ranks"


def test_what_cut_a_trial_is_told() -> None:
    progress = Progress(Clock())
    progress.see(started())
    why = "the study's wall clock was spent before this rung ended"
    cut = TrialEnded("0000", Phase.SEARCH, CONFIG, TrialState.STOPPED, None, why, score(5.0), 0.0, 20.0)
    assert event_line(cut, progress) == f"trial 0000 stopped ({why}), score 5 (concurrency 8), meets the SLOs"


def test_a_wait_is_told_once_and_its_end_too() -> None:
    stream = io.StringIO()
    terminal = LineProgress(stream, Clock())
    terminal.on_event(started())
    terminal.on_event(Waiting((Wait("", "2 CPU", 0.0, (Holder("a", cpus=2, job_id="01000000"),)),)))
    terminal.on_event(Waiting(()))
    told = [line.partition("] ")[2] for line in stream.getvalue().splitlines()[1:]]
    assert told == [
        "the next trial waits for 2 CPU, which others hold: Ray job 01000000 holds 2 CPU on a",
        "nothing is waited for any more",
    ]


def test_a_live_table_shows_what_is_waited_for() -> None:
    progress = Progress(Clock())
    progress.see(started())
    progress.see(Waiting((Wait("0003", "2 CPU", 0.0),)))
    screen = Console(file=io.StringIO(), width=120)
    screen.print(_head(progress))
    progress.see(Waiting(()))
    assert "trial 0003 waits for 2 CPU, which others hold" in screen.file.getvalue()  # type: ignore[attr-defined]
    assert progress.waits == ()
