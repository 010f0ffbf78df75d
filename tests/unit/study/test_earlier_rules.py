"""A study of an earlier version keeps the rules it was begun with."""

from __future__ import annotations

import pytest

from autotuner.study import dump_study, parse_kept_study, parse_study
from autotuner.study.earlier_rules import EARLIER, with_earlier_rules

STUDY = parse_study(
    "{model: {id: some/model}, engine: {name: vllm}, workload: {scenario: 'D(8,8)', load: {concurrency: [1]}}}"
)


def test_a_key_that_is_lacking_is_as_it_was_before_there_was_one() -> None:
    earlier = {"search.stop": None, "fidelity.cut": "requests"}
    data = {"name": "old", "search": {"trials": 3}, "fidelity": {"cut": "levels"}}
    assert with_earlier_rules(data, earlier) == {
        "name": "old",
        "search": {"trials": 3, "stop": None},
        "fidelity": {"cut": "levels"},
    }
    assert data["search"] == {"trials": 3}


def test_a_section_that_is_none_is_left_to_its_check() -> None:
    assert with_earlier_rules({"search": 3}, {"search.stop": None}) == {"search": 3}
    assert with_earlier_rules({}, {"search.stop": None}) == {}


@pytest.mark.parametrize("name", EARLIER)
def test_the_study_of_a_folder_is_read_by_earlier_rules_and_a_new_one_by_todays(name: str) -> None:
    section, key = name.split(".")
    lines = dump_study(STUDY).splitlines()
    start = lines.index(f"{section}:")
    first = next(at for at, line in enumerate(lines) if at > start and line.startswith(f"  {key}:"))
    after = next(at for at, line in enumerate(lines) if at > first and not line.startswith("    "))
    kept = lines[:first] + lines[after:]
    text = "\n".join(kept)
    assert getattr(getattr(parse_kept_study(text, "study.yaml"), section), key) == EARLIER[name]
    assert getattr(parse_study(text), section) == getattr(STUDY, section)
