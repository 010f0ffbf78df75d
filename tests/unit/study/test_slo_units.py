"""SLOs with their units, in files as on the command line; short forms in layers; limits that nobody can mean."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autotuner.api.checking import check
from autotuner.errors import InputError, StudyError
from autotuner.study import doubtful_limits, dump_study, load_slo, load_slos, load_study, parse_study, read_slos
from autotuner.study.model import Slo, SloTerm, Study
from tests.engine_studies import study

STUDY = """
name: demo
model: {id: org/model}
engine: {name: vllm}
workload: {scenario: "D(64,16)"}
"""
Load = Callable[..., Study]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def _load(text: str = "", *overrides: str) -> Study:
        (tmp_path / "study.yaml").write_text(STUDY + text, encoding="utf-8")
        return load_study(tmp_path / "study.yaml", overrides).study

    return _load


def p90(study: Study) -> SloTerm | None:
    return study.slo.ttft.p90


@pytest.mark.parametrize(
    ("text", "limit_ms"),
    [("300ms", 300), ("2s", 2000), ("0.5 s", 500), ("800us", 0.8), ("800µs", 0.8), ("1.5m", 90_000), ("3e2ms", 300)],
)
def test_files_overrides_and_the_command_line_read_one_unit_alike(load: Load, text: str, limit_ms: float) -> None:
    assert read_slos([f"ttft.p90={text}"]) == {"ttft": {"p90": {"threshold_ms": limit_ms}}}
    for given in (
        load(f"slo: {{ttft: {{p90: {text}}}}}"),
        load(f"slo: {{ttft: {{p90: {{threshold: {text}}}}}}}"),
        load("", f"slo.ttft.p90={text}"),
        load("", f"slo.ttft.p90.threshold={text}"),
        load("", f"slo={{ttft: {{p90: {text}}}}}"),
        Study.model_validate({**study().model_dump(exclude={"slo"}), "slo": {"ttft": {"p90": text}}}),
    ):
        assert p90(given) == SloTerm(threshold_ms=limit_ms)


def test_what_stands_beside_a_limit_stays(load: Load) -> None:
    given = load("slo: {ttft: {p90: {threshold: 1s, weight: 2.0, hard_fail: true}, per_request: 3s}, error_rate: 2%}")
    assert p90(given) == SloTerm(threshold_ms=1000, weight=2.0, hard_fail=True)
    assert (given.slo.ttft.per_request_ms, given.slo.error_rate) == (3000, 0.02)
    assert parse_study(dump_study(given)) == given


def test_a_short_form_over_a_profile_changes_the_limit_alone(load: Load) -> None:
    balanced = "profiles: [slo/balanced]\n"
    assert p90(load(balanced)) == SloTerm(threshold_ms=1000, weight=2.0)
    for given in (
        load(balanced + "slo: {ttft: {p90: 300ms}}"),
        load(balanced + "slo: {ttft: {p90: {threshold: 300ms}}}"),
        load(balanced, "slo.ttft.p90=300ms"),
        load(balanced + "slo: {ttft: {p90: 1ms}}", "slo.ttft.p90.threshold=300ms"),
    ):
        assert p90(given) == SloTerm(threshold_ms=300, weight=2.0)
    assert p90(load(balanced, "slo.ttft.p90=null")) is None


def test_layers_and_slo_files_take_units_too(load: Load, tmp_path: Path) -> None:
    (tmp_path / "layer.yaml").write_text("study: {slo: {ttft: {p90: 300ms}}}\n")
    assert p90(load("profiles: [layer.yaml]")) == SloTerm(threshold_ms=300)
    for text in ("slo: {ttft: {p90: 300ms}}\n", "ttft: {p90: {threshold: 0.3s}}\n"):
        (tmp_path / "slo.yaml").write_text(text)
        assert load_slo(tmp_path / "slo.yaml").ttft.p90 == SloTerm(threshold_ms=300)


@pytest.mark.parametrize(
    ("slo", "key", "rule", "nearest"),
    [
        ("{ttft: {p90: '300'}}", "slo.ttft.p90", "with its unit", "300ms"),
        ("{ttft: {p90: 300}}", "slo.ttft.p90", "with its unit, as 300ms, or a map", None),
        ("{ttft: {p90: 3sec}}", "slo.ttft.p90", "with its unit", "3s"),
        ("{ttft: {p90: 0ms}}", "slo.ttft.p90", "above 0", None),
        ("{ttft: {p90: 1e999s}}", "slo.ttft.p90", "above 0", None),
        ("{ttft: {p90: infms}}", "slo.ttft.p90", "above 0", None),
        ("{ttft: {p90: soon}}", "slo.ttft.p90", "above 0", None),
        ("{ttft: {p90: {threshold: 300}}}", "slo.ttft.p90", "threshold_ms is a number", None),
        ("{ttft: {p90: {threshold: 1s, threshold_ms: 1}}}", "slo.ttft.p90", "either threshold or threshold_ms", None),
        ("{ttft: {p90: {threshold_ms: 2s}}}", "slo.ttft.p90.threshold_ms", "a number of milliseconds", "2000"),
        ("{ttft: {p90: {threshold_ms: x}}}", "slo.ttft.p90.threshold_ms", "a number of milliseconds", None),
        ("{ttft: {per_request: 3}}", "slo.ttft", "per_request_ms is a number", None),
        ("{error_rate: 200%}", "slo.error_rate", "a percentage", None),
    ],
)
def test_what_is_no_limit_is_refused(load: Load, slo: str, key: str, rule: str, nearest: str | None) -> None:
    with pytest.raises(StudyError) as caught:
        load(f"slo: {slo}")
    assert (caught.value.key, caught.value.nearest) == (key, nearest)
    assert rule in (caught.value.rule or "")


# ── SLOs of the command line, or of a file ────────────────────────────────────────────────────


def test_a_file_or_texts(tmp_path: Path) -> None:
    file = tmp_path / "strict=1.yaml"
    file.write_text("ttft: {p90: 100ms}\n")
    assert load_slos([file]) == load_slos(["ttft.p90=100ms"]) == Slo.model_validate({"ttft": {"p90": "100ms"}})
    both = load_slos(["ttft.p90=100ms", "tpot.mean=30ms", "error_rate=2%"])
    assert [(m, s, term.threshold_ms) for m, s, term in both.terms()] == [("ttft", "p90", 100), ("tpot", "mean", 30)]
    assert both.error_rate == 0.02


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["ttft.p90=100"], "100ms"),
        (["ttft.p91=100ms"], "ttft.p99"),
        (["nowhere.yaml"], "No such file"),
        (["nowhere.yaml", "ttft.p90=1ms"], "or one file"),
    ],
)
def test_what_is_neither_is_refused(given: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        load_slos(given)


# ── limits that nobody can mean ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("slo", "told"),
    [
        ({"ttft": {"p90": "0.8ms"}}, "slo.ttft.p90: 0.8 ms, less than 2 ms: seconds meant? That is 800ms"),
        ({"ttft": {"mean": {"threshold_ms": 0.5}}}, "slo.ttft.mean: 0.5 ms, less than 2 ms: seconds meant?"),
        ({"tpot": {"mean": {"threshold_ms": 0.03}}}, "slo.tpot.mean: 0.03 ms, less than 0.5 ms: seconds meant?"),
        ({"itl": {"p99": "0.1ms"}}, "slo.itl.p99: 0.1 ms, less than 0.5 ms: seconds meant? That is 100ms"),
        ({"e2e": {"p99": {"threshold_ms": 5}}}, "slo.e2e.p99: 5 ms, less than 10 ms: seconds meant? That is 5000ms"),
        ({"ttft": {"p90": "300s"}}, "slo.ttft.p90: 300000 ms, more than 120 s: milliseconds meant? That is 300ms"),
        ({"tpot": {"mean": "30s"}}, "slo.tpot.mean: 30000 ms, more than 10 s: milliseconds meant? That is 30ms"),
        ({"ttft": {"per_request_ms": 0.3}}, "slo.ttft.per_request_ms: 0.3 ms, less than 2 ms: seconds meant?"),
        ({"ttft": {"p90": {"threshold_ms": 1e-9}}}, "slo.ttft.p90: 1e-09 ms, less than 2 ms"),
    ],
)  # fmt: skip
def test_a_limit_in_the_wrong_unit_is_doubted(slo: dict[str, Any], told: str) -> None:
    (doubt,) = doubtful_limits(Slo.model_validate(slo))
    assert doubt.startswith(told)
    assert any(warning.startswith(told) for warning in check(study(slo=slo)).warnings)


def test_limits_that_services_have_are_not_doubted() -> None:
    usual = {
        "ttft": {"p50": "50ms", "p90": "300ms", "p99": "30s"},
        "tpot": {"mean": "5ms", "p99": "200ms"},
        "itl": {"p99": "1s"},
        "e2e": {"p50": "200ms", "p99": "10m"},
    }
    assert doubtful_limits(Slo.model_validate(usual)) == []
