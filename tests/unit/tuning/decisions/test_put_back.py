"""A Config with some of its settings as the default has them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autotuner.engines import build_space
from autotuner.results.records import Phase
from autotuner.space.config import Config
from autotuner.tuning.decisions.put_back import PutBack
from tests import replay_tables, tuning_parts

PARAMETERS: dict[str, Any] = {
    "ubatch-size": [128, 256, 512],
    "batch-size": [256, 512, 1024],
    "cont-batching": [True, False],
    "cache-reuse": [0, 64, 256],
}


def put_back(**space: Any) -> PutBack:
    study = tuning_parts.study(parameters=None, space={"parameters": PARAMETERS, **space})
    return PutBack(study, build_space(study))


def without(given: PutBack, config: Mapping[str, Any], default: Mapping[str, Any], *names: str) -> Any:
    found = given.without(Config(config), Config(default), names)
    return None if found is None else dict(found.values)


BEST = {"ubatch-size": 128, "batch-size": 1024, "cont-batching": True, "cache-reuse": 64}


def test_a_setting_is_as_the_default_has_it_or_left_to_the_server() -> None:
    default = {"ubatch-size": 512}
    assert without(put_back(), BEST, default, "ubatch-size") == {**BEST, "ubatch-size": 512}
    left = {name: value for name, value in BEST.items() if name not in ("cache-reuse", "batch-size")}
    assert without(put_back(), BEST, default, "cache-reuse", "batch-size") == left


def test_what_is_there_through_it_alone_goes_with_it_and_comes_with_it() -> None:
    hangs = put_back(conditions={"cache-reuse": "cont_batching"})
    off = {**BEST, "cont-batching": False}
    del off["cache-reuse"]
    assert without(hangs, BEST, {"cont-batching": False}, "cont-batching") == off
    assert without(hangs, off, {"cont-batching": True, "cache-reuse": 256}, "cont-batching") == {
        **BEST,
        "cache-reuse": 256,
    }
    assert without(hangs, off, {"cont-batching": True, "cache-reuse": 256}, "cache-reuse") == off, "it is not there"


def test_a_condition_is_judged_by_what_the_server_takes_where_nothing_is_said() -> None:
    hangs = put_back(conditions={"cache-reuse": "batch_size >= 1024"})
    found = without(hangs, BEST, {}, "batch-size")  # llama.cpp takes 2048, which is no value of the space
    assert found == {"ubatch-size": 128, "cont-batching": True}
    hangs = put_back(conditions={"cache-reuse": "ubatch_size >= 512"})
    big = {**BEST, "ubatch-size": 256}
    assert without(hangs, big, {}, "ubatch-size") == {n: v for n, v in big.items() if n != "ubatch-size"}


def test_a_constraint_that_is_broken_forbids_it_also_by_what_the_server_takes() -> None:
    held = put_back(constraints=["batch_size >= ubatch_size"])
    small = {**BEST, "batch-size": 256}
    assert without(held, small, {"ubatch-size": 512}, "ubatch-size") is None
    assert without(held, small, {}, "ubatch-size") is None, "512 is built in"
    assert without(held, small, {"ubatch-size": 512}, "ubatch-size", "batch-size") is not None


def test_changes_are_those_that_are_in_effect() -> None:
    changed = put_back().changed(Config({**BEST, "ubatch-size": 512}), Config({"cache-reuse": 64}))
    assert changed == ("batch-size",), "512, and continuous batching, are what the server takes anyway"


def test_in_the_words_of_the_space_nothing_is_left_to_the_server_that_is_known() -> None:
    said = put_back().said(Config({"batch-size": 256, "cache-reuse": None}))
    assert dict(said.values) == {"batch-size": 256, "ubatch-size": 512, "cont-batching": True, "cache-reuse": 0}


def test_a_searcher_is_told_of_what_was_put_back_in_the_words_of_the_space_and_of_all_else_as_it_is() -> None:
    config = Config({"batch-size": 256})
    assert put_back().told(Phase.PUT_BACK, config) == put_back().said(config) != config
    assert put_back().told(Phase.SEARCH, config) == put_back().told(Phase.BASELINE, config) == config


def test_a_table_without_a_config_that_leaves_it_out_has_the_one_that_says_it(tmp_path: Path) -> None:
    """The table says both sizes of every Config; 512 is what llama.cpp takes of ubatch-size, and 2048 of batch-size."""
    configs = [{"batch-size": batch, "ubatch-size": micro} for batch in (64, 512) for micro in (16, 512)]
    rows = [replay_tables.row(config, level) for config in configs for level in replay_tables.LEVELS]
    study = replay_tables.study(
        replay_tables.write(tmp_path / "table.jsonl", rows),
        space={"parameters": {"batch-size": [64, 512], "ubatch-size": [16, 512]}},
        search={"baseline": configs[0]},
    )
    given = PutBack(study, build_space(study))
    best = {"batch-size": 512, "ubatch-size": 16}
    assert without(given, best, {"batch-size": 64}, "ubatch-size") == {"batch-size": 512, "ubatch-size": 512}
    assert without(given, best, {"ubatch-size": 16}, "batch-size") is None
