"""What is suggested in place of a wrong word or number."""

from __future__ import annotations

from typing import Any

import pytest

from autotuner.engines import get_engine, load_catalogue
from autotuner.errors import StudyError
from autotuner.nearest import nearest_in_range, nearest_value, nearest_word
from autotuner.strict.validate import validate
from autotuner.study.model import Study
from tests.engine_studies import study


@pytest.mark.parametrize(
    ("word", "known", "nearest"),
    [
        ("fp16", ("auto", "fp8", "float16", "bfloat16"), "float16"),
        ("fp16", ("f32", "f16", "bf16"), "f16"),
        ("fp16", ("auto", "half", "float16"), "float16"),
        ("bf16", ("fp8", "float16", "bfloat16"), "bfloat16"),
        ("fp32", ("fp8", "float16", "float"), "float"),
        ("half", ("fp8", "float16"), "float16"),
        ("e5m2", ("fp8", "fp8_e4m3", "fp8_e5m2"), "fp8_e5m2"),
        ("int8", ("f16", "q8_0", "q4_0"), "q8_0"),
        ("FLASHINFER", ("flash_attn", "flashinfer"), "flashinfer"),
        ("max_num-seq", ("max-num-seqs", "max-num-batched-tokens"), "max-num-seqs"),
        ("60", ("8", "16", "64", "128"), "64"),
        ("24", ("16", "32"), "32"),
        ("9", ("1", "2", "4", "8"), "8"),
        ("nothing like it", ("auto", "fp8"), None),
    ],
)
def test_words_by_meaning_then_by_spelling_and_numbers_by_size(
    word: str, known: tuple[str, ...], nearest: str | None
) -> None:
    assert nearest_word(word, known) == nearest


@pytest.mark.parametrize(
    ("value", "known", "nearest"),
    [
        (3, [1, 2, 8], 2),
        (6, [1, 2, 8], 8),
        ("fp16", ["auto", "float16"], "float16"),
        (True, ["x", "y"], "x"),
        (1, [], None),
    ],
)
def test_values_of_any_kind(value: Any, known: list[Any], nearest: Any) -> None:
    assert nearest_value(value, known) == nearest


@pytest.mark.parametrize(
    ("value", "low", "high", "whole", "nearest"),
    [
        (90, 0, 1, False, "0.9"),
        (95.5, 0, 1, False, "0.955"),
        ("90%", 0, 1, False, "0.9"),
        ("0.9", 0, 1, False, "0.9"),
        (1.2, 0, 1, False, "1"),
        (900, 0, 1, False, "1"),
        (-1, 0, 1, False, "0"),
        (1, 0.5, 1, False, "1"),
        (20, 0.5, 1, False, "1"),
        (0, 1, None, True, "1"),
        ("8,192", 1, None, True, "8192"),
        (8.0, 1, None, True, "8"),
        (2.5, 1, 4, True, "3"),
        (70000, 1, 65535, True, "65535"),
        (2_000_000, 1, 1_048_576, True, "1048576"),
        ("many", 0, 1, False, None),
        (True, 0, 1, False, None),
        (float("nan"), 0, 1, False, None),
    ],
)
def test_a_number_in_a_range(
    value: Any, low: float | None, high: float | None, whole: bool, nearest: str | None
) -> None:
    assert nearest_in_range(value, low, high, whole=whole) == nearest


@pytest.mark.parametrize(
    ("engine", "name", "value", "nearest"),
    [
        ("vllm", "gpu-memory-utilization", 90, "0.9"),
        ("vllm", "gpu-memory-utilization", "90%", "0.9"),
        ("vllm", "dtype", "fp16", "float16"),
        ("vllm", "max-num-seqs", "256", "256"),
        ("vllm", "max-num-seqs", 255.6, "256"),
        ("vllm", "max-lora-rank", 60, "64"),
        ("sglang", "mem-fraction-static", 85, "0.85"),
        ("llamacpp", "cache-type-k", "fp16", "f16"),
        ("llamacpp", "flash-attn", "enabled", "on"),
    ],
)
def test_a_flag_s_value(engine: str, name: str, value: object, nearest: str) -> None:
    problem = load_catalogue(engine).problem("x", name, value)
    assert problem is not None
    assert problem.nearest == nearest


@pytest.mark.parametrize(
    ("engine", "field", "value", "nearest"),
    [
        ("vllm", "gemm", "fp16", "float16"),
        ("vllm", "gemm", "bf16", "bfloat16"),
        ("vllm", "kv_cache", "fp8_e5m", "fp8_e5m2"),
        ("llamacpp", "kv_cache", "fp16", "float16"),
        ("llamacpp", "gemm", "fp16", "auto"),
    ],
)
def test_a_format(engine: str, field: str, value: str, nearest: str) -> None:
    name = f"quant.{field}"
    problems = get_engine(engine).problems(study(engine), [(name, value)])
    assert [(problem.key, problem.nearest) for problem in problems] == [(f"space.quantization.{field}", nearest)]


def test_a_fraction_of_the_study_that_is_given_as_a_percentage() -> None:
    data = {"model": {"id": "a/b"}, "engine": {"name": "vllm"}, "workload": {"scenario": "D(1,1)"}}
    with pytest.raises(StudyError) as caught:
        validate(Study, {**data, "slo": {"error_rate": 5}})
    assert (caught.value.key, caught.value.nearest) == ("slo.error_rate", "0.05")
