"""The Grafana dashboard asks for what the driver exports, by labels that it has, and for all of it."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from autotuner.tuning.on_ray.metrics_observer import STUDY_METRICS

FILE = Path(__file__).parents[3] / "cluster" / "grafana" / "autotuner.json"
DASHBOARD: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
LABELS = {f"ray_{metric.name}": {"study", *metric.labels} for metric in STUDY_METRICS}  # Ray puts its name before
_METRIC = re.compile(r"\bray_\w+")
_NAMED = re.compile(r"\bby \(([^)]*)\)")
_SELECTED = re.compile(r"\{([^}]*)\}")


def queries() -> list[str]:
    return [target["expr"] for panel in PANELS for target in panel["targets"]]


def test_every_metric_that_is_asked_for_is_exported_and_every_exported_one_is_shown() -> None:
    asked = {name for query in queries() for name in _METRIC.findall(query)}
    assert asked == LABELS.keys()


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: str(panel["title"]))
def test_queries_and_legends_use_the_labels_that_there_are(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        [name] = _METRIC.findall(target["expr"])
        [selected] = _SELECTED.findall(target["expr"])
        used = {label.strip() for group in _NAMED.findall(target["expr"]) for label in group.split(",")}
        used |= {match.split("=")[0].strip() for match in selected.split(",")}
        assert used <= LABELS[name]
        kept = {label.strip() for label in _NAMED.findall(target["expr"])[0].split(",")}
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= kept


def test_counters_are_summed_over_lives_and_gauges_are_not() -> None:
    for query in queries():
        [name] = _METRIC.findall(query)
        is_counter = next(metric.is_counter for metric in STUDY_METRICS if f"ray_{metric.name}" == name)
        inner = re.search(r"(\w+) by \([^)]*\) \((?:rate\()?ray_", query)
        assert inner is not None
        assert inner[1] == ("sum" if is_counter else "max")


def test_the_data_source_is_a_variable_that_every_panel_uses() -> None:
    source = {"type": "prometheus", "uid": "${datasource}"}
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    assert variables["study"]["datasource"] == source
    assert set(_METRIC.findall(variables["study"]["definition"])) <= LABELS.keys()
    for panel in PANELS:
        assert panel["datasource"] == source
        assert all(target["datasource"] == source for target in panel["targets"])


def test_it_can_be_imported_and_its_panels_do_not_overlap() -> None:
    assert DASHBOARD["title"] == "Autotuner"
    assert "id" not in DASHBOARD, "a number of one installation's own"
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for one, other in itertools.combinations([panel["gridPos"] for panel in PANELS], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in PANELS)
