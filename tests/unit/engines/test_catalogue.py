"""Flag catalogues: values judged, names found, words rendered."""

from __future__ import annotations

from itertools import pairwise

import pytest

from autotuner.engines import Catalogue, Flag, FlagType, catalogue_versions, load_catalogue
from autotuner.engines.flags.catalogue import nearest_version, version_key
from autotuner.errors import StudyError

CATALOGUE = load_catalogue("llamacpp")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("threads", 2, ("--threads", "2")),
        ("threads", None, ()),
        ("cont-batching", True, ("--cont-batching",)),
        ("cont-batching", False, ("--no-cont-batching",)),
        ("metrics", True, ("--metrics",)),
        ("metrics", False, ()),
        ("flash-attn", "auto", ("--flash-attn", "auto")),
        ("flash-attn", True, ("--flash-attn", "on")),  # YAML reads a bare `on` as true
        ("flash-attn", False, ("--flash-attn", "off")),
        ("slot-prompt-similarity", 0.5, ("--slot-prompt-similarity", "0.5")),
        ("rope-freq-base", 10000000.0, ("--rope-freq-base", "10000000")),
        ("n-gpu-layers", 32, ("--n-gpu-layers", "32")),
    ],
)
def test_flags_are_rendered_as_the_server_reads_them(name: str, value: object, words: tuple[str, ...]) -> None:
    flag = CATALOGUE.find(name)
    assert flag is not None
    assert flag.broken_rule(value) is None
    assert flag.render(value) == words


@pytest.mark.parametrize(
    ("name", "value", "rule", "nearest"),
    [
        ("threads", 0, "at least 1", None),
        ("threads", "2", "a whole number", None),
        ("threads", 1.5, "a whole number", None),
        ("threads", True, "a whole number", None),
        ("slot-prompt-similarity", 1.5, "at most 1", None),
        ("slot-prompt-similarity", float("nan"), "at least 0", None),
        ("cont-batching", "yes", "true or false", None),
        ("flash-attn", "onn", "one of on, off, auto", "on"),
        ("cache-type-k", "q8", "one of f32, f16", "q8_0"),
        ("n-gpu-layers", "many", "must match", None),
        ("chat-template", ["a"], "a text", None),
        ("port", 8080, "is bound at launch", None),
        ("api-key", "x", "keep the load driver out", None),
        ("uabtch-size", 64, "no flag of llamacpp", "ubatch-size"),
        ("--parallel", 64, "no flag of llamacpp", "parallel"),
        ("tp", 2, "no flag of llamacpp", None),
    ],
)
def test_what_is_wrong_is_said(name: str, value: object, rule: str, nearest: str | None) -> None:
    problem = CATALOGUE.problem("engine.args.x", name, value)
    assert problem is not None
    assert problem.key == "engine.args.x"
    assert rule in problem.rule
    if nearest is not None:
        assert problem.nearest == nearest


def test_a_flag_is_found_by_its_aliases() -> None:
    assert {CATALOGUE.find(name) for name in ("batch-size", "b")} == {CATALOGUE.flags["batch-size"]}
    assert CATALOGUE.find("gpu-layers") is CATALOGUE.flags["n-gpu-layers"]
    assert CATALOGUE.find("nothing-like-it") is None


def test_no_two_flags_share_a_name() -> None:
    names = [name for flag in CATALOGUE.flags.values() for name in (flag.name, *flag.aliases)]
    assert len(names) == len(set(names))


def test_every_default_keeps_its_own_rule() -> None:
    free = [flag for flag in CATALOGUE.flags.values() if flag.reserved is None]
    assert [flag.name for flag in free if flag.broken_rule(flag.default) is not None] == []


def test_versions_are_known_and_the_newest_is_the_default() -> None:
    versions = catalogue_versions("llamacpp")
    assert versions
    assert CATALOGUE.version == versions[-1]
    assert load_catalogue("llamacpp", versions[0]).version == versions[0]
    with pytest.raises(StudyError, match="b11549") as caught:
        load_catalogue("llamacpp", "b1154")
    assert caught.value.nearest == "b11549"
    assert caught.value.key == "engine.version"


