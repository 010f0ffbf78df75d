"""Studies that wait for what others hold: another job of the cluster, another study on the same machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.ray_head import Head, ray_head
from tests.e2e.studies import Told, Workplace, assert_nothing_left, paced_study, stop_group, wait_for_row, wait_until

Tell = Callable[..., Told]
_TRAINING = """
import sys, ray
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
group = ray.util.placement_group([{"CPU": 2}], name="training")
assert group.wait(60)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def training(head: Head) -> Iterator[subprocess.Popen[str]]:
    """Another Ray job, that holds all there is until it ends."""
    with subprocess.Popen(
        [sys.executable, "-c", _TRAINING, head.address],
        env={**head.place.environment, **head.variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == "held\n"
        yield job
        job.communicate()


def waits(tell: Tell, out: Path) -> list[dict[str, Any]]:
    """What ``status --json`` says that the study waits for."""
    told = tell("status", out, "--json")
    found: list[dict[str, Any]] = told.document["waiting"] if told.code == 0 else []
    return found


def test_a_study_waits_for_what_another_job_holds_and_says_whose_it_is(workplace: Workplace, tell: Tell) -> None:
    out = workplace.folder / "out"
    study = paced_study(workplace, search={"trials": 2, "confirm": 0})
    with ray_head(workplace) as head:
        with training(head):
            run = workplace.start("run", study, "--out", out, "--address", head.address, **head.variables)
            [wait] = wait_until(lambda: waits(tell, out) or run.poll(), "the wait to be told")
            assert (wait["trial_id"], wait["wants"]) == ("", "2 CPU")
            [holder] = wait["holders"]
            assert (holder["cpus"], holder["placement_groups"]) == (2.0, ["training"])
            assert holder["job_id"] == "01000000"
            assert head.address in holder["entrypoint"]
            shown = " ".join(tell("status", out).output.split())
            assert "the next trial waits for 2 CPU, which others hold: Ray job 01000000: " in shown
            assert "holds 2 CPU on " in shown
            assert "in placement group training" in workplace.errors(run)
        assert workplace.finish(run)[0] == 0, workplace.errors(run)
    assert "nothing is waited for any more" in workplace.errors(run)
    assert waits(tell, out) == []
    assert_nothing_left(workplace, out)


def test_a_study_waits_for_cores_of_another_on_this_machine_and_names_it(workplace: Workplace, tell: Tell) -> None:
    first, second = workplace.folder / "first", workplace.folder / "second"
    cores = len(os.sched_getaffinity(0))
    keys = {"search": {"trials": 2, "confirm": 0}, "engine": {"args": {"threads": max(1, cores - 1)}}}
    slow = ("--set", "workload.load={rate: [2]}", "--set", "workload.requests.per_level_s=60")  # until it is stopped
    holding = workplace.start("run", paced_study(workplace, name="holding", **keys), "--out", first, *slow)
    wait_for_row(first, "SELECT * FROM trials WHERE startup_s IS NOT NULL", process=holding)
    run = workplace.start("run", paced_study(workplace, name="waiting", **keys), "--out", second)
    [wait] = wait_until(lambda: waits(tell, second) or run.poll(), "the wait to be told")
    assert (wait["trial_id"], wait["wants"]) == ("0000", f"{max(2, cores)} CPU")
    [holder] = wait["holders"]
    assert (holder["study"], holder["trial_id"], holder["folder"]) == ("holding", "0000", str(first))
    assert "trial 0000 of study holding" in " ".join(tell("status", second).output.split())
    wait_until(lambda: "trial 0000 of study holding" in workplace.errors(run), "the terminal to tell")
    stop_group(holding, signal.SIGINT)
    assert workplace.finish(holding)[0] == 130
    assert workplace.finish(run)[0] == 0, workplace.errors(run)
    assert waits(tell, second) == []
    assert_nothing_left(workplace, first, second)
