"""``autotuner run`` without a study file: one line makes a study, shows it, runs it and keeps it."""

from __future__ import annotations

import json

import pytest

from autotuner.study import load_study, parse_study
from tests.e2e.studies import Workplace, assert_nothing_left, rows

pytestmark = pytest.mark.timeout(400)


def test_one_line_runs_a_study(workplace: Workplace) -> None:
    out = workplace.folder / "out"
    line = (
        *("--engine", "llamacpp", "--model", str(workplace.model), "--name", "in-a-line"),
        *("--slo", "ttft.p90=20s", "--slo", "tpot.mean=5s", "--scenario", "D(16,4)", "--objective", "ttft_p50"),
        *("--concurrency", "2", "--trials", "2"),
    )
    changes = {
        "workload.requests": "{per_slot: 2, min: 8}",
        "workload.client_lag_ms": "10000",  # how busy the machine is decides nothing here
        "search.heed_disturbance": "false",
        "search.confirm": "1",
        "fidelity.rungs": "1",
        "engine.args.ctx-size": "1024",
        "engine.args.threads": "1",
        "space": "{parameters: {parallel: [2]}}",
    }
    sets = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    done = workplace.run("run", *line, *sets, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["name"] == "in-a-line"

    shown = done.stderr[done.stderr.index("# A study for Autotuner") :]
    assert "ttft: {p90: {threshold_ms: 20000}}" in shown
    assert "--set search.confirm=1" in shown

    kept = parse_study((out / "study.yaml").read_text(encoding="utf-8"))
    (written := workplace.folder / "study.yaml").unlink(missing_ok=True)
    init = workplace.run("init", *line, "--out", written)
    assert init.returncode == 0, init.stderr
    assert load_study(written, [f"{key}={value}" for key, value in changes.items()]).study == kept

    phases = [row["phase"] for row in rows(out, "SELECT phase FROM trials ORDER BY position")]
    assert phases[:2] == ["baseline", "search"]
    assert phases[2:] in ([], ["confirm", "confirm"])  # none where the default was the better one, which is by chance
    assert_nothing_left(workplace, out)
