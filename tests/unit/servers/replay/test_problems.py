"""What keeps a study from being replayed from its table, told before anything starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autotuner.api.checking import check
from autotuner.errors import AutotunerError, StudyError
from autotuner.study.model import Study
from tests.replay_tables import BATCHES, LEVELS, MICRO, row, study, surface, write

Given = Callable[..., Study]


@pytest.fixture
def given(tmp_path: Path) -> Given:
    def make(rows: list[dict[str, Any]] | None = None, **sections: Any) -> Study:
        return study(write(tmp_path / "table.jsonl", surface() if rows is None else rows), **sections)

    return make


def refused(study: Study) -> AutotunerError:
    with pytest.raises(StudyError) as caught:
        check(study)
    return caught.value


def test_a_study_that_the_table_answers_needs_nothing_else(given: Given) -> None:
    report = check(given(model={"id": "no/such-model"}))
    assert report.count.number == 12
    assert report.needs == {"CPU": 0.0, "GPU": 1.0}
    assert report.warnings == ()
    assert ("measurements", "replayed from recorded measurements (table.jsonl): no server ran, time is virtual") in (
        report.plan()
    )


def test_every_searched_parameter_has_a_column(given: Given) -> None:
    parameters = {"batch-size": list(BATCHES), "ubatch-size": list(MICRO), "threads": [1, 2]}
    error = refused(given(space={"parameters": parameters}))
    assert (error.key, error.value) == ("launcher.table", "column config.threads")


def test_a_column_that_the_study_neither_searches_nor_fixes_has_one_value(given: Given) -> None:
    narrow = {"space": {"parameters": {"batch-size": list(BATCHES)}}, "search": {"baseline": {"batch-size": 64}}}
    assert refused(given(**narrow)).value == "column config.ubatch-size"
    check(given(**narrow, engine={"name": "llamacpp", "args": {"ubatch-size": 32}}))


def test_load_levels_are_the_tables(given: Given) -> None:
    error = refused(given(workload={"scenario": "D(100,10)", "load": {"concurrency": [1, 2]}}))
    assert (error.key, error.value) == ("workload.load", "concurrency 2")
    assert "concurrency 1, concurrency 4" in error.message


def test_more_requests_than_were_recorded_are_told(given: Given) -> None:
    workload = {"scenario": "D(100,10)", "load": {"concurrency": list(LEVELS)}, "requests": {"min": 64}}
    assert any("the table has 16 requests" in warning for warning in check(given(workload=workload)).warnings)


def test_what_is_only_told_hides_nothing_that_is_refused(given: Given) -> None:
    workload = {"scenario": "D(100,10)", "load": {"concurrency": list(LEVELS)}, "requests": {"min": 64}}
    assert refused(given(workload=workload, search={"baseline": "default"})).key == "search.baseline"
    hard = {"ttft": {"p90": {"threshold_ms": 10, "hard_fail": True}}}
    assert "no feasible Config" in refused(given(workload=workload, slo=hard)).message


@pytest.mark.parametrize(
    ("sections", "key"),
    [
        ({"objective": "energy_j_per_token"}, "objective"),
        ({"slo": {"itl": {"p99": "50ms"}}}, "slo.itl.p99"),
    ],
)
def test_what_the_requests_do_not_tell_is_refused(given: Given, sections: dict[str, Any], key: str) -> None:
    assert refused(given(**sections)).key == key


def metric_rows(**metrics: float) -> list[dict[str, Any]]:
    configs = ({"batch-size": batch, "ubatch-size": micro} for batch in BATCHES for micro in MICRO)
    return [row(config, level, **metrics) for config in configs for level in LEVELS]


def test_metrics_must_have_what_the_study_asks_for(given: Given) -> None:
    rows = metric_rows(ttft_p90_ms=100.0, requests_per_s=1.0)
    assert refused(given(rows)).value == "goodput_per_gpu"
    check(given(rows, objective="ttft_p90"))
    check(given(metric_rows(ttft_p90_ms=100.0, goodput_per_s=1.0, requests_per_s=1.0)))


def test_metrics_must_tell_how_long_they_took(given: Given) -> None:
    assert refused(given(metric_rows(ttft_p90_ms=100.0, goodput_per_s=1.0))).value == "column requests_per_s"


def test_the_default_is_in_the_table(given: Given) -> None:
    error = refused(given(search={"baseline": "default"}))
    assert (error.key, "without any flag" in error.message) == ("search.baseline", True)


def test_every_config_is_in_the_table_or_its_nearest_is_asked_for(given: Given) -> None:
    lacking = [one for one in surface() if one["config.batch-size"] != 256]
    assert "no row of batch-size 256, ubatch-size 16" in refused(given(lacking)).message
    study = given(lacking)
    check(study.model_copy(update={"launcher": study.launcher.model_copy(update={"nearest": True})}))


def test_a_continuous_range_needs_the_nearest(given: Given) -> None:
    space = {"parameters": {"batch-size": {"int": [64, 512]}, "ubatch-size": list(MICRO)}}
    assert "narrow the space, or set `nearest: true`" in refused(given(space=space)).message


def test_a_table_without_a_feasible_config_is_refused_with_the_closest(given: Given) -> None:
    hard = {"ttft": {"p90": {"threshold_ms": 10, "hard_fail": True}}}
    message = refused(given(slo=hard)).message
    assert "no feasible Config" in message
    assert "ttft_p90_ms 31.25 over 10 (batch-size 512, ubatch-size 32)" in message


def test_no_file_is_told_before_anything_starts(given: Given, tmp_path: Path) -> None:
    study = given()
    (tmp_path / "table.jsonl").unlink()
    assert "No such file" in refused(study).message
