"""Under which of a study's own keys something is told, and in which of its own words."""

from __future__ import annotations

from typing import Any

import pytest

from autotuner.engines.blame import under_written_key
from autotuner.engines.checks.images import image_problems, version_of_image
from autotuner.engines.checks.installed import (
    EngineAnswer,
    as_catalogued,
    catalogued_for,
    engines_to_ask,
    flags_in,
    has_catalogue,
    installed_problems,
    judged_by,
    with_version,
)
from autotuner.engines.one_engine import one_engine, split_prefix, study_of
from autotuner.engines.settings import image_of, served_name
from autotuner.engines.written_names import (
    flags_given_twice,
    names_in_expressions,
    names_in_rules,
    value_as_read,
    values_as_read,
)
from autotuner.errors import SpaceError, StudyError
from autotuner.space.config import Config
from tests.engine_studies import study


def engine(name: str | list[str] = "vllm", **more: Any) -> dict[str, Any]:
    return {"engine": {"name": name, **more}}


# ── whose fault it is ─────────────────────────────────────────────────────────────────────────


def blamed(rule: str, **sections: Any) -> SpaceError:
    error = SpaceError("told", key="model.id", value=rule, rule="because")
    return under_written_key(study(**{"name": "vllm", **sections}), error)


@pytest.mark.parametrize(
    ("rule", "sections", "key", "value", "nearest"),
    [
        ("max_model_len <= 4096", engine(args={"max-model-len": 9000}), "engine.args.max-model-len", 9000, "4096"),
        ("max_model_len <= 0 or max_model_len >= 512", engine(args={"max_model_len": 9}),
         "engine.args.max_model_len", 9, "512"),
        ("max_model_len <= 4096", {"space": {"parameters": {"max-model-len": [9000]}}},
         "space.parameters.max-model-len", [9000], "4096"),
        ("max_model_len <= 4096", {"space": {"parameters": {"vllm.max-model-len": [9000]}}},
         "space.parameters.vllm.max-model-len", [9000], "4096"),
        ("32 % tp == 0", {"space": {"parallelism": {"tp": [3, 5]}}}, "space.parallelism.tp", [3, 5], "4"),
        ("32 % tp == 0", {"space": {"parallelism": {"tp": 12}}}, "space.parallelism.tp", 12, "8"),
        ("31 % tp == 0", {"space": {"parallelism": {"tp": [2, 3]}}}, "space.parallelism.tp", [2, 3], "1"),
        ("quant.gemm == 'auto'", {"space": {"quantization": {"gemm": ["fp8"]}}},
         "space.quantization.gemm", ["fp8"], None),
        ("32 % pp == 0", {"space": {"parallelism": {"tp": [3]}}}, "model.id", "org/a-model", None),
        ("tp + max_model_len <= 5", engine(args={"max-model-len": 9}), "engine.args.max-model-len", 9, None),
    ],
)  # fmt: skip
def test_a_models_rule_is_told_under_the_first_key_that_the_study_wrote(
    rule: str, sections: dict[str, Any], key: str, value: Any, nearest: str | None
) -> None:
    found = blamed(rule, **sections)
    assert (found.key, found.value, found.nearest) == (key, value, nearest)
    assert str(found.rule).startswith("because (vllm ")
    assert (f"; did you mean {nearest}?" in found.message) is (nearest is not None)


def test_what_is_no_rule_of_the_model_is_told_as_it_was() -> None:
    for error in (SpaceError("told", key="space", value="tp == 1", rule="r"), SpaceError("t", key="model.id", value=3)):
        assert under_written_key(study(), error) is error


def test_of_several_engines_the_one_in_front_of_a_flag_is_asked() -> None:
    sections = engine(["vllm", "sglang"], per_engine={"sglang": {"args": {"context-length": 64}}})
    error = SpaceError("told", key="model.id", value="sglang.context_length >= 512", rule="because")
    found = under_written_key(study(["vllm", "sglang"], **sections), error)
    assert (found.value, found.nearest) == (64, "512")
    assert "vllm " in str(found.rule)
    assert ", sglang " in str(found.rule)


# ── one engine of several ─────────────────────────────────────────────────────────────────────


