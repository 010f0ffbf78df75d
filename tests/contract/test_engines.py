"""What holds for every engine: one suite that each module of ``autotuner.engines.supported`` passes."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotuner.engines import (
    Address,
    Deployment,
    Engine,
    build_space,
    catalogue_versions,
    engine_names,
    get_engine,
    load_catalogue,
    one_engine,
    study_problems,
)
from autotuner.errors import Failure, StudyError
from autotuner.space import Config, Expression
from autotuner.space.parallelism import PARALLELISM_NAMES, Parallelism
from autotuner.space.quantization import QUANTIZATION_FIELDS
from autotuner.strict.paths import shipped_spaces
from autotuner.study.layers.space_files import included_spaces, with_spaces
from autotuner.study.loader import parse_study
from autotuner.study.model import Study

OWN = Address("10.0.0.7", 8111)
RANK0 = Address("10.0.0.1", 9222)
GPU_ENGINES = ("sglang", "trtllm", "vllm")
SPACES = dict.fromkeys((*GPU_ENGINES, "llamacpp"), ("latency", "long-context", "minimal", "moe", "throughput"))
NAMELESS = ("trtllm",)  # their servers can't be told a name: they take requests for any
VERSIONS = [(name, version) for name in engine_names() for version in catalogue_versions(name)]

each_engine = pytest.mark.parametrize("engine", [get_engine(name) for name in engine_names()], ids=lambda e: e.name)
each_version = pytest.mark.parametrize(("name", "version"), VERSIONS)


def study(name: str, version: str | None = None, /, **sections: Any) -> Study:
    own = {"name": name, "version": version, **sections.pop("engine", {})}
    data = {"model": {"id": "org/a-model"}, "engine": own, "workload": {"scenario": "D(100,10)"}, **sections}
    return Study.model_validate(data)


def deploy(given: Study, **values: Any) -> Deployment:
    engine, own_study, own_config = one_engine(given, Config(values))
    return engine.deployment(own_study, own_config)


def bound(deployment: Deployment) -> Iterator[tuple[str, ...]]:
    for group in deployment.groups:
        for rank in group.ranks:
            yield rank.bound_argv(OWN, RANK0, "/data/files")


def written(deployment: Deployment) -> str:
    """All that the servers are told."""
    files = "".join(text for group in deployment.groups for rank in group.ranks for text in rank.files.values())
    return " ".join(word for argv in bound(deployment) for word in argv) + files


# ── catalogues ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", GPU_ENGINES)
def test_at_least_two_versions_are_catalogued(name: str) -> None:
    assert len(catalogue_versions(name)) >= 2


@each_version
def test_a_catalogue_names_its_source_and_every_flag_is_well_formed(name: str, version: str) -> None:
    catalogue = load_catalogue(name, version)
    assert (catalogue.engine, catalogue.version) == (name, version)
    assert catalogue.source
    assert len(catalogue.flags) > 30
    for flag in catalogue.flags.values():
        assert not flag.name.startswith("-")
        assert flag.default is None or flag.reserved or flag.broken_rule(flag.default) is None, flag.name
    aliases = [alias for flag in catalogue.flags.values() for alias in flag.aliases]
    assert len(set(aliases)) == len(aliases)


@each_version
def test_synonyms_name_flags(name: str, version: str) -> None:
    catalogue = load_catalogue(name, version)
    assert catalogue.synonyms
    missing = [concept for concept in catalogue.synonyms if catalogue.means(concept) is None]
    assert missing == []


# ── rendering ─────────────────────────────────────────────────────────────────────────────────


@each_version
def test_the_default_is_a_server_of_that_model_at_the_address_it_is_given(name: str, version: str) -> None:
    deployment = deploy(study(name, version))
    (argv,) = bound(deployment)
    assert argv[: len(get_engine(name).command)] == get_engine(name).command
    assert "org/a-model" in argv
    assert {OWN.host, str(OWN.port)} <= set(argv)
    assert (deployment.engine, deployment.engine_version) == (name, version)
    assert deployment.served_name == "a-model"
    assert deployment.ready.path.startswith("/")


@each_version
def test_only_catalogued_flags_are_written(name: str, version: str) -> None:
    catalogue = load_catalogue(name, version)
    for argv in bound(deploy(study(name, version))):
        for word in argv[len(get_engine(name).command) :]:
            if word.startswith("--"):
                flag = word[2:].partition("=")[0]
                assert catalogue.find(flag) or catalogue.find(flag.removeprefix("no-")), word


@each_engine
def test_braces_and_spaces_in_what_a_study_says_stay_as_they_are(engine: Engine) -> None:
    given = study(engine.name, model={"id": "/models/{a} b", "served_name": "{x}"}, engine={"env": {"A": "{host}"}})
    deployment = deploy(given)
    (argv,) = bound(deployment)
    assert "/models/{a} b" in argv
    env = deployment.groups[0].ranks[0].bound_env(OWN, RANK0, "/files")
    assert env["A"] == "{host}"
    assert deployment.served_name == "{x}"
    assert engine.name in NAMELESS or "{x}" in written(deployment)


@each_engine
def test_a_command_of_the_studys_own_takes_the_engines_place(engine: Engine) -> None:
    (argv,) = bound(deploy(study(engine.name, engine={"command": ["/opt/run", "{it}"]})))
    assert argv[:2] == ("/opt/run", "{it}")


@each_engine
def test_variables_of_the_environment_are_parameters(engine: Engine) -> None:
    deployment = deploy(study(engine.name, engine={"env": {"KEPT": "1"}}), **{"env.NEW": "x", "env.GONE": None})
    env = deployment.groups[0].ranks[0].bound_env(OWN, RANK0, "/files")
    assert env["KEPT"] == "1"
    assert env["NEW"] == "x"
    assert "GONE" not in env


@each_engine
def test_an_unknown_flag_is_told_with_the_nearest_and_the_version(engine: Engine) -> None:
    catalogue = load_catalogue(engine.name)
    known = next(f.name for f in catalogue.flags.values() if f.reserved is None and len(f.name) > 8)
    misspelt = known[:3] + known[4:]
    (problem,) = engine.problems(study(engine.name, engine={"args": {misspelt: 1}}), [])
    assert (problem.key, problem.nearest, problem.fatal) == (f"engine.args.{misspelt}", known, True)
    assert f"{engine.name} {catalogue.version}" in problem.rule
    with pytest.raises(StudyError, match=misspelt):
        deploy(study(engine.name), **{misspelt: 1})


# ── parallelism ───────────────────────────────────────────────────────────────────────────────

degrees = st.fixed_dictionaries({name: st.sampled_from([1, 2, 4]) for name in PARALLELISM_NAMES})


@each_engine
@given(degrees)
def test_gpus_are_what_their_expression_says(engine: Engine, values: dict[str, int]) -> None:
    counted = Expression.parse(engine.gpus_text, "gpus").evaluate(values)
    assert max(engine.gpus(Parallelism(**values)), 1) == counted


@each_engine
@given(degrees)
def test_what_is_deployed_has_its_gpus_and_what_is_not_has_a_reason(engine: Engine, values: dict[str, int]) -> None:
    given_study = study(engine.name, hardware={"gpus_per_node": 64})
    try:
        deployment = deploy(given_study, **values)
    except StudyError as error:
        assert engine.name in error.message or "parallelism" in error.message  # noqa: PT017
        assert len(error.rule or "") > 20  # noqa: PT017
        return
    assert deployment.gpus == engine.gpus(Parallelism(**values))


@each_engine
@given(degrees)
def test_the_space_and_the_deployment_agree_on_what_can_be_done(engine: Engine, values: dict[str, int]) -> None:
    names = ("tp", "pp", "dp", "ep", "moe_tp", "moe_ep", "cp", "dcp")
    parallelism = {name: sorted({1, values[name]}) for name in names}
    given_study = study(engine.name, space={"parallelism": parallelism}, hardware={"gpus_per_node": 64})
    config = Config(values)
    possible = build_space(given_study).violated(config) is None
    try:
        deploy(given_study, **values)
    except StudyError:
        assert not possible
    else:
        assert possible


@pytest.mark.parametrize("name", GPU_ENGINES)
def test_six_presets_of_parallelism(name: str) -> None:
    presets = get_engine(name).parallelism_presets
    shared = {"single-gpu", "high-throughput", "large-model-tp", "large-model-tp-pp", "moe-optimized"}
    assert set(presets) - shared in ({"long-context"}, {"balanced"})
    assert shared < set(presets)


@each_engine
def test_every_preset_has_configs_that_the_engine_can_start(engine: Engine) -> None:
    for preset, combination in engine.parallelism_presets.items():
        assert set(combination) <= set(PARALLELISM_NAMES)
        given_study = study(engine.name, space={"parallelism": {"preset": preset}})
        configs = list(build_space(given_study).grid())
        assert configs, preset
        for config in configs:
            gpus = deploy(given_study, **config.values).gpus
            assert gpus == engine.gpus(Parallelism.of(config.values))
            assert gpus <= 16


@each_engine
def test_a_server_without_gpus(engine: Engine) -> None:
    assert deploy(study(engine.name, hardware={"gpus_per_server": 0})).gpus == 0
    with pytest.raises(StudyError, match="gpus_per_server"):
        deploy(study(engine.name, hardware={"gpus_per_server": 0}), tp=2)


@pytest.mark.parametrize("name", GPU_ENGINES)
def test_a_server_larger_than_a_node_has_a_rank_a_node_or_is_refused_with_the_reason(name: str) -> None:
    given_study = study(name, hardware={"gpus_per_node": 4})
    try:
        deployment = deploy(given_study, tp=8)
    except StudyError as error:
        assert "node" in error.message  # noqa: PT017
        return
    (group,) = deployment.groups
    assert [rank.gpus for rank in group.ranks] == [4, 4]
    first, second = bound(deployment)
    assert first != second
    meet = {RANK0.host, str(RANK0.port), str(RANK0)}
    assert meet & set(first)
    assert meet & set(second)


@each_version
def test_degrees_are_said_in_normalised_names_alone(name: str, version: str) -> None:
    catalogue = load_catalogue(name, version)
    flags = [flag for concept in catalogue.synonyms if "_parallel" in concept and (flag := catalogue.means(concept))]
    assert len(flags) >= 3 or name not in GPU_ENGINES
    for flag in flags:
        problems = get_engine(name).problems(study(name, version, engine={"args": {flag.name: 2}}), [])
        assert [(p.key, p.fatal) for p in problems if p.fatal] == [(f"engine.args.{flag.name}", True)]
        assert "space.parallelism" in problems[0].rule


# ── quantisation ──────────────────────────────────────────────────────────────────────────────


@each_engine
def test_formats_mean_flags_of_a_catalogued_version(engine: Engine) -> None:
    catalogues = [load_catalogue(engine.name, version) for version in catalogue_versions(engine.name)]
    assert set(engine.quantization) == set(QUANTIZATION_FIELDS)
    for field, values in engine.quantization.items():
        for value, meaning in values.items():
            for flag, word in meaning.flags.items():
                problems = [catalogue.problem("key", flag, word) for catalogue in catalogues]
                assert any(p is None or not p.fatal for p in problems), (field, value, problems)


@each_engine
def test_an_offline_format_asks_for_its_checkpoint(engine: Engine) -> None:
    variant = study(engine.name, model={"id": "a/b", "variants": {"awq": "a/b-awq"}})
    assert "a/b-awq" in written(deploy(variant, **{"quant.gemm": "awq"}))
    with pytest.raises(StudyError, match=r"quant\.gemm"):
        deploy(study(engine.name), **{"quant.gemm": "awq"})


@each_engine
def test_a_format_that_there_is_not_is_refused_with_those_there_are(engine: Engine) -> None:
    given_study = study(engine.name, space={"quantization": {"kv_cache": ["auto", "fp3"]}})
    problems = [p for p in study_problems(given_study, build_space(given_study)) if p.fatal]
    assert [(p.key, p.value) for p in problems] == [("space.quantization.kv_cache", "fp3")]
    assert "auto" in problems[0].rule


# ── what the server does and says ─────────────────────────────────────────────────────────────


@each_engine
def test_a_server_that_lives_hangs_and_one_with_unknown_words_crashed(engine: Engine) -> None:
    assert engine.diagnose(None, "").failure is Failure.HANG
    report = engine.diagnose(-11, "it was a dark and stormy night")
    assert report.failure is Failure.CRASH
    assert "SIGSEGV" in report.message
    assert "stormy" in report.message


@each_engine
def test_the_version_question_finds_a_version(engine: Engine) -> None:
    question = engine.version_question
    assert question.argv
    assert "(" in question.pattern


@each_engine
def test_adapters_are_served_or_refused(engine: Engine) -> None:
    workload = {"scenario": "D(100,10)", "lora": {"adapters": {"poet": "/adapters/poet"}}}
    given_study = study(engine.name, workload=workload)
    fatal = [p for p in engine.problems(given_study, []) if p.fatal]
    if fatal:
        assert fatal[0].key == "workload.lora"
        return
    text = written(deploy(given_study))
    assert "poet" in text
    assert "/adapters/poet" in text


# ── spaces ────────────────────────────────────────────────────────────────────────────────────

SPACE_FILES = sorted(
    (file.parent.name, file.stem) for file in shipped_spaces().glob("*/*.yaml") if file.parent.name in engine_names()
)


def test_every_engine_has_shipped_spaces() -> None:
    assert set(SPACES) == set(engine_names())


@pytest.mark.parametrize("name", SPACES)
def test_the_shipped_spaces_are_there(name: str) -> None:
    assert [space for engine, space in SPACE_FILES if engine == name] == list(SPACES[name])


@pytest.mark.parametrize(("name", "space"), SPACE_FILES)
def test_a_shipped_space_is_valid_in_every_catalogued_version(name: str, space: str) -> None:
    for version in catalogue_versions(name):
        text = f"model: {{id: a/b}}\nengine: {{name: {name}, version: '{version}'}}\nworkload: {{scenario: 'D(8,8)'}}"
        included = _with_space(text, name, space)
        built = build_space(included)
        assert [p for p in study_problems(included, built) if p.fatal] == []
        rng = random.Random(0)
        for _ in range(30):
            deploy(included, **built.sample(rng).values)


@pytest.mark.parametrize("pair", list(itertools.combinations(GPU_ENGINES, 2)))
def test_spaces_of_two_engines_go_together(pair: tuple[str, str]) -> None:
    text = f"model: {{id: a/b}}\nengine: {{name: [{', '.join(pair)}]}}\nworkload: {{scenario: 'D(8,8)'}}"
    included = _with_space(_with_parallelism(text), *((name, "throughput") for name in pair))
    built = build_space(included)
    assert [p for p in study_problems(included, built) if p.fatal] == []
    rng, seen = random.Random(1), set()
    for _ in range(60):
        config = built.sample(rng)
        engine = config.values["engine"]
        seen.add(engine)
        foreign = [n for n in config.values if n.split(".")[0] in GPU_ENGINES and not n.startswith(f"{engine}.")]
        assert foreign == []
        assert deploy(included, **config.values).engine == engine
    assert seen == set(pair)


def _with_parallelism(text: str) -> str:
    return text + "\nspace: {parallelism: {tp: [1, 2, 4]}, quantization: {preset: [default, kv-cache-fp8]}}"


def _with_space(text: str, *names: Any) -> Study:
    pairs = [names] if isinstance(names[0], str) else names
    given_study = parse_study(text)
    space = given_study.space.model_copy(update={"include": [f"{engine}/{space}" for engine, space in pairs]})
    given_study = given_study.model_copy(update={"space": space})
    return with_spaces(given_study, included_spaces(given_study, Path("/")))
