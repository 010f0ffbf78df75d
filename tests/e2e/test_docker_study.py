"""A whole study whose servers run in containers of a real daemon."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.studies import Workplace, assert_nothing_left, rows
from tests.integration.dockerd import IMAGE, dockerd, why_not


@pytest.mark.skipif(bool(why_not()), reason=why_not() or "docker runs")
def test_a_study_in_containers_ends_well_and_leaves_none(workplace: Workplace) -> None:
    folder = workplace.folder / "out"
    study = workplace.study_file(
        workplace.folder,
        engine={"image": IMAGE},
        launcher={"kind": "docker", "memory_gib": 2},
        space={"parameters": {"parallel": [4], "batch-size": [256]}},
        search={"algorithm": "grid", "trials": 2, "confirm": 0},
        fidelity={"rungs": 1},
    )
    with dockerd() as daemon:
        done = workplace.run("run", study, "--out", folder, DOCKER_HOST=daemon.host)
        assert done.returncode == 0, done.stderr
        assert daemon.containers() == []
    assert [row["state"] for row in rows(folder, "SELECT state FROM trials")] == ["completed"] * 2
    assert all(_log(folder, trial).strip() for trial in ("0000", "0001"))
    assert_nothing_left(workplace, folder)


def _log(folder: Path, trial: str) -> str:
    return (folder / "logs" / trial / f"{trial}-l1-rank0.log").read_text(encoding="utf-8")
