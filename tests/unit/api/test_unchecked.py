"""What `check` says it can't judge of models, and that those known by their ids are judged with no file here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autotuner.api.checking import check
from autotuner.errors import SpaceError
from autotuner.models.registered import registered_ids
from tests.engine_studies import model_folder, study


@pytest.fixture(autouse=True)
def empty_hub_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


def told(key: str, **sections: Any) -> list[str]:
    return [warning for warning in check(study(**sections)).warnings if warning.startswith(f"{key}: ")]


@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm"])
def test_a_known_model_is_judged_by_its_id_alone(engine: str) -> None:
    given: dict[str, Any] = {"model": {"id": "Qwen/Qwen3-32B"}, "engine": {"name": engine}}
    report = check(study(space={"parallelism": {"tp": [2, 3, 4]}}, **given))
    assert report.facts is not None
    assert report.facts.stated_by is not None
    assert report.count.number == 2
    assert not [w for w in report.warnings if "unchecked" in w]
    with pytest.raises(SpaceError, match=r"must fit into a GPU of 22\.5 GiB"):
        check(study(hardware={"accelerators": ["L4"]}, space={"parallelism": {"tp": [1, 2]}}, **given))


def test_a_model_of_which_nothing_is_known_is_told_with_the_command_that_gets_its_config() -> None:
    (warning,) = told("model.id", model={"id": "org/some-model"}, space={"parallelism": {"tp": [3]}})
    assert "heads, memory and context are unchecked" in warning
    assert "hf download org/some-model config.json" in warning
    assert "nearest" not in warning


def test_a_slip_in_an_id_is_told_with_what_is_near() -> None:
    (warning,) = told("model.id", model={"id": "Qwen/Qwen3-23B"})
    assert "'Qwen/Qwen3-32B'" in warning


def test_another_checkpoint_of_which_nothing_is_known_is_told_under_its_own_key() -> None:
    model = {"id": "Qwen/Qwen3-32B", "variants": {"fp8": "org/mine-fp8", "awq": "Qwen/Qwen3-32B-AWQ"}}
    assert not told("model.id", model=model)
    assert not told("model.variants.awq", model=model)
    assert len(told("model.variants.fp8", model=model)) == 1


def test_what_a_config_leaves_open_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "odd", "num_attention_heads": 8}')
    (warning,) = told("model.id", model={"id": str(folder)})
    assert "memory and context are unchecked" in warning
    assert "heads" not in warning
    (folder / "config.json").unlink()
    (warning,) = told("model.id", model={"id": str(folder)})
    assert "no config.json is there" in warning


def test_nothing_is_told_where_all_is_known_or_nothing_is_started(tmp_path: Path, tiny_model: Path) -> None:
    assert not told("model.id", model={"id": model_folder(tmp_path, "llama-3.1-8b")})
    assert not told("model.id", model={"id": str(tiny_model)}, engine={"name": "llamacpp"})
    endpoint = {"kind": "endpoint", "url": "http://127.0.0.1:1"}
    assert not told("model.id", model={"id": "org/model"}, launcher=endpoint, search={"trials": 1})


def test_the_context_of_a_known_model_is_named_where_sources_leave_it_open() -> None:
    assert "mistralai/Mistral-Nemo-Instruct-2407" in registered_ids()
    (warning,) = told("model.id", model={"id": "mistralai/Mistral-Nemo-Instruct-2407"})
    assert "public sources do not tell: context is unchecked" in warning
