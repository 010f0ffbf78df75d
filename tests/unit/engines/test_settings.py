"""What a server is started with: flags, formats, GPUs, mounts and environment, and what can't be together."""

from __future__ import annotations

from typing import Any

import pytest

from autotuner.engines import get_engine, load_catalogue
from autotuner.engines.deployment import Mount, SecretEnv
from autotuner.engines.settings import (
    args_as_read,
    canonical,
    command,
    flag_problems,
    format_value,
    is_flag,
    read_settings,
    rule_values,
    variant_rules,
)
from autotuner.errors import StudyError
from autotuner.space.config import Config
from tests.engine_studies import study

VLLM, LLAMA = get_engine("vllm"), get_engine("llamacpp")
CATALOGUE = load_catalogue("vllm")


def settings(values: dict[str, Any] | None = None, name: str = "vllm", **sections: Any) -> Any:
    return read_settings(get_engine(name), study(name, **sections), Config(values or {}))


def refused(values: dict[str, Any] | None = None, name: str = "vllm", **sections: Any) -> StudyError:
    with pytest.raises(StudyError) as caught:
        settings(values, name, **sections)
    return caught.value


def args(**given: Any) -> dict[str, Any]:
    return {"engine": {"name": "vllm", "args": {name.replace("_", "-"): value for name, value in given.items()}}}


# ── flags ─────────────────────────────────────────────────────────────────────────────────────


def test_a_configs_flags_stand_over_the_studys_under_their_long_names() -> None:
    found = settings({"max_num_seqs": 8}, **args(max_num_seqs=4, dtype="half"))
    assert (found.flags["max-num-seqs"], found.flags["dtype"]) == (8, "half")
    assert "--max-num-seqs" in found.words()
    assert "--max-num-seqs" not in found.words(without=("max-num-seqs",))
    assert found.words().index("--dtype") < found.words().index("--max-num-seqs"), "by name"


def test_braces_are_doubled_where_argv_is_bound() -> None:
    found = settings({"speculative-config": {"method": "ngram", "num_speculative_tokens": 3}})
    assert '{{"method":"ngram","num_speculative_tokens":3}}' in found.words()
    assert command(VLLM, study("vllm", engine={"name": "vllm", "command": ["run", "{x}"]})) == ("run", "{{x}}")
    assert command(VLLM, study("vllm")) == VLLM.command


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"max-num-seqs": None}, {"max-num-seqs": None}),
        ({"cc.mode": "3", "cc.level": None}, {"compilation-config": {"mode": 3}}),
        ({"compilation-config.a.b": "x", "compilation-config.a.c": "1k"}, None),
        ({"no-enable-prefix-caching": True}, {"enable-prefix-caching": False}),
        ({"max-num-batched-tokens": "8k"}, {"max-num-batched-tokens": 8000}),
    ],
)
def test_values_under_their_flags_as_the_server_reads_them(
    values: dict[str, Any], found: dict[str, Any] | None
) -> None:
    if found is None:
        with pytest.raises(StudyError):
            canonical(CATALOGUE, values)
    else:
        assert canonical(CATALOGUE, values) == found


def test_a_map_and_a_key_of_it_are_refused_together() -> None:
    with pytest.raises(StudyError, match="is given beside it: give the map whole, or each of its keys once"):
        canonical(CATALOGUE, {"compilation-config": {"mode": 3}, "cc.mode": 3})
    assert canonical(CATALOGUE, {"compilation-config": None, "cc.mode": 3}) == {"compilation-config": {"mode": 3}}


def test_who_only_looks_sees_what_is_wrong_as_it_is_written() -> None:
    given = {"max_num_seqs": "8x", "dtype": "half", "nothing-like-it": 5, "cc.mode": 3, "cc.backend": "x"}
    assert args_as_read(CATALOGUE, given) == {
        "max_num_seqs": "8x",
        "dtype": "half",
        "nothing-like-it": 5,
        "compilation-config": {"mode": 3, "backend": "x"},
    }


