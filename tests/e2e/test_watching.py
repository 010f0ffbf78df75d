"""A real study of llama.cpp on a cluster, watched while it runs; others that were ended from outside."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.e2e.ray_head import Head, ray_head
from tests.e2e.studies import Workplace, assert_nothing_left, wait_for_row, wait_until

# Two trials whose rungs take twelve seconds each, however fast the machine.
Ask = Callable[..., Any]
LONG = ("workload.load={rate: [2]}", "workload.requests.per_level_s=24", "search.trials=2", "search.confirm=0")


def start(place: Workplace, *arguments: str, **variables: str) -> tuple[subprocess.Popen[str], Path]:
    """A long study in the background, and its folder."""
    out = place.folder / "out"
    keys = [word for key in LONG for word in ("--set", key)]
    study = place.study_file(place.folder)
    return place.start("run", study, "--out", out, *keys, *arguments, **variables), out


def exported(head: Head) -> str:
    """The page of the node's metrics."""
    request = urllib.request.Request(head.metrics, headers={"Authorization": f"Bearer {head.token}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(answer.read().decode())


def test_a_study_is_watched_while_it_runs(workplace: Workplace, ask: Ask) -> None:
    with ray_head(workplace) as head:
        fast = {"RAY_metrics_report_interval_ms": "1000"}
        run, out = start(workplace, "--address", head.address, **head.variables, **fast)
        wait_for_row(out, "SELECT * FROM trials WHERE startup_s IS NOT NULL", process=run)
        follower = workplace.start("logs", out, "0000", "-f")
        watcher = workplace.start("status", out, "--watch", "0.3")
        see_it_run(workplace, out, run, ask)
        wait_until(lambda: "ray_autotuner_trials{" in exported(head) and has_rung(exported(head)), "its metrics")
        assert workplace.finish(run)[0] == 0, workplace.errors(run)
        code, watched = workplace.finish(watcher, 60)
        assert (code, "completed: all trials done" in watched) == (0, True)
        assert "measuring" in watched
        code, followed = workplace.finish(follower, 60)
        assert code == 0
        assert followed == logged(out, "0000"), "all that its server said, once"
    told = ask("status", out)
    assert (told["state"], told["running"], told["left_s"]) == ("completed", [], None)
    assert told["best"]["trial_id"] == json.loads((out / "summary.json").read_text())["best"]["trial_id"]
    assert told["trials"] == {"planned": 2, "running": 0, "completed": 2, "stopped": 0, "failed": 0}
    refused = workplace.run("logs", out, "001")
    assert refused.returncode == 2
    assert "the nearest is 0001" in refused.stderr
    assert_nothing_left(workplace, out)


def see_it_run(place: Workplace, out: Path, run: subprocess.Popen[str], ask: Ask) -> None:
    """Waits until status tells of a trial that has ended its first rung and goes on."""

    def measuring() -> dict[str, Any] | None:
        assert run.poll() is None, place.errors(run)
        told = ask("status", out)
        assert told["state"] == "running"
        assert told["driver"]["pid"] == run.pid
        return next((trial for trial in told["running"] if trial["rungs_ended"]), None)

    trial = wait_until(measuring, "a trial's first rung to be told")
    assert (trial["doing"], trial["rungs"], trial["feasible"]) == ("measuring", 2, True)
    assert trial["node"]


def has_rung(page: str) -> bool:
    rungs = [line for line in page.splitlines() if line.startswith("ray_autotuner_rungs_total{")]
    return any('study="tiny"' in line and float(line.split()[-1]) >= 1 for line in rungs)


def logged(out: Path, trial_id: str) -> str:
    """The logs of a trial's only launch, under their names."""
    found = sorted(path for path in (out / "logs" / trial_id).glob("*.log") if path.stat().st_size)
    assert found
    return "".join(f"== {path.name} ==\n{path.read_text(encoding='utf-8', errors='replace')}" for path in found)


def test_a_study_whose_driver_was_killed_says_so(
    workplace: Workplace, nothing_left_behind: Callable[..., None], ask: Ask
) -> None:
    run, out = start(workplace)
    wait_for_row(out, "SELECT * FROM rungs", process=run)
    workplace.look()
    run.kill()
    workplace.finish(run)
    told = ask("status", out)
    assert (told["state"], told["driver"]["state"], told["left_s"]) == ("driver_dead", "dead", None)
    assert workplace.run("status", out, "--watch").returncode == 0, "there is nothing to wait for"
    followed = workplace.run("logs", out, "0000", "-f")
    assert (followed.returncode, "== 0000-l1-rank0.log ==" in followed.stdout) == (0, True)
    nothing_left_behind(out, agents_too=False)
