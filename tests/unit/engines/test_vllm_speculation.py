"""Speculation that vLLM has not together with other flags: vllm/config/vllm.py of the catalogued versions."""

from __future__ import annotations

from typing import Any

import pytest

from autotuner.engines import get_engine
from autotuner.study.model import Study

NGRAM = {"method": "ngram", "num_speculative_tokens": 3}
EAGLE = {"method": "eagle3", "model": "org/eagle", "num_speculative_tokens": 3}


@pytest.mark.parametrize(
    ("args", "searched", "expected"),
    [
        (
            {"async-scheduling": True, "speculative_config": NGRAM},
            [],
            [("engine.args.speculative_config", "ngram_gpu", True)],
        ),
        (
            {"async-scheduling": True},
            [("speculative-config", None), ("speculative-config", NGRAM), ("speculative-config", EAGLE)],
            [("space.parameters.speculative-config", "ngram_gpu", True)],
        ),
        (
            {"speculative-config": {"model": "[ngram]", "num_speculative_tokens": 2}},
            [("async-scheduling", True), ("async-scheduling", None)],
            [("space.parameters.async-scheduling", "null", True)],
        ),
        (
            {},  # some of these Configs start
            [("async-scheduling", v) for v in (True, False)] + [("speculative-config", v) for v in (None, NGRAM)],
            [("space.parameters.async-scheduling", "null", False)],
        ),
        ({"async-scheduling": True, "speculative-config": EAGLE}, [], []),
        ({"async-scheduling": False, "speculative-config": NGRAM}, [], []),
        ({"speculative-config": NGRAM}, [], []),
    ],
)
def test_asynchronous_scheduling_has_no_speculation_by_ngrams(
    args: dict[str, Any], searched: list[tuple[str, object]], expected: list[tuple[str, str, bool]]
) -> None:
    found = get_engine("vllm").problems(study("0.32.0", args), searched)
    assert [(problem.key, problem.nearest, problem.fatal) for problem in found] == expected


@pytest.mark.parametrize(("method", "is_refused"), [("ngram", False), ("suffix", True), ("custom_class", True)])
def test_the_second_model_runner_has_some_of_it(method: str, is_refused: bool) -> None:
    """Since 0.33: use_v2_model_runner and v1_async_sched_incompat of vllm/config/vllm.py."""
    args = {"async-scheduling": True, "speculative-config": {"method": method, "num_speculative_tokens": 3}}
    assert bool(get_engine("vllm").problems(study("0.33.0", args), [])) is is_refused


def study(version: str, args: dict[str, Any]) -> Study:
    engine = {"name": "vllm", "version": version, "args": args}
    return Study.model_validate({"model": {"id": "org/model"}, "workload": {"scenario": "D(8,8)"}, "engine": engine})
