"""What a setting is for a server whose Config leaves it out, and which rules a server breaks."""

from __future__ import annotations

from typing import Any

import pytest

from autotuner.engines import get_engine, load_catalogue
from autotuner.engines.in_effect import InEffect, changed_settings, setting_in_effect
from autotuner.engines.rule_book import rule_book
from autotuner.space.config import Config
from tests.engine_studies import study

DTYPE = load_catalogue("vllm").flags["dtype"].default


def found(name: str, values: dict[str, Any] | None = None, engines: Any = "vllm", **engine: Any) -> InEffect | None:
    return setting_in_effect(study(engines, engine={"name": engines, **engine}), Config(values or {}), name)


@pytest.mark.parametrize(
    ("name", "values", "args", "in_effect"),
    [
        ("max-num-seqs", {"max-num-seqs": 8}, {}, InEffect(8, "8")),
        ("max-num-batched-tokens", {"max-num-batched-tokens": "8k"}, {}, InEffect(8000, "8000")),
        ("max-num-seqs", {}, {"max_num_seqs": 4}, InEffect(4, "4")),
        ("max_num_seqs", {}, {"max-num-seqs": 4}, InEffect(4, "4")),
        ("dtype", {}, {}, InEffect(DTYPE, DTYPE, is_built_in=True)),
        ("dtype", {"dtype": None}, {"dtype": "half"}, InEffect(DTYPE, DTYPE, is_built_in=True)),
        ("compilation-config.mode", {}, {"compilation-config": {"mode": 3}}, InEffect(3, "3")),
        ("compilation-config.mode", {}, {"cc.mode": "2"}, InEffect(2, "2")),
        ("compilation-config.mode", {}, {}, None),
        ("compilation-config.mode.x", {}, {"compilation-config": {"mode": 3}}, None),
        ("enforce-eager", {"enforce-eager": True}, {}, InEffect(True, "on")),
        ("no-such-flag", {"no-such-flag": 5}, {}, InEffect(5, "5")),
        ("no-such-flag", {}, {"no-such-flag": 5}, None),
        ("sglang.dtype", {"sglang.dtype": "half"}, {}, InEffect("half", "half")),
    ],
)
def test_a_setting_is_the_configs_else_the_studys_else_the_servers_default(
    name: str, values: dict[str, Any], args: dict[str, Any], in_effect: InEffect | None
) -> None:
    assert found(name, values, args=args) == in_effect


def test_a_variable_is_the_configs_else_the_studys_and_a_secret_is_not_told() -> None:
    env = {"A": "1", "S": {"from_env": "NAME"}}
    assert found("env.A", env=env) == InEffect("1", "1")
    assert found("env.A", {"env.A": "2"}, env=env) == InEffect("2", "2")
    assert (found("env.S", env=env), found("env.B", env=env)) == (None, None)


def test_of_several_engines_a_setting_is_its_own_engines() -> None:
    both = ["vllm", "sglang"]
    own = {"per_engine": {"sglang": {"args": {"dtype": "half"}}}}
    assert found("dtype", {"engine": "sglang"}, both, **own) == InEffect("half", "half")
    assert found("sglang.dtype", {"engine": "sglang"}, both, **own) == InEffect("half", "half")
    assert found("sglang.dtype", {"engine": "vllm"}, both, **own) is None
    assert found("dtype", {"engine": "vllm"}, both, **own) == InEffect(DTYPE, DTYPE, is_built_in=True)


def test_a_version_that_is_not_known_any_more_has_no_defaults() -> None:
    assert found("dtype", version="0.0.1") is None


# ── rules ─────────────────────────────────────────────────────────────────────────────────────

NAMES = ("tp", "pp", "dp", "ep", "dcp", "cp", "moe_tp", "moe_ep", "quant.gemm", "quant.kv_cache", "quant.attention",
         "quant.moe", "gpus", "gpus_per_node")  # fmt: skip


def broken(flags: dict[str, Any], **normalised: Any) -> dict[str, Any] | None:
    version = load_catalogue("vllm").version
    defaults = dict.fromkeys(NAMES, 1) | dict.fromkeys((n for n in NAMES if n.startswith("quant.")), "auto")
    found = rule_book(get_engine("vllm"), version, NAMES).broken(flags, {**defaults, "gpus_per_node": 8, **normalised})
    return None if found is None else dict(found.named)


def test_a_rule_is_broken_by_flags_under_their_long_names_or_their_defaults() -> None:
    assert broken({}) is None
    assert broken({"max-num-seqs": 512, "max-num-batched-tokens": 64}) == {
        "max_num_seqs": 512,
        "max_num_batched_tokens": 64,
    }
    assert broken({"max-num-seqs": 64, "max-num-batched-tokens": 64}) is None


def test_of_a_rule_of_both_kinds_the_normalised_names_are_told() -> None:
    told = broken({}, dcp=3, tp=2, gpus=2)
    assert told is not None
    assert set(told) <= set(NAMES)


def test_settings_differ_by_what_is_in_effect_and_not_by_what_is_said() -> None:
    given = study("vllm", engine={"name": "vllm", "args": {"max-num-seqs": 4}})
    ours = Config({"max-num-seqs": 4, "max-num-batched-tokens": "8k", "tp": 2, "unknown": None})
    theirs = Config({"max-num-batched-tokens": 8000, "tp": 1, "dtype": DTYPE, "env.X": "1"})
    assert changed_settings(given, ours, theirs) == ("env.X", "tp")
    assert changed_settings(given, theirs, ours) == ("env.X", "tp")
