"""What becomes of trials that have begun when no budget is left to go on with them."""

from __future__ import annotations

from pathlib import Path

from autotuner.results import OutputFolder, Store, resolved_yaml
from autotuner.results.records import Phase, StudyStatus, TrialRecord, TrialState, Usage
from autotuner.study.model import Study
from autotuner.tuning.on_ray.runner import run_study
from benchmarks.raylets import NodeKind, raylets
from benchmarks.scale_study import empty_study

BEGUN = TrialRecord("0000", Phase.BASELINE, {}, started_at=1.0, gpus=8, usage=Usage(reserved_s=60.0))


def test_a_trial_that_was_to_be_gone_on_with_is_stopped_when_the_budget_is_spent(tmp_path: Path) -> None:
    study = Study.model_validate(empty_study(tmp_path, 2).model_dump() | {"budget": {"gpu_hours": 0.1}})
    folder = OutputFolder(tmp_path / "out")
    folder.prepare(study, "s1")
    with Store(folder.database_url, folder.requests) as store:
        store.open_study(resolved_yaml(study, "s1"), "s1", study.name, now=1.0)
        store.add_trial(BEGUN)  # its driver was killed
        store.set_usage("0000", BEGUN.usage)
    with raylets([NodeKind(8, "H100-80GB")]) as cluster:
        ending = run_study(study, "s1", folder, cluster.address, [])
    assert ending.stop_reason == "budget: gpu_hours"
    with Store(folder.database_url, folder.requests) as store:
        assert store.read_study("s1").status is StudyStatus.COMPLETED
        [trial] = store.trials()
    assert (trial.state, trial.message, trial.usage) == (TrialState.STOPPED, "budget: gpu_hours", BEGUN.usage)
