"""What each changed setting of the best is worth: measured, believed, or not known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autotuner.errors import FolderError
from autotuner.results import OutputFolder, StudyResults
from autotuner.results.worth import FlagBelief, FlagBeliefs, FlagWorth, Source, keep_beliefs, kept_beliefs
from tests.known_results import Known

BELIEFS = FlagBeliefs(
    "0001",
    (
        FlagBelief("batch-size", {"ubatch-size": 32}, 1.25, 1.1, 1.5, 0.99),
        FlagBelief("ubatch-size", {"batch-size": 256}, None, None, None, 0.01),
    ),
)


def results(beliefs: FlagBeliefs | None = BELIEFS, *, afresh: bool = False) -> StudyResults:
    """The default, the best of two changes, and it with batch-size put back, which may have run afresh as well."""
    known = Known({"objective": "throughput"})
    for trial_id, value, config in (
        ("0000", 100.0, {}),
        ("0001", 200.0, {"batch-size": 256, "ubatch-size": 32}),
        ("0002", 190.0, {"ubatch-size": 32}),
    ):
        known.trial(trial_id, {level: {"output_tokens_per_s": value} for level in (1, 2)}, config=config)
    for trial_id, value in (("0001-c1", 202.0), ("0000-c1", 100.0), *([("0002-c1", 160.0)] if afresh else [])):
        known.trial(trial_id, {level: {"output_tokens_per_s": value} for level in (1, 2)})
    return replace(known.results(), flag_beliefs=beliefs)


def test_what_is_believed_is_told_with_its_interval_and_source() -> None:
    batch, micro = results().flag_worths
    assert batch == FlagWorth("batch-size", 256, None, 1.25, (1.1, 1.5), Source.SURROGATE, 0.99)
    assert micro == FlagWorth("ubatch-size", 32, None, meets=0.01)


def test_runs_of_both_count_before_any_belief() -> None:
    found = results(afresh=True)
    batch, _ = found.flag_worths
    assert found.best is not None
    assert found.best.trial_id == "0001"
    assert batch.source is Source.RUNS
    assert batch.ratio == pytest.approx(202 / 160)
    assert batch.ci95 is not None
    assert batch.ci95[0] < 202 / 160 < batch.ci95[1]


def test_runs_of_the_search_are_no_runs_of_both() -> None:
    """The best was picked for its value there."""
    assert results().flag_worths[0].source is Source.SURROGATE


@pytest.mark.parametrize("beliefs", [None, replace(BELIEFS, trial_id="0002")])
def test_without_beliefs_of_the_best_every_change_is_not_known(beliefs: FlagBeliefs | None) -> None:
    assert results(beliefs).flag_worths == (
        FlagWorth("batch-size", 256, None),
        FlagWorth("ubatch-size", 32, None),
    )


def test_what_differs_through_another_alone_has_no_worth_of_its_own() -> None:
    own = FlagBelief("ubatch-size", {"batch-size": 256, "ubatch-size": 32})
    assert [flag.parameter for flag in results(FlagBeliefs("0001", (own,))).flag_worths] == ["batch-size"]


def test_a_setting_at_what_is_built_in_is_no_change() -> None:
    known = Known({"objective": "throughput"})
    known.trial("0000", {level: {"output_tokens_per_s": 1.0} for level in (1.0, 2.0)})
    better = {level: {"output_tokens_per_s": 2.0} for level in (1.0, 2.0)}
    known.trial("0001", better, config={"ubatch-size": 512, "batch-size": 256})
    assert [flag.parameter for flag in known.results().flag_worths] == ["batch-size"]


def test_summary_has_them() -> None:
    assert results().summary["flags"][0] == {
        "parameter": "batch-size",
        "value": 256,
        "default": None,
        "ratio": 1.25,
        "ci95": (1.1, 1.5),
        "source": "surrogate",
        "meets": 0.99,
    }


def test_beliefs_are_kept_in_the_folder(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path)
    assert kept_beliefs(folder) is None
    keep_beliefs(folder, BELIEFS)
    assert kept_beliefs(folder) == BELIEFS
    folder.flags_json.write_text('{"trial_id": "0001", "flags": [{"no": 1}]}')
    with pytest.raises(FolderError, match=r"flags\.json can't be read"):
        kept_beliefs(folder)
