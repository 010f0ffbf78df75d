"""Surfaces drawn at random: what their families promise, and that their files say what was drawn."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml

from autotuner.scoring.merit import Grade
from autotuner.servers.replay.table import read_table
from benchmarks.search_cost.surface import load_surface
from benchmarks.surfaces.drawn import Drawn, draw, write_surface
from benchmarks.surfaces.drawn.effects import draw_effect
from benchmarks.surfaces.drawn.knobs import ABSENT, FEWEST, MOST, Kind, Knob, grid

NUMBERS = range(24)


@pytest.fixture(scope="module")
def drawn() -> list[Drawn]:
    return [draw(7, number) for number in NUMBERS]


def small(drawn: list[Drawn], *, is_raw: bool) -> Drawn:
    return min((one for one in drawn if one.is_raw is is_raw), key=lambda one: len(one.configs))


def failing(one: Drawn) -> int:
    levels = len(one.levels)
    died = one.behaviour.under_load < levels
    return sum(f is not None or bool(d) for f, d in zip(one.behaviour.at_start, died, strict=True))


def test_the_same_seed_draws_the_same_files(tmp_path: Path) -> None:
    files = [write_surface(draw(3, 2), tmp_path / name) for name in ("one", "other")]
    assert files[0].read_text() == files[1].read_text()
    assert read_table(files[0].with_name("table.parquet")) == read_table(files[1].with_name("table.parquet"))


def test_other_seeds_and_numbers_draw_others() -> None:
    assert len({draw(seed, number).told for seed in (0, 1) for number in range(4)}) == 8


def test_all_of_them_lie_in_the_families(drawn: list[Drawn]) -> None:
    for one in drawn:
        assert FEWEST <= len(one.configs) <= MOST
        assert 3 <= len(one.knobs) <= 9
        assert 2 <= len(one.levels) <= 5
        assert one.levels == tuple(sorted(set(one.levels)))
        assert 0.005 <= one.noise.all <= 0.0801
        assert failing(one) <= 0.4 * len(one.configs) + 2
        assert set(one.behaviour.gpus) <= {1, 2, 4, 8}


def test_the_families_are_wide(drawn: list[Drawn]) -> None:
    kinds = Counter(knob.kind for one in drawn for knob in one.knobs)
    assert set(kinds) == set(Kind)
    assert any(knob.needs for one in drawn for knob in one.knobs)
    assert {one.is_raw for one in drawn} == {True, False}
    assert {bool(failing(one)) for one in drawn} == {True, False}
    assert any(one.behaviour.gpus.max() > 1 for one in drawn)
    assert any(one.behaviour.gpus.max() == 1 for one in drawn)
    assert max(one.noise.all for one in drawn) > 5 * min(one.noise.all for one in drawn)
    assert {"at the best" in one.told for one in drawn} == {True, False}
    assert {one.told.endswith("good") for one in drawn} == {True, False}


def test_a_config_lacks_the_knobs_whose_switch_is_off() -> None:
    switch = Knob("switch", Kind.BOOLEAN, (True, False))
    other = Knob("other", Kind.ORDERED, (1, 2, 3), needs="switch")
    assert grid((switch, other)).tolist() == [[0, 0], [0, 1], [0, 2], [1, ABSENT]]


def test_an_effect_is_centred_and_of_one_spread() -> None:
    knobs = (Knob("a", Kind.ORDERED, tuple(range(8))), Knob("b", Kind.CATEGORICAL, ("x", "y", "z")))
    effects = [draw_effect(np.random.default_rng(seed), knobs, grid(knobs)) for seed in range(10)]
    for effect in effects:
        assert abs(effect.mean()) < 1e-9
        assert effect.std() == pytest.approx(1.0) or not effect.any()
    assert any(effect.any() for effect in effects)


@pytest.mark.parametrize("is_raw", [True, False])
def test_a_drawn_surface_is_one_that_its_table_answers(drawn: list[Drawn], is_raw: bool, tmp_path: Path) -> None:
    one = small(drawn, is_raw=is_raw)
    surface = load_surface(write_surface(one, tmp_path))
    assert surface.count == len(surface.configs) == len(one.configs)
    assert {config.key for config in surface.configs} == {
        type(config)(one.values(number)).key for number, config in enumerate(surface.configs)
    }
    assert surface.best.grade is Grade.MEETING
    assert surface.default.values == one.default
    launches = surface.lookup.find(one.values(0)).launches
    assert len(launches) == one.repeats


def test_start_up_is_the_share_of_a_trial_that_was_drawn(drawn: list[Drawn], tmp_path: Path) -> None:
    one = min((one for one in drawn if not failing(one)), key=lambda one: len(one.configs))
    surface = load_surface(write_surface(one, tmp_path))
    launches = [surface.lookup.find(one.values(number)).launches[0] for number in range(len(one.configs))]
    started_s = sum(launch.startup_s for launch in launches)
    all_s = sum(surface.truth(config).cost_s for config in surface.configs)
    told = float(one.told.split("start-up ")[1].split("%")[0]) / 100
    assert started_s / all_s == pytest.approx(told, abs=0.08)


def test_what_fails_is_recorded_as_failed(drawn: list[Drawn], tmp_path: Path) -> None:
    one = min((one for one in drawn if any(one.behaviour.at_start)), key=lambda one: len(one.configs))
    surface = load_surface(write_surface(one, tmp_path))
    for number, failure in enumerate(one.behaviour.at_start):
        assert {launch.failure for launch in surface.lookup.find(one.values(number)).launches} == {failure}


def test_the_study_says_that_nothing_was_measured(drawn: list[Drawn], tmp_path: Path) -> None:
    text = write_surface(small(drawn, is_raw=False), tmp_path).read_text(encoding="utf-8")
    assert text.startswith("# Drawn: no server was measured.")
    assert yaml.safe_load(text)["launcher"]["kind"] == "replay"