def test_a_negative_form_of_its_own_is_used() -> None:
    assert Flag("x", FlagType.FLAG, negative="without-x").render(False) == ("--without-x",)


# ── other types, other versions, other engines ────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("flag", "value", "words"),
    [
        (Flag("a", FlagType.JSON), {"method": "ngram", "n": 3}, ("--a", '{"method":"ngram","n":3}')),
        (Flag("a", FlagType.JSON), '{"x": 1}', ("--a", '{"x": 1}')),
        (Flag("a", FlagType.LIST), ["x", 2], ("--a", "x", "2")),
        (Flag("a", FlagType.LIST), "x", ("--a", "x")),
        (Flag("a", FlagType.INT, also=("auto",)), "auto", ("--a", "auto")),
        (Flag("a", FlagType.CHOICE, choices=("true", "false")), True, ("--a", "true")),
        (Flag("a", FlagType.FLAG, negative="disable-a"), False, ("--disable-a",)),
    ],
)
def test_maps_lists_and_words_are_rendered(flag: Flag, value: object, words: tuple[str, ...]) -> None:
    assert flag.broken_rule(value) is None
    assert flag.render(value) == words


@pytest.mark.parametrize(
    ("flag", "value", "rule", "fatal"),
    [
        (Flag("a", FlagType.JSON), 3, "a map, a list, or JSON", True),
        (Flag("a", FlagType.LIST), [["x"]], "a list of words", True),
        (Flag("a", FlagType.LIST, choices=("x", "y")), ["x", "z"], "each one of x, y", True),
        (Flag("a", FlagType.INT, also=("auto",)), "aut", "a whole number, or auto", True),
        (Flag("a", FlagType.CHOICE, choices=("x", "y"), open=True), "z", "none of the known x, y", False),
    ],
)
def test_what_is_wrong_with_maps_lists_and_words(flag: Flag, value: object, rule: str, fatal: bool) -> None:
    broken = flag.broken_rule(value)
    assert broken is not None
    assert rule in broken.rule
    assert broken.fatal is fatal


def test_a_deprecated_flag_is_told_and_taken() -> None:
    catalogue = Catalogue("x", "1", {"old": Flag("old", FlagType.INT, deprecated="use new")})
    problem = catalogue.problem("engine.args.old", "old", 1)
    assert problem is not None
    assert not problem.fatal
    assert "use new" in problem.rule


def test_dashes_and_underscores_are_alike() -> None:
    assert CATALOGUE.find("batch_size") is CATALOGUE.flags["batch-size"]


@pytest.mark.parametrize(
    ("engine", "name", "nearest"),
    [
        ("vllm", "max-running-requests", "max-num-seqs"),
        ("sglang", "max-num-seqs", "max-running-requests"),
        ("trtllm", "max-num-seqs", "max_batch_size"),
        ("trtllm", "max-model-len", "max_seq_len"),
        ("llamacpp", "max-num-seqs", "parallel"),
    ],
)
def test_another_engines_flag_is_told_with_its_name_here(engine: str, name: str, nearest: str) -> None:
    problem = load_catalogue(engine).problem("engine.args.x", name, 0.9)
    assert problem is not None
    assert problem.nearest == nearest
    assert f"name for {nearest}" in problem.rule


@pytest.mark.parametrize(
    ("engine", "name", "nearest", "difference"),
    [
        ("vllm", "mem-fraction-static", "gpu-memory-utilization", "activations and CUDA graphs take the rest"),
        ("sglang", "gpu-memory-utilization", "mem-fraction-static", "of the whole GPU"),
        ("trtllm", "gpu-memory-utilization", "kv_cache_config.free_gpu_memory_fraction", "leave free"),
        ("sglang", "enable-prefix-caching", "disable-radix-cache", "the other way round"),
        ("vllm", "disable-radix-cache", "enable-prefix-caching", "the other way round"),
        ("sglang", "kv-offloading-size", "hicache-size", "in GB, of each rank"),
        ("trtllm", "hicache-size", "kv_cache_config.host_cache_size", "in bytes"),
        ("vllm", "chunked-prefill-size", "max-num-batched-tokens", "of a whole step"),
        ("trtllm", "chunked-prefill-size", "enable_chunked_prefill", "a number of tokens"),
        ("vllm", "ctx-size", "max-model-len", "all slots together"),
    ],
)
def test_what_differs_in_sense_or_unit_is_no_other_name(engine: str, name: str, nearest: str, difference: str) -> None:
    problem = load_catalogue(engine).problem("engine.args.x", name, 0.9)
    assert problem is not None
    assert problem.nearest == nearest
    assert "name for" not in problem.rule
    assert "not the same" in problem.rule
    assert difference in problem.rule


