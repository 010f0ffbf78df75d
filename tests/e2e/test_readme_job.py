"""README's `ray job submit` line, as it stands there, on the project's own local cluster of several nodes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.e2e.studies import Workplace, assert_nothing_left, merged, rows
from tests.e2e.test_docs_commands import SMALLER, TOLD, Desk, yaml_of
from tests.local_cluster import local_cluster

# What stands in the line for the reader's own: the cluster's head, its Python, a disk of its own.
HEAD, PYTHON, DISK = "http://HEAD:8265", "/opt/autotuner/.venv/bin/python", "/data/"


def test_a_study_in_a_working_directory_runs_as_a_job_on_several_nodes(workplace: Workplace) -> None:
    (line,) = [told.line for told in TOLD if told.page == "README.md" and told.line.startswith("ray job submit")]
    assert all(placeholder in line for placeholder in (HEAD, PYTHON, DISK))
    with local_cluster(workplace.environment) as cluster:
        cluster.up("--dashboard", "--cpus", "4", "1xL40S-48GB", "1xL40S-48GB")
        workplace.variables.update(cluster.exports)
        desk = Desk(workplace, workplace.folder / "readme")
        desk.write("study.yaml", merged(yaml_of("README.md", "small"), SMALLER))
        data = f"{workplace.folder}/data/"
        log = desk.run(line, replaced={HEAD: cluster.dashboard, PYTHON: sys.executable, DISK: data})
        workplace.look()
    out = Path(data) / "studies" / "small"
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert summary["status"] == "completed"
    trials = rows(out, "SELECT state, failure FROM trials")
    # A client that a busy machine kept waiting says nothing of the job.
    assert {trial["state"] for trial in trials if trial["failure"] != "CLIENT_SATURATED"} == {"completed"}
    assert f"Best trial: {summary['best']['trial_id']}" in log
    assert "internal error" not in log
    assert_nothing_left(workplace, out)