def test_an_engine_has_its_own_settings_over_those_of_all() -> None:
    given = study(
        ["vllm", "sglang"],
        **engine(
            ["vllm", "sglang"],
            args={"dtype": "half", "max_num_seqs": 4, "kept": 1},
            env={"A": "1", "B": "1"},
            command=["all"],
            image="all",
            per_engine={"vllm": {"args": {"max-num-seqs": 8}, "env": {"B": "2"}, "command": ["own"], "image": "own"}},
        ),
    )
    own, other = study_of(given, "vllm").engine, study_of(given, "sglang").engine
    assert own.args == {"dtype": "half", "kept": 1, "max-num-seqs": 8}
    assert (own.env, own.command, own.image, own.names, own.per_engine) == (
        {"A": "1", "B": "2"},
        ["own"],
        "own",
        ("vllm",),
        {},
    )
    assert (other.args, other.command, other.image) == (given.engine.args, ["all"], "all")


def test_the_same_spelling_is_replaced_in_its_place() -> None:
    given = study("vllm", **engine(args={"b": 1, "a": 2}, per_engine={"vllm": {"args": {"b": 3}}}))
    assert study_of(given, "vllm").engine.args == {"b": 3, "a": 2}


def test_a_config_is_seen_in_the_words_of_its_engine_and_on_its_gpu_type() -> None:
    given = study(["vllm", "sglang"], hardware={"accelerators": ["H100-80GB", "L40S-48GB"]})
    values = {"engine": "sglang", "accelerator": "L40S-48GB", "sglang.a": 1, "vllm.b": 2, "c": 3, "env.D": "4"}
    found, own, config = one_engine(given, Config(values))
    assert (found.name, own.hardware.accelerators) == ("sglang", ["L40S-48GB"])
    assert dict(config.values) == {"a": 1, "c": 3, "env.D": "4"}
    first, whole, _ = one_engine(given, Config({}))
    assert (first.name, whole.hardware.accelerators) == ("vllm", ["H100-80GB", "L40S-48GB"])


@pytest.mark.parametrize(
    ("name", "parts"),
    [("vllm.a.b", ("vllm", "a.b")), ("a.vllm", (None, "a.vllm")), ("vllm", (None, "vllm")), ("env.A", (None, "env.A"))],
)
def test_an_engine_in_front_of_a_name(name: str, parts: tuple[str | None, str]) -> None:
    assert split_prefix(name) == parts


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ({"id": "org/a-model"}, "a-model"),
        ({"id": "/models/a-model/"}, "a-model"),
        ({"id": "a-model"}, "a-model"),
        ({"id": "org/a-model", "served_name": "own"}, "own"),
    ],
)
def test_a_model_is_served_under_its_own_name_or_the_last_part_of_its_id(model: dict[str, str], name: str) -> None:
    assert served_name(study(model=model)) == name


def test_the_image_is_that_of_the_studys_gpu_type() -> None:
    images = {"L40S-48GB": "l", "H100-80GB": "h"}
    both: dict[str, Any] = {"hardware": {"accelerators": ["H100-80GB", "L40S-48GB"]}}
    assert image_of(study(**engine(image=images), **both)) == "h"
    assert image_of(study(**engine(image={"L40S-48GB": "l"}), **both)) == "l"
    assert image_of(study(**engine(image="one"))) == "one"
    assert image_of(study(**engine(image=images))) is None


# ── names of flags ────────────────────────────────────────────────────────────────────────────


def searched(name: str | list[str], *parameters: str, **more: Any) -> Any:
    return study(name, **engine(name, **more), space={"parameters": {p: [True, False] for p in parameters}})


def test_rules_know_a_flag_by_its_own_name_and_its_aliases() -> None:
    assert names_in_rules(searched("llamacpp", "ub"), "llamacpp")["ubatch_size"] == "ub"
    assert names_in_rules(searched("vllm", "no-enable-prefix-caching"), "vllm") == {
        "enable_prefix_caching": "(not no_enable_prefix_caching)"
    }
    assert names_in_rules(searched("vllm", "sglang.dtype"), "vllm") == {}
    both = searched("llamacpp", "ub", "ubatch-size")
    assert "ubatch_size" not in names_in_rules(both, "llamacpp"), "it is a parameter itself"


def test_expressions_of_a_study_of_several_engines_have_the_engine_in_front() -> None:
    alone = names_in_expressions(searched("vllm", "vllm.no-enable-prefix-caching"))
    assert alone == {"enable_prefix_caching": "(not no_enable_prefix_caching)"}
    several = names_in_expressions(searched(["vllm", "sglang"], "vllm.no-enable-prefix-caching"))
    assert several == {"vllm.enable_prefix_caching": "(not vllm.no_enable_prefix_caching)"}


