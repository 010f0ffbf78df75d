"""Flag catalogues: values judged, names found, words rendered."""

from __future__ import annotations

import pytest

from autotuner.engines import Flag, FlagType, catalogue_versions, load_catalogue
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
