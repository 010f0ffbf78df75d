"""The verdict in words."""

from __future__ import annotations

import dataclasses

import pytest

from autotuner.report.facts.verdict import Tone, verdict
from autotuner.results import StudyResults, StudyStatus, load_results
from benchmarks.synthetic_study import Shape, make_study, write_folder


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    shape = Shape(trials=6, levels=(1, 4), failing=0.0, stopped=0.0)
    return load_results(write_folder(tmp_path_factory.mktemp("study"), make_study(shape), shape))


def test_a_study_that_was_interrupted_says_so_first(results: StudyResults) -> None:
    interrupted = dataclasses.replace(results, status=StudyStatus.INTERRUPTED)
    told = verdict(interrupted)
    assert told.headline.startswith("Interrupted after 6 of ")
    assert told.headline.endswith(verdict(results).headline)
    assert told.tone is Tone.NEUTRAL


def test_a_study_that_came_to_its_end_is_not_called_interrupted(results: StudyResults) -> None:
    assert "nterrupted" not in verdict(results).headline