def test_a_flag_that_is_set_twice_is_told_once_under_the_later_key() -> None:
    given = study("vllm", **engine(args={"max-num-seqs": 1}), space={"parameters": {"max_num_seqs": [1, 2]}})
    assert [problem.key for problem in flags_given_twice(given)] == ["space.parameters.max_num_seqs"]
    both = study(["vllm", "sglang"], **engine(["vllm", "sglang"], args={"dtype": "half"}),
                 space={"parameters": {"dtype": ["half"]}})  # fmt: skip
    assert [problem.key for problem in flags_given_twice(both)] == ["space.parameters.dtype"]


def test_an_engines_own_setting_replaces_that_of_all_and_is_not_one_more() -> None:
    given = study("vllm", **engine(args={"max-num-seqs": 1}, per_engine={"vllm": {"args": {"max_num_seqs": 2}}}))
    assert list(flags_given_twice(given)) == []


def test_values_are_read_as_every_engine_that_has_the_flag_reads_them() -> None:
    vllm, llama = study("vllm"), study("llamacpp")
    assert value_as_read(vllm, "max-num-batched-tokens", "8K") == 8192
    assert value_as_read(vllm, "max-num-batched-tokens", 5) == 5
    assert value_as_read(vllm, "sglang.max-num-batched-tokens", "8K") == "8K"
    assert value_as_read(vllm, "env.A", "8K") == "8K"
    assert value_as_read(vllm, "no-such-flag", "8K") == "8K"
    assert value_as_read(llama, "batch-size", "8K") == "8K"
    found = values_as_read(
        vllm,
        {
            "max-num-batched-tokens": ["8k", 5],
            "max-model-len": {"choices": {"a": "1K"}},
            "max-num-seqs": {"int": [1, 8]},
            "x": {"float": [0, 1]},
            "y": 3,
        },
    )
    assert found == {
        "max-num-batched-tokens": [8000, 5],
        "max-model-len": {"choices": {"a": 1024}},
        "max-num-seqs": {"int": [1, 8]},
        "x": {"float": [0, 1]},
        "y": 3,
    }
    assert values_as_read(vllm, {"max-model-len": {"int": ["1k", "8k"]}}) == {"max-model-len": {"int": [1000, 8000]}}


@pytest.mark.parametrize("given", [["8x"], {"choices": {"a": "8x"}}])
def test_a_text_where_a_flag_takes_a_number_is_refused(given: Any) -> None:
    with pytest.raises(StudyError, match=r"space\.parameters\.max-model-len: '8x': a whole number") as caught:
        values_as_read(study("vllm"), {"max-model-len": given})
    assert caught.value.key == "space.parameters.max-model-len"


# ── images ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "said", "version"),
    [
        ("vllm", "0.32.0", "0.32.0"),
        ("vllm", "v0.32.0+cpu", "0.32.0"),
        ("vllm", "0.32.0rc1", "0.32.0rc1"),
        ("vllm", "0.32.0.post2", "0.32.0.post2"),
        ("vllm", "0.32.1.dev5", None),
        ("vllm", "main", None),
        ("llamacpp", "b11549-9a1c3f0", "b11549"),
        ("llamacpp", "11549", "b11549"),
        ("llamacpp", "xllamacpp-2026.10.11549", "b11549"),
        ("llamacpp", "b12", None),
        ("llamacpp", "main", None),
    ],
)
def test_the_tag_of_a_version_that_a_server_says(name: str, said: str, version: str | None) -> None:
    assert version_of_image(name, said) == version


DOCKER = {"launcher": {"kind": "docker"}}


def image_told(name: str | list[str], **sections: Any) -> list[tuple[str, str | None]]:
    return [(problem.key, problem.nearest) for problem in image_problems(study(name, **sections))]


def test_a_docker_study_without_an_image_is_told_the_usual_one() -> None:
    on_gpus = {"hardware": {"accelerators": ["H100-80GB"]}}
    assert image_told("vllm") == []
    ((key, cpu),) = image_told("vllm", **DOCKER)
    ((_, gpu),) = image_told("vllm", **DOCKER, **on_gpus)
    ((_, one),) = image_told("vllm", **DOCKER, hardware={"gpus_per_server": 1})
    assert key == "engine.image"
    assert [str(image).partition(":")[0] for image in (cpu, gpu, one)] == [
        "public.ecr.aws/q9t5s3a7/vllm-cpu-release-repo",
        "vllm/vllm-openai",
        "vllm/vllm-openai",
    ]
    assert image_told("vllm", **DOCKER, **engine(image="own:1")) == []


