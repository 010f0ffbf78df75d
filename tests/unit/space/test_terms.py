"""Pieces of expressions, as short as the values that their names can have allow."""

from __future__ import annotations

import pytest

from autotuner.space._terms import Terms, divided, down, up

TERMS = Terms({"tp": (1, 2, 4), "pp": (1,), "dp": (2,), "quant": ("fp8",), "none": (None,)}, {"a": "tp", "b": "gone"})


def test_what_is_searched_has_several_values_and_what_is_fixed_one() -> None:
    assert [name for name in ("tp", "pp", "dp", "gone") if TERMS.is_searched(name)] == ["tp"]
    assert [TERMS.fixed(name) for name in ("tp", "pp", "dp", "quant", "gone")] == [None, 1, 2, "fp8", None]
    assert (TERMS.values("tp"), TERMS.values("gone")) == ((1, 2, 4), ())


def test_a_concept_is_known_where_its_flags_values_are() -> None:
    assert [TERMS.of_concept(concept) for concept in "abc"] == ["tp", None, None]


@pytest.mark.parametrize(
    ("names", "product"),
    [
        ((), ""),
        (("pp",), ""),
        (("none", "gone"), ""),
        (("tp",), "tp"),
        (("dp", "pp"), "2"),
        (("tp", "pp", "dp"), "(tp * 2)"),
    ],
)
def test_factors_of_1_are_left_out_of_a_product(names: tuple[str, ...], product: str) -> None:
    assert TERMS.product(*names) == product


def test_the_largest_number_that_a_name_can_be() -> None:
    assert [TERMS.largest(name) for name in ("tp", "dp", "quant", "gone")] == [4, 2, 1, 1]


def test_nothing_is_divided_by_nothing() -> None:
    assert (divided("a", "tp"), divided("a", "")) == ("a / tp", "a")


@pytest.mark.parametrize(
    ("gib", "least", "most"),
    [(1.0, "1", "1"), (1.01, "1", "1.1"), (1.19, "1.1", "1.2"), (0.0, "0", "0"), (10.0, "10", "10")],
)
def test_tenths_of_a_gib_are_rounded_to_the_safe_side(gib: float, least: str, most: str) -> None:
    assert (down(gib), up(gib)) == (least, most)


def test_what_is_a_tenth_but_for_binary_rounding_is_one() -> None:
    assert (down(0.1 + 0.2), up(0.1 + 0.2)) == ("0.3", "0.3")
    assert (down(2.3 - 1e-9), up(2.3 + 1e-9)) == ("2.3", "2.3")
