"""What is written is read again as the same study."""

from __future__ import annotations

import re
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from autotuner.strict.yaml_text import dump_yaml, parse_yaml
from autotuner.study import Study, dump_study, parse_study, study_id, yaml_scalar

TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc")) | st.sampled_from("\n\t\x85\u2028"), max_size=12)
AWKWARD = st.sampled_from(
    [
        "on",
        "no",
        "1e3",
        "0x1f",
        "010",
        "1:30",
        "~",
        "null",
        "2024-01-01",
        "",
        " a",
        "- b",
        "{x}",
        "a: b",
        "#",
        "=",
        "1_0",
        "57e93014",
        "12e5",
        "1e-999",
        "0o17",
        "08",
        "+12",
        ".5",
        "1.",
        "y",
        "N",
        "True",
        "-.inf",
        ".NaN",
        "<<",
    ]
)
SCALAR = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | AWKWARD
)
PLAIN = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT | AWKWARD, inner, max_size=3), max_leaves=8
)
POSITIVE = st.floats(1e-3, 1e6)
SOURCES = (
    st.just("D(10,2)")
    | TEXT
    | AWKWARD
    | st.fixed_dictionaries({"dataset": st.just("/data/d.jsonl")})
    | st.fixed_dictionaries({"trace": st.just("/data/t.jsonl")})
)
LOADS = st.fixed_dictionaries({"concurrency": st.lists(st.integers(1, 512), min_size=1, unique=True)}) | (
    st.fixed_dictionaries(
        {"rate": st.lists(POSITIVE, min_size=1, unique=True), "arrival": st.sampled_from(["poisson", "constant"])}
    )
)
ENV = st.dictionaries(
    st.from_regex(r"[A-Z]{1,6}_X", fullmatch=True), TEXT | AWKWARD | st.just({"from_env": "SECRET_NAME"}), max_size=3
)


@st.composite
def studies(draw: st.DrawFn) -> dict[str, Any]:
    data: dict[str, Any] = {
        "name": draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)),
        "model": {"id": draw(st.sampled_from(["org/model", "/m/tiny.gguf"])), "served_name": draw(st.none() | TEXT)},
        "engine": {"name": "llamacpp", "args": draw(st.dictionaries(TEXT, PLAIN, max_size=3)), "env": draw(ENV)},
        "workload": {"scenario": draw(SOURCES), "load": draw(LOADS)},
        "space": {"parameters": draw(st.dictionaries(TEXT, PLAIN, max_size=3)), "constraints": draw(st.lists(TEXT))},
        "slo": {"ttft": {"p90": {"threshold_ms": draw(POSITIVE)}}, "steepness": draw(POSITIVE)},
        "search": {"baseline": draw(st.just("default") | st.dictionaries(TEXT, PLAIN, max_size=2))},
    }
    if draw(st.booleans()):
        data["launcher"] = {"kind": "endpoint", "url": "http://host:1", "headers": {"X-A": draw(TEXT)}}
        data["space"] = {}
        data["search"] = {}
    return data


@given(studies())
def test_a_written_study_is_read_as_the_same_study(data: dict[str, Any]) -> None:
    study = Study.model_validate(data)
    again = parse_study(dump_study(study))
    assert again == study
    assert study_id(again) == study_id(study)


@given(PLAIN)
def test_plain_data_survives_yaml(data: Any) -> None:
    assert same(parse_yaml(dump_yaml(data), "test"), data)


@given(SCALAR)
def test_one_value_stands_anywhere_in_a_file(value: Any) -> None:
    written = yaml_scalar(value)
    assert "\n" not in written
    assert same(parse_yaml(f"a: {{b: [{written}]}}\nc: {written}", "test"), {"a": {"b": [value]}, "c": value})


# YAML 1.2.2, 10.3.2: what its core schema takes for something else than a text.
CORE = re.compile(
    r"null|Null|NULL|~||true|True|TRUE|false|False|FALSE|[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"
    r"|[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?(\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN"
)


@given(TEXT | AWKWARD | st.from_regex(r"[-+]?[0-9.]{0,3}[eExXo_:-]?[-+]?[0-9a-f]{0,3}", fullmatch=True))
def test_a_text_is_one_to_readers_of_yaml_1_1_and_1_2_alike(text: str) -> None:
    written = yaml_scalar(text)
    assert yaml.safe_load(written) == text  # 1.1
    is_plain = written == text
    assert not (is_plain and CORE.fullmatch(text))
    assert not (is_plain and text in ("y", "Y", "n", "N"))  # booleans of 1.1 that PyYAML does not take for such


def same(left: Any, right: Any) -> bool:
    """Equal, and of equal types all the way down."""
    return bool(left == right) and repr(left) == repr(right)