@pytest.mark.parametrize(
    ("engine", "name"),
    [
        ("vllm", "n-gpu-layers"),
        ("sglang", "n-gpu-layers"),
        ("llamacpp", "cpu-offload-gb"),
        ("trtllm", "schedule-policy"),
        ("trtllm", "enforce-eager"),
    ],
)
def test_a_flag_that_nothing_stands_for_gets_no_nearest(engine: str, name: str) -> None:
    problem = load_catalogue(engine).problem("engine.args.x", name, 1)
    assert problem is not None
    assert problem.nearest is None
    assert "none here does the same" in problem.rule


def test_a_degree_is_told_with_the_key_that_sets_it() -> None:
    problem = load_catalogue("sglang").problem("engine.args.x", "enable-expert-parallel", True)
    assert problem is not None
    assert "space.parallelism.ep" in problem.rule


def test_a_flag_of_another_version_is_told_with_that_version() -> None:
    newest = load_catalogue("vllm")
    oldest = load_catalogue("vllm", catalogue_versions("vllm")[0])
    gone = next(name for name, flag in oldest.flags.items() if newest.find(name) is None and flag.reserved is None)
    problem = newest.problem("engine.args.x", gone, None)
    assert problem is not None
    assert f"vllm {oldest.version}" in problem.rule
    assert f"no flag of vllm {newest.version}" in problem.rule


@pytest.mark.parametrize(
    ("version", "nearest"), [("0.33.1", "0.32.0"), ("0.27.5", "0.27.0"), ("0.1", "0.24.0"), ("0.32.0", "0.32.0")]
)
def test_a_version_without_a_catalogue_is_judged_by_the_newest_before_it(version: str, nearest: str) -> None:
    assert nearest_version(version, ("0.24.0", "0.27.0", "0.32.0")) == nearest


def test_release_candidates_come_before_their_release() -> None:
    versions = ["1.3.0", "1.3.0rc20", "1.3.0rc3", "1.2.1", "1.3.0.post1"]
    ordered = ["1.2.1", "1.3.0rc3", "1.3.0rc20", "1.3.0", "1.3.0.post1"]
    assert sorted(versions, key=version_key) == ordered


@pytest.mark.parametrize(
    "versions",
    [
        ("0.9", "0.27", "0.27.0", "0.27.1"),
        ("b9999", "b11549"),
        ("1.3.0a1", "1.3.0b1", "1.3.0rc1", "1.3.0", "1.3.0.post1", "1.3.0.post2", "1.3.1rc1"),
        ("1.0", "1.0.post1", "1.0.0"),
    ],
)
def test_versions_are_ordered_by_their_numbers(versions: tuple[str, ...]) -> None:
    assert all(version_key(a) < version_key(b) for a, b in pairwise(versions))
    assert version_key("1.0RC1") == version_key("1.0rc1")


def test_a_flag_that_other_versions_have_is_told_with_them() -> None:
    flags = {"old": Flag("old", FlagType.INT)}
    catalogue = Catalogue("vllm", "0.32.0", flags)
    gone = [v for v in catalogue_versions("vllm") if v != "0.32.0" and load_catalogue("vllm", v).find("max-num-seqs")]
    problem = catalogue.problem("k", "max-num-seqs", 3)
    assert problem is not None
    assert problem.rule == f"no flag of vllm 0.32.0; {', '.join(f'vllm {v}' for v in gone)} have it"


def test_a_key_under_the_letter_of_older_versions_is_told_with_its_name_now() -> None:
    problem = load_catalogue("vllm").problem("k", "O.level", 3)
    assert problem is not None
    assert problem.nearest == "compilation-config.mode"
    assert problem.rule.endswith("; -O was older versions' name for compilation-config")
