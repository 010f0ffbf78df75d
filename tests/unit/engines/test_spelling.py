"""How flags may be written: in one spelling at a time, with values as the server reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autotuner.engines import build_space, catalogue_versions, load_catalogue, one_engine, study_problems
from autotuner.engines.flags.catalogue import meant_version
from autotuner.engines.flags.human_integers import Suffixes, meant_integer, read_integer
from autotuner.engines.in_effect import setting_in_effect
from autotuner.errors import StudyError
from autotuner.space.config import Config
from autotuner.study import load_study
from tests.engine_studies import study

KK, KKI = Suffixes.SMALL_AND_CAPITAL, Suffixes.SI_AND_IEC


def words(given: Any, **values: Any) -> str:
    engine, own, config = one_engine(given, Config(values))
    return " ".join(engine.deployment(own, config).groups[0].ranks[0].argv)


def with_args(args: dict[str, Any], name: str | list[str] = "vllm", **space: Any) -> Any:
    return study(name, engine={"name": name, "args": args}, space=space)


# ── whole numbers with letters: the examples of the servers' own docstrings, and what they refuse ──


@pytest.mark.parametrize(
    ("text", "suffixes", "number"),
    [
        ("1k", KK, 1000),
        ("1K", KK, 1024),
        ("8k", KK, 8000),
        ("8K", KK, 8192),
        ("25.6k", KK, 25600),
        ("1.5m", KK, 1_500_000),
        ("2G", KK, 2 * 2**30),
        ("1t", KK, 10**12),
        (" 4096 ", KK, 4096),
        ("-1", KK, -1),
        ("1.5M", KK, None),
        ("8Ki", KK, None),
        ("8 k", KK, None),
        ("k", KK, None),
        ("4096.0", KK, None),
        ("1k", KKI, 1000),
        ("1Ki", KKI, 1024),
        ("1M", KKI, 1_000_000),
        ("25.6k", KKI, 25600),
        ("8K", KKI, None),
        ("1.5Mi", KKI, None),
    ],
)
def test_numbers_with_letters_are_read_as_the_server_reads_them(
    text: str, suffixes: Suffixes, number: int | None
) -> None:
    assert read_integer(text, suffixes) == number


@pytest.mark.parametrize(
    ("text", "suffixes", "meant"),
    [("1.5M", KK, "1.5m"), ("8Ki", KK, "8K"), ("8K", KKI, "8k"), ("1.5Mi", KKI, "1.5M"), ("many", KK, None)],
)
def test_a_number_that_is_refused_is_told_as_it_is_written(text: str, suffixes: Suffixes, meant: str | None) -> None:
    assert meant_integer(text, suffixes) == meant
    assert meant is None or read_integer(meant, suffixes) is not None


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_every_catalogue_has_the_flags_that_take_letters(engine: str) -> None:
    names = {"vllm": ("max-model-len", "max-num-batched-tokens", "kv-cache-memory-bytes")}
    names["sglang"] = ("context-length", "max-total-tokens", "max-prefill-tokens")
    for version in catalogue_versions(engine):
        catalogue = load_catalogue(engine, version)
        found = [catalogue.flags[name].read("8k") for name in names[engine]]
        assert found == [8000, 8000, 8000], version
        assert catalogue.flexible == (engine == "vllm")


@pytest.mark.parametrize("version", catalogue_versions("vllm"))
def test_numbers_in_json_take_letters_too(version: str) -> None:
    flag = load_catalogue("vllm", version).flags["compilation-config"]
    text = r'{"compile_sizes": [1k, 2K], "on": true, "path": "8k, \" 8k", "mode": 1.5M}'
    wanted = r'{"compile_sizes": [1000, 2048], "on": true, "path": "8k, \" 8k", "mode": 1.5M}'
    assert flag.read(text) == wanted
    args = {"compilation-config": '{"compile_sizes": [1k]}'}
    given = study("vllm", engine={"name": "vllm", "version": version, "args": args})
    assert not [problem for problem in study_problems(given, build_space(given)) if problem.fatal]
    assert '{"compile_sizes": [1000]}' in words(given).replace("{{", "{").replace("}}", "}")


def test_the_flags_that_take_letters_are_each_version_s_own() -> None:
    # human_readable_int_args of vllm/engine/arg_utils.py in each version
    taking = {
        version: {name for name, flag in load_catalogue("vllm", version).flags.items() if flag.read("8k") == 8000}
        for version in catalogue_versions("vllm")
    }
    least = {"max-model-len", "max-num-batched-tokens", "kv-cache-memory-bytes", "safetensors-prefetch-block-size"}
    assert taking["0.24.0"] == least
    assert taking["0.27.0"] == least | {"max-num-scheduled-tokens"}
    assert taking["0.32.0"] == least | {"max-num-scheduled-tokens", "max-num-queued-tokens"}


def test_values_are_judged_and_given_as_they_are_read() -> None:
    given = with_args({"max-model-len": "8K"}, parameters={"max-num-batched-tokens": ["8k", "16k"]})
    space = build_space(given)
    assert list(space["max-num-batched-tokens"].values()) == [8000, 16000]
    assert not [problem for problem in study_problems(given, space) if problem.fatal]
    assert "--max-model-len 8192" in words(given)
    assert "--max-num-batched-tokens 16000" in words(given, **{"max-num-batched-tokens": 16000})


def test_constraints_see_the_number() -> None:
    given = with_args({"max-model-len": "8k"}, parameters={"max-num-batched-tokens": ["4k", "8k"]})
    bound = given.model_copy(
        update={"space": given.space.model_copy(update={"constraints": ["max_num_batched_tokens >= max_model_len"]})}
    )
    assert [dict(config.values) for config in build_space(bound).grid()] == [{"max-num-batched-tokens": 8000}]


def test_a_number_of_one_of_several_engines_is_read_as_that_reads_it() -> None:
    both = study(["vllm", "sglang"], space={"parameters": {"vllm.max-model-len": ["8K"]}})
    assert list(build_space(both)["vllm.max-model-len"].values()) == [8192]


@pytest.mark.parametrize("value", ["auto", " AUTO "])
def test_words_in_a_number_s_place_are_taken_in_any_case(value: str) -> None:
    assert "--max-model-len auto" in words(with_args({"max-model-len": value}))


def test_a_text_for_a_number_is_refused_by_the_flag_s_own_rule() -> None:
    with pytest.raises(StudyError, match=r"max-model-len: '1\.5M': a whole number, also as 8k .*did you mean '1\.5m'"):
        build_space(with_args({}, parameters={"max-model-len": ["1.5M", "8k"]}))
    with pytest.raises(StudyError, match="max-num-seqs: 'many': a whole number"):
        build_space(with_args({}, parameters={"max-num-seqs": ["many"]}))


# ── spellings that vLLM's parser takes ──


@pytest.mark.parametrize(
    ("args", "argv"),
    [
        ({"O3": True}, "--optimization-level 3"),
        ({"-O3": True}, "--optimization-level 3"),
        ({"O=1": True}, "--optimization-level 1"),
        ({"-O": 2}, "--optimization-level 2"),
        ({"cc": {"mode": 3}}, '--compilation-config {"mode":3}'),
        ({"-cc.mode": 3}, '--compilation-config {"mode":3}'),
        ({"cc.mode": "3"}, '--compilation-config {"mode":3}'),
        ({"compilation_config.pass_config.fuse_norm_quant": True}, '{"pass_config":{"fuse_norm_quant":true}}'),
        ({"cc.custom_ops+": "none,+rms_norm"}, '--compilation-config {"custom_ops":["none","+rms_norm"]}'),
        (
            {"speculative-config.method": "ngram", "speculative_config.num_speculative_tokens": 3},
            '--speculative-config {"method":"ngram","num_speculative_tokens":3}',
        ),
        ({"no-enable-prefix-caching": True}, "--no-enable-prefix-caching"),
        ({"no-enable-prefix-caching": False}, "--enable-prefix-caching"),
        ({"disable-prefix-caching": True}, "--no-enable-prefix-caching"),
        ({"enable-sliding-window": True}, "--no-disable-sliding-window"),
        ({"sc.method": None}, ""),
    ],
)
def test_what_the_parser_takes_is_taken(args: dict[str, Any], argv: str) -> None:
    given = with_args(args)
    assert not [problem for problem in study_problems(given, build_space(given)) if problem.fatal]
    rendered = words(given).replace("{{", "{").replace("}}", "}")
    assert argv in rendered
    assert ("config" in rendered) == ("config" in argv)


@pytest.mark.parametrize(
    ("args", "key", "nearest"),
    [
        ({"O7": True}, "engine.args.O7", "O3"),
        ({"O3": False}, "engine.args.O3", "true"),
        ({"O.level": 3}, "engine.args.O.level", "compilation-config.mode"),
        ({"cc.level": 3}, "engine.args.cc.level", "mode"),
        ({"speculative-config.methd": "ngram"}, "engine.args.speculative-config.methd", "method"),
        ({"speculative-config.method": "ngrm"}, "engine.args.speculative-config.method", "ngram"),
        ({"max-num-seqs.x": 3}, "engine.args.max-num-seqs.x", "max-num-seqs"),
    ],
)
def test_what_the_parser_refuses_is_refused(args: dict[str, Any], key: str, nearest: str | None) -> None:
    given = with_args(args)
    problem = next(problem for problem in study_problems(given, build_space(given)) if problem.fatal)
    assert (problem.key, problem.nearest) == (key, nearest)


def test_a_dotted_key_is_searched_beside_one_that_is_fixed() -> None:
    name = "speculative-config.num_speculative_tokens"
    given = with_args({"speculative-config.method": "ngram"}, parameters={name: [2, 4]})
    assert not [problem for problem in study_problems(given, build_space(given)) if problem.fatal]
    assert '{"method":"ngram","num_speculative_tokens":4}' in words(given, **{name: 4}).replace("{{", "{").replace(
        "}}", "}"
    )
    effect = setting_in_effect(given, Config({name: 2}), "speculative-config.method")
    assert effect is not None
    assert (effect.value, effect.is_built_in) == ("ngram", False)


def test_other_engines_take_no_dashes_and_no_dots() -> None:
    for name in ("--max-running-requests", "json-model-override-args.x", "O3"):
        assert load_catalogue("sglang").spelling(name) is None


# ── one flag once ──


@pytest.mark.parametrize(
    ("engine", "args", "parameters", "named"),
    [
        ("vllm", {"sc": {}, "speculative-config": {}}, {}, ("engine.args.speculative-config", "engine.args.sc")),
        (
            "vllm",
            {"enable-prefix-caching": True, "no-enable-prefix-caching": True},
            {},
            ("engine.args.no-enable-prefix-caching", "engine.args.enable-prefix-caching"),
        ),
        ("vllm", {"O3": True, "optimization-level": 2}, {}, ("optimization-level", "engine.args.O3")),
        ("vllm", {"cc": {"mode": 1}, "cc.mode": 2}, {}, ("engine.args.cc.mode", "engine.args.cc sets")),
        ("vllm", {"max_num_seqs": 1}, {"max-num-seqs": [2]}, ("space.parameters.max-num-seqs", "args.max_num_seqs")),
        ("vllm", {}, {"vllm.max-num-seqs": [1], "max-num-seqs": [2]}, ("max-num-seqs", "vllm.max-num-seqs")),
        (
            "vllm",
            {},
            {"gpu-memory-utilization": [0.9], "device-memory-utilization": [0.8]},
            ("device-memory-utilization", "gpu-memory-utilization"),
        ),
        ("llamacpp", {"b": 64, "batch-size": 32}, {}, ("engine.args.batch-size", "engine.args.b")),
        ("llamacpp", {"ub": 64}, {"ubatch-size": [32]}, ("space.parameters.ubatch-size", "engine.args.ub")),
        (
            ["vllm", "sglang"],
            {},
            {"dtype": ["auto"], "sglang.dtype": ["half"]},
            ("sglang.dtype", "space.parameters.dtype"),
        ),
    ],
)
def test_a_flag_in_two_spellings_is_refused_with_both_named(
    engine: str | list[str], args: dict[str, Any], parameters: dict[str, Any], named: tuple[str, str]
) -> None:
    with pytest.raises(StudyError) as caught:
        build_space(with_args(args, engine, parameters=parameters))
    assert all(name in caught.value.message for name in named)


def test_one_engine_s_own_settings_replace_those_of_all() -> None:
    given = study(
        "vllm",
        engine={"name": "vllm", "args": {"max-num-seqs": 4}, "per_engine": {"vllm": {"args": {"max_num_seqs": 8}}}},
    )
    build_space(given)
    assert "--max-num-seqs 8" in words(given)


STUDY = """
model: {id: org/a-model}
engine: {name: vllm, args: {ARGS}}
workload: {scenario: "D(100,10)"}
space: {parameters: {PARAMETERS}}
"""


@pytest.mark.parametrize(
    ("args", "parameters", "named"),
    [
        ("max_num_seqs: 4, max-num-seqs: 8", "", ("engine.args.max-num-seqs", "engine.args.max_num_seqs")),
        ("", "max-num-seqs: [4], max_num_seqs: [8]", ("parameters.max_num_seqs", "parameters.max-num-seqs")),
    ],
)
def test_hyphen_and_underscore_in_one_file_are_refused(
    tmp_path: Path, args: str, parameters: str, named: tuple[str, str]
) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(STUDY.replace("ARGS", args).replace("PARAMETERS", parameters), encoding="utf-8")
    with pytest.raises(StudyError) as caught:
        load_study(file)
    assert all(name in caught.value.message for name in named)


def test_a_layer_above_replaces_whichever_way_it_spells(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text("parameters: {max-num-seqs: [1, 2]}\n", encoding="utf-8")
    text = STUDY.replace("ARGS", "max-num-batched-tokens: 4096").replace("PARAMETERS", "max_num_seqs: [8]")
    file = tmp_path / "study.yaml"
    file.write_text(text.replace("space: {", "space: {include: [./space.yaml], "), encoding="utf-8")
    found = load_study(file, ["engine.args.max_num_batched_tokens=8192"]).study
    assert found.engine.args == {"max_num_batched_tokens": 8192}
    assert found.space.parameters == {"max_num_seqs": [8]}


# ── expressions name a flag as they like ──


def test_rules_hold_for_a_flag_that_is_searched_under_another_name() -> None:
    given = with_args(
        {}, "llamacpp", parameters={"b": [32, 64], "ub": [32, 64]}, constraints=["ubatch_size <= batch_size"]
    )
    assert len(list(build_space(given).grid())) == 3
    keys = with_args({}, parameters={"cc.mode": [0, 3]}, constraints=["compilation_config.mode == 3"])
    assert [dict(config.values) for config in build_space(keys).grid()] == [{"cc.mode": 3}]
    parallel = with_args({}, "llamacpp", parameters={"no-kv-unified": [True, False]}, constraints=["kv_unified"])
    assert [dict(config.values) for config in build_space(parallel).grid()] == [{"no-kv-unified": False}]


def test_a_setting_is_told_in_the_sense_of_its_name() -> None:
    name = "no-enable-log-deltas"
    given = with_args({"no-async-scheduling": True}, parameters={name: [True, False]})
    told = [
        setting_in_effect(given, config, name) for config in (Config({name: True}), Config({name: False}), Config())
    ]
    assert [(one.value, one.is_built_in) for one in told if one is not None] == [
        (True, False),
        (False, False),
        (False, True),  # the server's own default is to log them
    ]
    fixed = [setting_in_effect(given, Config(), other) for other in ("async-scheduling", "no-async-scheduling")]
    assert [one.value for one in fixed if one is not None] == [False, True]


def test_an_engine_that_is_none_is_told_before_its_flags() -> None:
    with pytest.raises(StudyError, match=r"engine\.name: 'vlm'") as caught:
        build_space(with_args({"max-num-seqs": 1}, "vlm", parameters={"max-model-len": ["8k"]}))
    assert caught.value.nearest == "vllm"


# ── versions ──


@pytest.mark.parametrize(
    ("version", "known", "meant"),
    [
        ("0.27", ("0.24.0", "0.27.0", "0.32.0"), "0.27.0"),
        ("v0.27", ("0.24.0", "0.27.0", "0.32.0"), "0.27.0"),
        ("0.31.5", ("0.24.0", "0.27.0", "0.32.0"), "0.32.0"),
        ("0.9", ("0.24.0", "0.27.0", "0.32.0"), "0.24.0"),
        ("1.2", ("1.0.0", "1.2.1"), "1.2.1"),
        ("11548", ("b9000", "b11549"), "b11549"),
        ("newest", ("0.24.0", "0.27.0"), "0.24.0"),
        ("9", ("0.24.0", "0.27.0"), "0.27.0"),
        ("9", ("0.24.0", "0.27.0", "0.32.0"), "0.32.0"),
        ("0.27.9", ("0.27.0", "0.27.8", "1.0"), "0.27.8"),
        ("1.0.1", ("1.0", "1.0.2"), "1.0"),
        ("0.27", ("0.26.0", "0.27.0.1"), "0.27.0.1"),
    ],
)
def test_the_version_that_is_meant_is_the_nearest_by_its_numbers(
    version: str, known: tuple[str, ...], meant: str
) -> None:
    assert meant_version(version, known) == meant


def test_a_version_without_a_catalogue_is_told_the_nearest() -> None:
    with pytest.raises(StudyError, match=r"engine.version: '0.27'.*did you mean '0.27.0'"):
        load_catalogue("vllm", "0.27")