def test_what_is_a_flag() -> None:
    names = ("max-num-seqs", "tp", "quant.gemm", "engine", "accelerator", "env.A")
    assert [name for name in names if is_flag(name)] == ["max-num-seqs"]


def test_names_of_rules_stand_for_what_the_study_says_or_the_servers_default() -> None:
    values = rule_values(VLLM, study("vllm", **args(max_num_seqs=4), hardware={"gpus_per_node": 2}))
    assert (values["max_num_seqs"], values["tp"], values["quant.gemm"], values["gpus_per_node"]) == (4, 1, "auto", 2)
    assert values["dtype"] == CATALOGUE.flags["dtype"].default


# ── problems ──────────────────────────────────────────────────────────────────────────────────


def told(searched: list[tuple[str, object]], **sections: Any) -> list[tuple[str, str]]:
    return [(problem.key, problem.rule) for problem in flag_problems(VLLM, study("vllm", **sections), searched)]


def test_what_is_wrong_is_told_under_its_section() -> None:
    found = told([("max-num-seqs", "x"), ("tp", "x"), ("env.A", 5), ("env.B", "5"), ("env.C", None)], **args(dtype=5))
    assert [key for key, _ in found] == ["engine.args.dtype", "space.parameters.max-num-seqs", "space.parameters.env.A"]
    assert found[2][1] == "a text (quote it)"


def test_formats_that_an_engine_does_not_have_are_told_with_those_it_has() -> None:
    [(key, rule)] = told([("quant.gemm", "fp9")])
    assert key == "space.quantization.gemm"
    assert rule.startswith(f"vllm {CATALOGUE.version} has auto, ")
    assert told([("quant.gemm", "auto"), ("quant.gemm", 5)]) == []
    [problem] = flag_problems(VLLM, study("vllm"), [("quant.gemm", "fp9")])
    assert problem.nearest == "fp8"


def test_a_format_of_another_checkpoint_is_to_be_named() -> None:
    assert told([("quant.gemm", "awq")]) == [
        (
            "space.quantization.gemm",
            "weights of this format are another checkpoint: name it in model.variants.awq",
        )
    ]
    named: dict[str, Any] = {"model": {"id": "org/a-model", "variants": {"awq": "org/awq"}}}
    assert told([("quant.gemm", "awq")], **named) == []


def test_a_flag_in_two_spellings_is_told() -> None:
    [(key, rule)] = told([("max_num_seqs", 5)], **args(max_num_seqs=5))
    assert (key, rule) == ("space.parameters.max_num_seqs", "is fixed by engine.args.max-num-seqs already")


# ── formats ───────────────────────────────────────────────────────────────────────────────────

VARIANTS: dict[str, Any] = {
    "model": {"id": "org/a-model", "variants": {"awq": "org/awq", "own": "org/own", "bfloat16": "org/b"}}
}


def test_a_format_sets_flags_or_asks_for_another_checkpoint() -> None:
    assert "quantization" in settings({"quant.gemm": "fp8"}).flags
    assert settings({"quant.gemm": "awq"}, **VARIANTS).model == "org/awq"
    assert "quantization" not in settings({"quant.gemm": "awq"}, **VARIANTS).flags
    assert settings({"quant.gemm": "own"}, **VARIANTS).model == "org/own"
    assert settings({}, **VARIANTS).model == "org/a-model"


def test_what_a_format_means() -> None:
    given = study("vllm", **VARIANTS)
    own, nothing = format_value(VLLM, given, "gemm", "own"), format_value(VLLM, given, "kv_cache", "own")
    assert own is not None
    assert (own.offline, nothing) == (True, None)
    auto = format_value(LLAMA, study("llamacpp"), "moe", "auto")
    assert auto is not None
    assert (auto.flags, auto.offline) == ({}, False)


