"""Which trial is another one with settings put back, in words."""

from __future__ import annotations

from autotuner.report.facts.put_back_lines import put_back_lines
from autotuner.report.facts.verdict import verdict
from autotuner.results import Phase, StudyResults
from tests.known_results import Known


def results(plain: float) -> StudyResults:
    """The best of two settings, and it with one of them put back; what it came to afresh."""
    known = Known({"objective": "throughput"})
    for trial_id, value, config, phase in (
        ("0000", 100.0, {}, Phase.BASELINE),
        ("0014", 200.0, {"threads": 2, "batch-size": 256}, Phase.SEARCH),
        ("0031", 199.9, {"threads": 2}, Phase.PUT_BACK),
        ("0014-c1", 200.1, {"threads": 2, "batch-size": 256}, Phase.CONFIRM),
        ("0000-c1", 100.0, {}, Phase.CONFIRM),
        ("0031-c1", plain, {"threads": 2}, Phase.CONFIRM),
    ):
        figures = {level: {"output_tokens_per_s": value} for level in (1.0, 2.0)}
        known.trial(trial_id, figures, config=config, phase=phase)
    return known.results()


def test_the_one_that_is_chosen_is_told_as_what_it_is() -> None:
    told = "Trial 0031 is trial 0014 with batch-size put back to the default, and no worse beyond noise."
    assert list(put_back_lines(results(199.8))) == [told]
    found = verdict(results(199.8))
    assert told in found.details
    assert found.headline.startswith("Recommended: trial 0031")


def test_one_that_lost_is_told_too() -> None:
    told = "Trial 0031 is trial 0014 with batch-size put back to the default; it was not chosen."
    assert list(put_back_lines(results(150.0))) == [told]


def test_a_study_without_any_says_nothing() -> None:
    known = Known({"objective": "throughput"})
    known.trial("0000", {1.0: {"output_tokens_per_s": 1.0}})
    assert list(put_back_lines(known.results())) == []
