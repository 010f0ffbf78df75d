"""Layers: merging does not depend on how it is grouped, and what is explained is what holds."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from autotuner.study import load_study
from autotuner.study.layers.origins import LayerKind, Origin
from autotuner.study.layers.stack import LayerStack

NUMBERS = st.integers(1, 9)
LOADS = st.sampled_from([{"concurrency": [1]}, {"concurrency": [2, 4]}, {"rate": [1.5], "arrival": "constant"}])
RANGES = st.sampled_from([[1, 2], {"int": [1, 8]}, {"int": [1, 8], "log": True}, {"float": [0, 1]}])
# Values of several kinds at their places; one of two spellings of a flag; two keys that exclude each other.
PLACES: dict[tuple[str, ...], st.SearchStrategy[Any]] = {
    ("slo", "ttft", "p90", "threshold_ms"): NUMBERS,
    ("slo", "ttft", "p90", "weight"): NUMBERS,
    ("slo", "tpot", "mean", "threshold_ms"): NUMBERS,
    ("timeouts", "start_s"): NUMBERS,
    ("workload", "load"): LOADS,
    ("workload", "scenario"): st.sampled_from(["D(1,1)", "D(2,2)"]),
    ("workload", "scenarios"): st.just([{"scenario": "D(3,3)"}]),
    ("space", "parameters", "batch-size"): RANGES,
    ("space", "constraints"): st.lists(st.sampled_from(["a > 1", "b > 2"]), min_size=1),
    ("engine", "args"): st.dictionaries(st.sampled_from(["ctx-size", "ctx_size"]), NUMBERS, min_size=1, max_size=1),
    ("engine", "env", "A"): st.sampled_from(["x", "y"]),
}
SIMPLE = {  # keys whose values are theirs alone
    "slo.ttft.p90.threshold_ms": NUMBERS,
    "slo.ttft.p90.weight": NUMBERS,
    "slo.ttft.p99.threshold_ms": NUMBERS,
    "slo.error_rate": st.sampled_from([0.1, 0.2]),
    "timeouts.start_s": NUMBERS,
    "timeouts.rung_s": NUMBERS,
    "search.trials": NUMBERS,
    "fidelity.eta": st.integers(2, 9),
}
DEFAULTS = {"slo.error_rate": 0.01, "timeouts.start_s": 900.0, "timeouts.rung_s": 900.0, "search.trials": 40}
DEFAULTS |= {"fidelity.eta": 3, "slo.ttft.p90.weight": 1.0}


def nested(flat: dict[tuple[str, ...], Any]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for path, value in flat.items():
        below = data
        for name in path[:-1]:
            below = below.setdefault(name, {})
        below[path[-1]] = value
    return data


LAYERS = st.fixed_dictionaries({}, optional=PLACES).map(nested)


def merged(*layers: dict[str, Any]) -> dict[str, Any]:
    stack = LayerStack()
    for index, layer in enumerate(layers):
        stack.patch(layer, Origin(LayerKind.PROFILE, str(index)))
    return stack.data


def unambiguous(layer: dict[str, Any]) -> dict[str, Any]:
    """One layer says a thing once: its own order decides else."""
    return merged(layer)


@given(LAYERS.map(unambiguous), LAYERS.map(unambiguous), LAYERS.map(unambiguous))
def test_patching_is_associative(low: dict[str, Any], middle: dict[str, Any], high: dict[str, Any]) -> None:
    assert merged(merged(low, middle), high) == merged(low, merged(middle, high))


@given(LAYERS.map(unambiguous))
def test_nothing_is_neutral_and_a_layer_laid_twice_counts_once(layer: dict[str, Any]) -> None:
    assert merged({}, layer) == merged(layer, {}) == merged(layer, layer) == layer


# ── explanations against an account of our own ───────────────────────────────────────────────


def flat_layers() -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    return st.tuples(st.sampled_from(["patch", "replace"]), st.fixed_dictionaries({}, optional=SIMPLE))


def expected(key: str, layers: list[tuple[str, str, dict[str, Any]]]) -> tuple[str | None, Any]:
    """Looks down from the top: the first layer that names the key, or that empties its section."""
    for name, mode, flat in reversed(layers):
        if key in flat:
            return name, flat[key]
        if mode == "replace" and any(other.startswith(key.partition(".")[0] + ".") for other in flat):
            break
    return None, DEFAULTS.get(key)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(flat_layers(), max_size=3),
    st.fixed_dictionaries({}, optional=SIMPLE),
    st.fixed_dictionaries({}, optional=SIMPLE),
)
def test_what_is_explained_is_what_holds(
    profiles: list[tuple[str, dict[str, Any]]], own: dict[str, Any], overrides: dict[str, Any]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        names, layers = [], []
        for index, (mode, flat) in enumerate(profiles):
            if flat:
                name = f"./p{index}.yaml"
                content = {"mode": mode, "study": nested({tuple(k.split(".")): v for k, v in flat.items()})}
                (Path(folder) / name).write_text(yaml.safe_dump(content))
                names.append(name)
                layers.append((f"profile layer {name}", mode, flat))
        threshold = {"slo.ttft.p90.threshold_ms": 5, "slo.ttft.p99.threshold_ms": 5}  # a term must have one
        own = {**threshold, **own}
        study = {
            "model": {"id": "m.gguf"},
            "engine": {"name": "llamacpp"},
            "workload": {"scenario": "D(1,1)"},
            "profiles": names,
            **nested({tuple(k.split(".")): v for k, v in own.items()}),
        }
        file = Path(folder) / "study.yaml"
        file.write_text(yaml.safe_dump(study))
        layers.append((str(file), "patch", own))
        layers += [(f"--set {key}={value}", "patch", {key: value}) for key, value in overrides.items()]
        loaded = load_study(file, [f"{key}={value}" for key, value in overrides.items()])
    for key in SIMPLE:
        (told,) = loaded.origins.explain(loaded.study, key)
        layer, value = expected(key, layers)
        assert told.value == value, key
        assert str(told.origin) == (layer or "the default"), key
        assert told.value == at(loaded.study.model_dump(mode="json"), key)


def at(data: Any, key: str) -> Any:
    for name in key.split("."):
        data = data[name]
    return data
