"""What a model and its GPUs rule out is named, whatever else is searched, and the default is one that fits."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import yaml

from autotuner.api.check_report import CheckReport
from autotuner.api.checking import check
from autotuner.errors import StudyError
from tests.engine_studies import study

LARGE = {"id": "Qwen/Qwen3-32B"}  # 61 GiB of weights, 64 heads, 40,960 tokens; known by its id
L4 = {"accelerators": ["L4-24GB"]}
MEMORY = {"gpu-memory-utilization": {"float": [0.8, 0.95]}}


def checked(**sections: Any) -> CheckReport:
    return check(study(**{"model": LARGE, "hardware": L4, **sections}))


def told(report: CheckReport, key: str) -> list[str]:
    """Warnings under a key, each without it."""
    return [text.removeprefix(f"{key}: ") for text in report.warnings if text.startswith(f"{key}: ")]


@pytest.mark.parametrize(
    ("space", "lost"),
    [
        ({"parallelism": {"tp": [1, 2, 4, 8]}, "parameters": MEMORY}, [1, 2]),
        ({"parallelism": {"tp": [2, 4]}}, [2]),
        ({"parallelism": {"tp": [2, 4], "pp": [1, 2]}}, []),
        ({"parallelism": {"tp": [1, 2, 4]}, "quantization": {"gemm": ["auto", "fp8"]}}, [1, 2]),
        ({"parallelism": {"tp": [3, 4]}, "parameters": MEMORY}, [3]),
    ],
)
def test_degrees_that_memory_or_heads_rule_out_are_named(space: dict[str, Any], lost: list[int]) -> None:
    found = told(checked(space=space), "space.parallelism.tp")
    values = [yaml.safe_load(text.partition(": ")[0]) for text in found]
    assert [one for value in values for one in (value if isinstance(value, list) else [value])] == lost
    assert all("GiB" in text or "heads" in text for text in found)


def test_degrees_among_the_parameters_are_the_defaults_too() -> None:
    report = checked(space={"parameters": {"tp": [1, 2, 4, 8], "max-num-seqs": [64, 128]}})
    assert told(report, "space.parameters.tp") == ["[1, 2]: weights of 61 GiB must fit into a GPU of 22.5 GiB"]
    assert ("--tensor-parallel-size", "4") in itertools.pairwise(report.argv[0])


def test_values_that_only_several_rules_together_rule_out_are_named() -> None:
    space = {
        "parallelism": {"tp": [4, 8]},
        "parameters": {"max-model-len": [8192, 16384], "max-num-seqs": [8, 64, 128]},
        "constraints": ["tp <= 4 or max_num_seqs <= 8", "tp > 4 or max_num_seqs <= 64"],
    }
    (found,) = told(checked(space=space), "space.parameters.max-num-seqs")
    assert found.startswith("128: no Config meets the constraints")


def test_ends_of_ranges_are_named() -> None:
    space = {"parallelism": {"tp": [4]}, "parameters": {"max-model-len": {"int": [2048, 131072]}}}
    (found,) = told(checked(space=space), "space.parameters.max-model-len")
    assert found.startswith("131072: an end of its range: ")


def test_what_the_study_cuts_itself_is_named_value_by_value_and_no_end_of_a_range() -> None:
    space = {
        "parallelism": {"tp": [4, 8]},
        "parameters": {"max-num-seqs": {"int": [8, 64]}, "max-num-batched-tokens": [16, 512]},
        "constraints": ["max_num_seqs >= 32", "max_num_batched_tokens >= 128"],
    }
    report = checked(space=space)
    (cut,) = [text for text in report.warnings if text.startswith("space.")]
    assert cut == "space.parameters.max-num-batched-tokens: 16: space.constraints.1 is 'max_num_batched_tokens >= 128'"


def test_values_of_presets_and_gpu_types_are_named() -> None:
    preset = checked(space={"parallelism": {"preset": ["single-gpu", "large-model-tp"]}})
    assert told(preset, "space.parallelism.preset") == [
        "['tp 1', 'tp 2']: weights of 61 GiB must fit into a GPU of 22.5 GiB"
    ]
    both = {"accelerators": ["L4-24GB", "H200-141GB"]}
    report = checked(hardware=both, space={"parallelism": {"tp": [1]}})
    assert told(report, "hardware.accelerators") == ["'L4-24GB': weights of 61 GiB must fit into a GPU of 22.5 GiB"]
    report = checked(hardware=both, space={"parallelism": {"tp": [1, 4]}})
    assert told(report, "space.parallelism.tp") == ["1: on L4-24GB: weights of 61 GiB must fit into a GPU of 22.5 GiB"]


def test_a_study_that_loses_nothing_is_told_nothing() -> None:
    report = checked(space={"parallelism": {"tp": [4, 8]}, "parameters": {"max-num-seqs": [8, 64]}})
    assert not [text for text in report.warnings if text.startswith("space.")]


@pytest.mark.parametrize("parameters", [{}, MEMORY, {"max-num-seqs": [8, 64], "max-model-len": [4096, None]}])
def test_the_default_fits_whatever_flags_are_searched(parameters: dict[str, Any]) -> None:
    report = checked(space={"parallelism": {"tp": [1, 2, 4, 8]}, "parameters": parameters})
    assert report.needs["GPU"] == 4
    assert report.needs_range["GPU"][0] >= (4 if not parameters or parameters is MEMORY else 1)


def test_a_default_that_no_gpus_of_the_study_hold_is_refused_with_one_that_fits() -> None:
    space = {"parallelism": {"tp": [1]}, "parameters": {"max-model-len": [2048, 4096]}}
    model, hardware = {"id": "meta-llama/Llama-3.1-8B-Instruct"}, {"accelerators": ["L4-24GB"]}
    with pytest.raises(StudyError, match="131072 tokens") as caught:
        check(study(model=model, hardware=hardware, space=space))
    assert caught.value.key == "search.baseline"
    assert caught.value.nearest is not None
    assert caught.value.nearest.startswith("{max-model-len: ")
    fitting = study(model=model, hardware=hardware, space=space, search={"baseline": {"max-model-len": 4096}})
    assert check(fitting).needs["GPU"] == 1


def test_the_rest_of_a_baseline_is_chosen_to_fit_it() -> None:
    search = {"baseline": {"gpu-memory-utilization": 0.85}}
    report = checked(space={"parallelism": {"tp": [1, 2, 4]}, "parameters": MEMORY}, search=search)
    assert report.needs["GPU"] == 4