def test_of_several_engines_each_is_told_under_its_own_key() -> None:
    sections = engine(["vllm", "sglang"], per_engine={"vllm": {"image": "own"}})
    assert [key for key, _ in image_told(["vllm", "sglang"], **DOCKER, **sections)] == [
        "engine.per_engine.sglang.image"
    ]


def test_where_the_image_keeps_its_executable_is_told_unless_a_command_is_given() -> None:
    [told] = image_problems(study("llamacpp", **DOCKER))
    assert told.rule == (
        "the docker launcher needs the image of the engine; the usual one also needs engine.command: "
        "[/app/llama-server]"
    )
    [told] = image_problems(study("llamacpp", **DOCKER, **engine("llamacpp", command=["x"])))
    assert told.rule == "the docker launcher needs the image of the engine"
    [told] = image_problems(study("vllm", **DOCKER))
    assert told.rule == "the docker launcher needs the image of the engine"


def test_an_image_for_each_gpu_type_names_them_all() -> None:
    both = {"hardware": {"accelerators": ["H100-80GB", "L40S-48GB"]}}
    images = {"H100-80GB": "a"}
    [told] = image_problems(study("vllm", **DOCKER, **both, **engine(image=images)))
    assert (told.key, told.rule) == ("engine.image", "names no image for L40S-48GB")
    assert image_told("vllm", **DOCKER, **both, **engine(image={**images, "L40S-48GB": "b"})) == []


# ── what is installed ─────────────────────────────────────────────────────────────────────────


def test_flags_of_a_help_text() -> None:
    text = "-h, --help\n  --max-num-seqs N (see --max_model-len)\n x--no --5k ---three -one"
    assert flags_in(text) == {"help", "max-num-seqs", "max_model-len", "5k"}


def test_engines_whose_version_is_auto_are_asked() -> None:
    several = engine(["vllm", "sglang"], version="auto", per_engine={"sglang": {"version": "0.5.3"}})
    assert engines_to_ask(study(["vllm", "sglang"], **several)) == ("vllm",)
    assert engines_to_ask(study("vllm")) == ()


@pytest.mark.parametrize(
    ("name", "said", "version"),
    [
        ("vllm", "0.32.0+cpu", "0.32.0"),
        ("vllm", "0.32.1", "0.32.1"),
        ("llamacpp", "2026.10.11549", "b11549"),
        ("llamacpp", "b11549", "b11549"),
        ("llamacpp", "11549.1", "b11549"),
        ("llamacpp", "unknown", "unknown"),
    ],
)
def test_a_version_in_the_words_of_the_catalogue(name: str, said: str, version: str) -> None:
    assert as_catalogued(name, said) == version


def test_the_installed_version_is_judged_by_the_newest_catalogue_that_is_not_newer() -> None:
    assert (catalogued_for("vllm", "0.27.9"), catalogued_for("vllm", "0.1")) == ("0.27.0", "0.24.0")
    assert (has_catalogue("vllm", "0.27.0+cu130"), has_catalogue("vllm", "0.27.9")) == (True, False)
    given = study("vllm", **engine(version="auto"))
    assert judged_by(given, "vllm", EngineAnswer("0.27.9", "/v")).engine.version == "0.27.0"


def test_a_version_is_fixed_where_the_engine_has_its_settings() -> None:
    alone = with_version(study("vllm"), "vllm", "0.27.0").engine
    assert (alone.version, alone.per_engine) == ("0.27.0", {})
    own = with_version(study("vllm", **engine(per_engine={"vllm": {"args": {"a": 1}}})), "vllm", "0.27.0").engine
    assert (own.version, own.per_engine["vllm"].version, own.per_engine["vllm"].args) == (None, "0.27.0", {"a": 1})
    several = with_version(study(["vllm", "sglang"]), "sglang", "0.5.3").engine
    assert (several.version, {n: s.version for n, s in several.per_engine.items()}) == (None, {"sglang": "0.5.3"})


def test_a_catalogued_version_needs_no_word_and_another_one_has_it() -> None:
    assert installed_problems(study("vllm"), "vllm", EngineAnswer("0.27.0", "/v", frozenset({"x"}))) == []
    [told] = installed_problems(study("vllm"), "vllm", EngineAnswer("0.27.9", "/v"))
    assert (told.key, told.fatal) == ("engine.version", False)
    assert told.rule == "vllm 0.27.9 is installed; judged by the flags of 0.27.0"