@pytest.mark.parametrize(
    ("values", "sections", "key", "rule"),
    [
        ({"quant.gemm": "fp9"}, {}, "quant.gemm", f"vllm {CATALOGUE.version} has auto, "),
        ({"quant.gemm": "awq"}, {}, "quant.gemm", "name it in model.variants.awq"),
        ({"quant.kv_cache": "fp8"}, args(kv_cache_dtype="auto"), "kv-cache-dtype",
         "the study's quantization sets it to 'fp8': leave one out"),
        ({"tp": 2}, {"engine": {"name": "vllm", "args": {"tensor-parallel-size": 4}}}, "tensor-parallel-size", ""),
    ],
)  # fmt: skip
def test_what_can_not_be_is_refused_by_its_name(
    values: dict[str, Any], sections: dict[str, Any], key: str, rule: str
) -> None:
    error = refused(values, **sections)
    assert error.key == key
    assert rule in str(error.rule)


def test_the_same_said_twice_is_no_contradiction() -> None:
    assert settings({"quant.kv_cache": "fp8"}, **args(kv_cache_dtype="fp8")).flags["kv-cache-dtype"] == "fp8"


def test_rules_of_variants_are_of_quantised_ones_alone() -> None:
    assert variant_rules(VLLM, study("vllm")) == ()
    plain: dict[str, Any] = {"model": {"id": "org/a-model", "variants": {"bfloat16": "org/b"}}}
    assert variant_rules(VLLM, study("vllm", **plain)) == ()
    assert variant_rules(LLAMA, study("llamacpp", **VARIANTS)) == ()
    found = variant_rules(VLLM, study("vllm", **VARIANTS))
    assert all("['awq', 'own']" in rule.text for rule in found)


# ── GPUs, mounts, environment ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "values", "hardware", "gpus"),
    [
        ("vllm", {"tp": 2}, {}, 2),
        ("vllm", {"tp": 2}, {"gpus_per_server": 2}, 2),
        ("vllm", {}, {"gpus_per_server": 0}, 0),
        ("vllm", {}, {}, 1),
        ("llamacpp", {}, {}, 0),
        ("llamacpp", {}, {"accelerators": ["H100-80GB", "L40S-48GB"]}, 1),
        ("llamacpp", {}, {"gpus_per_server": 3}, 3),
    ],
)
def test_a_server_gets_what_the_study_says_or_its_parallelism_needs(
    name: str, values: dict[str, Any], hardware: dict[str, Any], gpus: int
) -> None:
    assert settings(values, name, hardware=hardware).gpus == gpus


@pytest.mark.parametrize("given", [0, 1, 4])
def test_gpus_that_the_parallelism_contradicts_are_refused(given: int) -> None:
    error = refused({"tp": 2}, hardware={"gpus_per_server": given})
    assert (error.key, error.nearest) == ("hardware.gpus_per_server", "2")


def test_a_container_sees_the_model_where_it_lies_and_what_the_study_mounts() -> None:
    docker: dict[str, Any] = {"launcher": {"kind": "docker", "mounts": ["/a:/b", "/c:/d:rw", "/e:/f:ro"]}}
    found = settings({}, model={"id": "/models/m"}, **docker).mounts
    assert found == (
        Mount("/models/m", "/models/m"),
        Mount("/a", "/b"),
        Mount("/c", "/d", read_only=False),
        Mount("/e", "/f"),
    )
    assert settings({}, **docker).mounts == found[1:], "a name on the hub lies nowhere"
    assert settings({}, model={"id": "/models/m"}).mounts == ()


def test_the_environment_is_the_studys_and_the_configs_with_secrets_by_name() -> None:
    sections: dict[str, Any] = {"engine": {"name": "vllm", "env": {"A": "{x}", "B": "2", "S": {"from_env": "NAME"}}}}
    found = settings({"env.B": "{3}", "env.C": None, "env.D": "4"}, **sections).env
    assert found == {"A": "{{x}}", "B": "{{3}}", "S": SecretEnv("NAME"), "D": "4"}


def test_what_an_engine_can_not_do_is_refused_with_the_values_that_it_looks_at() -> None:
    error = refused({"max-num-seqs": 512, "max-num-batched-tokens": 64})
    assert error.key == "max_num_batched_tokens"
    assert error.value == "max_num_batched_tokens 64, max_num_seqs 512"
    assert str(error.rule).endswith(f"(vllm {CATALOGUE.version})")
