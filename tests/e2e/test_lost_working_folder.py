"""A study whose working folder was deleted before it began: all that it names is absolute."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.e2e.studies import AUTOTUNER, Workplace, assert_nothing_left, paced_study

QUICK = {"search": {"trials": 1, "confirm": 0, "baseline": {"env.TTFT_MS": "600"}}, "fidelity": {"rungs": 1}}


def test_a_study_runs_without_a_working_folder(workplace: Workplace, tmp_path: Path) -> None:
    gone, out = tmp_path / "gone", tmp_path / "out"
    gone.mkdir()
    study = paced_study(workplace, **QUICK)
    command = ["sh", "-c", 'rmdir "$0" && exec "$@"', str(gone), *AUTOTUNER, "run", str(study), "--out", str(out)]
    done = subprocess.run(
        command,
        cwd=gone,
        env=workplace.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((out / "summary.json").read_text(encoding="utf-8"))["status"] == "completed"
    assert_nothing_left(workplace, out)
