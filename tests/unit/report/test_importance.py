from __future__ import annotations

from typing import Any

import numpy as np

from autotuner.report.facts.importance import FEWEST_TRIALS, importance


def test_the_parameter_that_makes_the_score_comes_first() -> None:
    rng = np.random.default_rng(0)
    configs: list[dict[str, Any]] = [
        {"matters": int(rng.integers(1, 65)), "flag": str(rng.choice(["on", "off"])), "idle": int(rng.integers(0, 9))}
        for _ in range(60)
    ]
    scores = [float(np.exp(c["matters"] / 8)) * (1.05 if c["flag"] == "on" else 1.0) for c in configs]
    found = importance(configs, scores)
    assert found is not None
    assert found.trials == 60
    assert found.parameters[0].name == "matters"
    assert found.parameters[0].share > 0.8
    assert abs(sum(p.share for p in found.parameters) - 1) < 1e-9
    assert found.r2_oob > 0.8


def test_one_seed_one_answer() -> None:
    configs = [{"a": i % 7, "b": i % 3} for i in range(20)]
    scores = [float(i % 7) for i in range(20)]
    assert importance(configs, scores, seed=3) == importance(configs, scores, seed=3)


def test_text_lists_and_absent_values_count_as_categories() -> None:
    configs = [{"kind": ["x"] if i % 2 else None, **({"sub": i % 3} if i % 2 else {})} for i in range(24)]
    found = importance(configs, [10.0 * (i % 2) for i in range(24)])
    assert found is not None
    assert {p.name for p in found.parameters} == {"kind", "sub"}


def test_too_little_data_is_no_answer() -> None:
    few = [{"a": i} for i in range(FEWEST_TRIALS - 1)]
    assert importance(few, [float(c["a"]) for c in few]) is None
    assert importance([{"a": 1}] * 20, [float(i) for i in range(20)]) is None
    assert importance([{"a": i} for i in range(20)], [1.0] * 20) is None
    assert importance([], []) is None
