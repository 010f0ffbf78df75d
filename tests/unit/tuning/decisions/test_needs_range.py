"""The least and the most that a trial of a space reserves."""

from __future__ import annotations

from typing import Any

from autotuner.engines import build_space
from autotuner.tuning.decisions.needs_range import needs_range
from tests.tuning_parts import study

DEFAULT = {"CPU": 5.0, "GPU": 1.0}


def vllm(parallelism: dict[str, Any], *, constraints: list[str] | None = None, **more: Any) -> dict[str, Any]:
    given = study(
        engine={"name": "vllm"},
        model={"id": "org/model"},
        space={"parallelism": parallelism, "constraints": constraints or [], **more},
    )
    return needs_range(given, build_space(given), DEFAULT)


def gpus(found: dict[str, tuple[float, float]]) -> tuple[float, float]:
    return found["GPU"]


def test_it_runs_over_every_degree_of_parallelism_together() -> None:
    assert gpus(vllm({"tp": [1, 2, 4], "pp": [1, 2]})) == (1, 8)


def test_what_the_default_needs_is_a_part_of_it() -> None:
    found = vllm({"tp": [2, 4]})
    assert gpus(found) == (1, 4)
    assert found["CPU"][0] <= DEFAULT["CPU"] <= found["CPU"][1]


def test_combinations_that_the_constraints_rule_out_by_themselves_do_not_count() -> None:
    assert gpus(vllm({"tp": [1, 2, 4], "pp": [1, 2]}, constraints=["tp * pp <= 4"])) == (1, 4)


def test_without_parallelism_it_is_the_defaults() -> None:
    assert needs_range(study(), build_space(study()), {"CPU": 2.0}) == {"CPU": (2.0, 2.0)}


def test_of_more_combinations_than_are_tried_it_is_the_defaults() -> None:
    """40 × 50 are 2,000, 29 × 69 one more; the constraint leaves one of each row."""

    def degrees(tp: int, pp: int) -> tuple[float, float]:
        parallelism = {"tp": list(range(1, tp + 1)), "pp": list(range(1, pp + 1))}
        return gpus(vllm(parallelism, constraints=[f"(tp + pp) % {tp} == 0"]))

    assert degrees(40, 50) == (1, 40 * 40)
    assert degrees(29, 69) == (1, 1)
