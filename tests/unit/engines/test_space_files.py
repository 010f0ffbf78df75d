"""The shipped space files and the laptop study name only flags and values that the engine takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from autotuner.engines import build_space, get_engine
from autotuner.study import Study, load_study

ROOT = Path(__file__).parents[3]
SPACE_FILES = sorted(path.stem for path in (ROOT / "search_spaces" / "llamacpp").glob("*.yaml"))


def values_of(study: Study) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for name, values in study.space.parameters.items():
        assert isinstance(values, list)
        found += [(name, value) for value in values]
    return found


@pytest.mark.parametrize("name", SPACE_FILES)
def test_a_space_file_suits_the_engine(name: str, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(
        "model: {id: m.gguf}\n"
        "engine: {name: llamacpp}\n"
        f"space: {{include: [llamacpp/{name}]}}\n"
        "workload: {scenario: 'D(8,8)'}\n"
    )
    study = load_study(path).study
    build_space(study)
    assert get_engine("llamacpp").problems(study, values_of(study)) == []


def test_the_laptop_study_is_what_the_readme_promises() -> None:
    study = load_study(ROOT / "examples" / "laptop" / "study.yaml").study
    build_space(study)
    assert get_engine("llamacpp").problems(study, values_of(study)) == []
    assert study.search.trials >= 16
    assert len(study.space.parameters) >= 5
    assert study.fidelity.rungs == 3
    assert study.fidelity.trial_scheduler == "asha"
    assert study.search.confirm == 3
