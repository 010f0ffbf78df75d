"""Study files: what is read, and what bad input gets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from autotuner.errors import StudyError
from autotuner.study import LoadedStudy, dump_study, load_slo, load_study, parse_study, study_id
from autotuner.study.model import ConcurrencyLoad, Dataset, SecretRef, SloTerm, Trace

STUDY = """
name: demo
model: {id: models/tiny.gguf}
engine: {name: llamacpp}
workload: {scenario: "D(64,16)"}
"""

Load = Callable[..., LoadedStudy]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Writes a study file, STUDY unless told otherwise, and loads it with overrides."""

    def _load(*overrides: str, text: str = STUDY) -> LoadedStudy:
        (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
        return load_study(tmp_path / "study.yaml", overrides)

    return _load


def refused(load: Load, *overrides: str, text: str = STUDY) -> StudyError:
    with pytest.raises(StudyError) as caught:
        load(*overrides, text=text)
    return caught.value


def test_defaults_are_filled_in(load: Load) -> None:
    study = load().study
    assert study.objectives == ("goodput_per_gpu",)
    assert study.search.trials == 40
    assert study.workload.load == ConcurrencyLoad(concurrency=[1, 8, 32])


def test_paths_are_relative_to_the_file(load: Load, tmp_path: Path) -> None:
    loaded = load("workload.scenario={dataset: data/d.jsonl}")
    assert loaded.folder == tmp_path
    assert loaded.study.model.id == str(tmp_path / "models" / "tiny.gguf")
    assert loaded.study.workload.scenario == Dataset(dataset=str(tmp_path / "data" / "d.jsonl"))


def test_paths_of_variants_and_adapters_are_relative_to_the_file(load: Load, tmp_path: Path) -> None:
    (tmp_path / "poet").mkdir()
    lora = "workload.lora={adapters: {a: ./a, poet: poet, hub: org/adapter, abs: /x/../y}}"
    study = load(lora, "model.variants={fp8: ../fp8.gguf, awq: org/model-awq}").study
    assert study.workload.lora is not None
    assert study.workload.lora.adapters == {
        "a": str(tmp_path / "a"),
        "poet": str(tmp_path / "poet"),
        "hub": "org/adapter",
        "abs": "/y",
    }
    assert study.model.variants == {"fp8": str(tmp_path.parent / "fp8.gguf"), "awq": "org/model-awq"}


def test_adapters_of_a_running_server_are_not_looked_for(load: Load) -> None:
    study = load("launcher={kind: endpoint, url: 'http://h:1'}", "workload.lora={adapters: {a: ./a}}").study
    assert study.workload.lora is not None
    assert study.workload.lora.adapters == {"a": "./a"}


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("workload.lora={adapters: {tiny: ./a}}", "workload.lora.adapters.tiny"),
        ("workload.lora={adapters: {'a=b': ./a}}", "workload.lora.adapters"),
        ("workload.lora={adapters: {}}", "workload.lora.adapters"),
        ("workload.lora={adapters: {a: ./a}, base_share: 1}", "workload.lora.base_share"),
    ],
)
def test_adapters_that_requests_could_not_name(load: Load, override: str, key: str) -> None:
    assert refused(load, override, "model.served_name=tiny").key == key


@pytest.mark.parametrize(
    ("key", "value", "nearest"),
    [
        ("stream", "false", None),
        ("stream_options", "{}", None),
        ("max_tokens", "5", "workload.scenario"),
        ("max_completion_tokens", "5", "workload.scenario"),
        ("n_predict", "5", "workload.scenario"),
        ("messages", "[]", "workload.scenario"),
        ("prompt", "x", "workload.scenario"),
        ("model", "x", "model.served_name"),
    ],
)
def test_extra_body_has_no_key_that_the_load_sets(load: Load, key: str, value: str, nearest: str | None) -> None:
    error = refused(load, f"workload.extra_body={{temperature: 0, {key}: {value}}}")
    assert (error.key, error.nearest) == (f"workload.extra_body.{key}", nearest)
    assert len(error.problems) == 1


def test_a_byte_order_mark_is_no_part_of_a_file(load: Load, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text("\ufeffparameters: {threads: [1, 2]}\n", encoding="utf-8")
    (tmp_path / "slo.yaml").write_text("\ufeffttft: {p90: 1s}\n", encoding="utf-8")
    study = load("space.include=[./space.yaml]", text=f"\ufeff{STUDY}").study
    assert study.space.parameters["threads"] == [1, 2]
    assert [term.threshold_ms for _, _, term in load_slo(tmp_path / "slo.yaml").terms()] == [1000]


def test_what_else_a_server_knows_is_sent(load: Load) -> None:
    extra = {"temperature": 0.5, "min_tokens": 4, "ignore_eos": False, "seed": 1}
    assert load(f"workload.extra_body={extra}".replace("False", "false")).study.workload.extra_body == extra


def test_paths_inside_a_mix_are_relative_to_the_file_too(load: Load, tmp_path: Path) -> None:
    mix = "workload.scenarios=[{scenario: {trace: ../t.jsonl}}, {scenario: 'D(1,1)', weight: 2}]"
    study = load("workload.scenario=null", mix).study
    assert study.workload.scenarios[0].scenario == Trace(trace=str(tmp_path.parent / "t.jsonl"))


def test_a_hub_id_stays_as_it_is(load: Load) -> None:
    assert load("model.id=meta-llama/Llama-3.1-8B-Instruct").study.model.id == "meta-llama/Llama-3.1-8B-Instruct"


def test_a_model_folder_beside_the_study_is_a_path(load: Load, tmp_path: Path) -> None:
    (tmp_path / "org" / "model").mkdir(parents=True)
    assert load("model.id=org/model").study.model.id == str(tmp_path / "org" / "model")


def test_texts_that_yaml_1_1_would_change_stay_texts(load: Load) -> None:
    args = load("engine.args={a: on, b: 2024-01-01, c: 1:30, d: 010, e: 1e3, f: true}").study.engine.args
    assert args == {"a": "on", "b": "2024-01-01", "c": "1:30", "d": "010", "e": 1000.0, "f": True}


def test_overrides_make_the_maps_on_their_way(load: Load) -> None:
    study = load("slo.ttft.p90={threshold_ms: 300}", "search.trials=5", "engine.args.ctx-size=4096").study
    assert study.slo.terms() == [("ttft", "p90", SloTerm(threshold_ms=300))]
    assert study.search.trials == 5
    assert study.engine.args == {"ctx-size": 4096}


def test_an_override_reaches_keys_with_dots_and_items_of_lists(load: Load) -> None:
    text = STUDY + 'space: {parameters: {env.A: ["0", "1"]}}\n'
    study = load("space.parameters.env.A=['2']", "space.parameters.env.NEW=['x']", text=text).study
    assert study.space.parameters == {"env.A": ["2"], "env.NEW": ["x"]}
    mix = "workload: {scenarios: [{scenario: 'D(1,1)'}, {scenario: 'D(2,2)'}]}\n"
    text = STUDY.replace('workload: {scenario: "D(64,16)"}\n', mix)
    assert load("workload.scenarios.1.weight=3", text=text).study.workload.scenarios[1].weight == 3


@pytest.mark.parametrize(
    ("override", "key", "rule", "nearest"),
    [
        ("serach.trials=3", "serach", "unknown key", "search"),
        ("workload.load={concurency: [1]}", "workload.load.concurency", "unknown key", "concurrency"),
        ("workload.load=5", "workload.load", "one of {concurrency: [levels]}", None),
        ("workload.load={concurrency: [1], rate: [2]}", "workload.load.rate", "does not go with", None),
        ("workload.load={rate: [a]}", "workload.load.rate.0", "a number", None),
        ("workload.load.concurrency=[]", "workload.load.concurrency", "at least 1 value", None),
        ("workload.load.concurrency=[4, 4]", "workload.load.concurrency", "each level once", None),
        ("workload.scenario={datset: a}", "workload.scenario.datset", "unknown key", "dataset"),
        ("workload.scenario=[3]", "workload.scenario", "D(1000,200)", None),
        ("workload.scenario=null", "workload.scenario", "is required", None),
        ("workload.scenarios=[{scenario: 'D(1,1)'}]", "workload.scenarios", "not both", None),
        ("workload.scenarios=[{scenario: 'D(1,1)', weight: 0}]", "workload.scenarios.0.weight", "above 0", None),
        ("workload.load={speed: [1]}", "workload.load.speed", "timestamps of one scenario", None),
        ("launcher.kind=proces", "launcher.kind", "kind: process", "process"),
        ("launcher={kind: endpoint}", "launcher.url", "is required", None),
        ("launcher={kind: endpoint, url: 'ftp://x'}", "launcher.url", "must match", None),
        ("search.trials=-1", "search.trials", "at least 1", None),
        ("fidelity={cut: levels, trial_scheduler: hyperband}", "fidelity.cut", "whatever level they began", "requests"),
        (
            "fidelity={compare: front, trial_scheduler: hyperband}",
            "fidelity.compare",
            "by the first objective",
            "first",
        ),
        ("fidelity.cut=level", "fidelity.cut", "one of", "levels"),
        ("search.trials='4'", "search.trials", "a whole number", None),
        ("search.seed=true", "search.seed", "a whole number", None),
        ("search.seed=1.5", "search.seed", "a whole number", None),
        ("search.algorithm=tpee", "search.algorithm", "one of auto, grid, random", "tpe"),
        ("search.baseline=defalt", "search.baseline", "default", "default"),
        ("slo.ttft.p91={threshold_ms: 1}", "slo.ttft.p91", "unknown key", "p99"),
        ("slo.ttft.p90=300", "slo.ttft.p90", "a map", None),
        ("slo.error_rate=.nan", "slo.error_rate", "a finite number", None),
        ("slo.error_rate=1.5", "slo.error_rate", "at most 1", None),
        ("model=null", "model", "a map", None),
        ("model.id=", "model.id", "text", None),
        ("name=a/b", "name", "must match", None),
        ("objective=[]", "objective", "1 to 4", None),
        ("objective=[a, b, c, d, e]", "objective", "1 to 4", None),
        ("objective=[goodput, goodput]", "objective", "each objective once", None),
        ("objective=cost_per_mtok", "objective", "hardware.cost_per_gpu_hour", None),
        ("objective={}", "objective", "the name of an objective", None),
        ("budget.wall_clock_h=0", "budget.wall_clock_h", "above 0", None),
        ("engine.env.HF_TOKEN=abc", "engine.env.HF_TOKEN", "{from_env: VARIABLE}", None),
        ("engine.env.A=[1]", "engine.env.A", "text, or {from_env: VARIABLE}", None),
        ("engine.name=[vllm, sglang, vllm]", "engine.name", "each engine once", None),
        ("hardware.cost_per_gpu_hour={H10O-80GB: 2}", "hardware.cost_per_gpu_hour.H10O-80GB", "type", "H100-80GB"),
        ("hardware.cost_per_gpu_hour={l40s: 2}", "hardware.cost_per_gpu_hour.L40S-48GB", "must name as well", None),
        (
            "hardware={accelerators: [H200], cost_per_gpu_hour: {H201-141GB: 2}}",
            "hardware.cost_per_gpu_hour.H201-141GB",
            "hardware.accelerators, which are H200-141GB",
            "H200-141GB",
        ),
        ("space.include=[no/such]", "space.include.0", "a path that ends in .yaml", None),
        ("space.include=[no/such.yaml]", "space.include.0", "can be read", None),
        ("search", "search", "key.path=value", None),
        ("name.x=1", "name", "not a map", None),
    ],
)
def test_bad_input_gets_one_clear_error(load: Load, override: str, key: str, rule: str, nearest: str | None) -> None:
    error = refused(load, override)
    assert "\n" not in error.message
    assert error.key == key
    assert rule in str(error.rule)
    assert error.nearest == nearest
    assert key in error.message


def test_an_endpoint_has_nothing_to_search_or_start(load: Load) -> None:
    endpoint = "launcher={kind: endpoint, url: 'http://h:1'}"
    assert refused(load, endpoint, "space.parameters.poll=[0, 50]").key == "space.parameters"
    assert refused(load, endpoint, "engine.command=[llama-server]").key == "engine.command"
    assert load(endpoint, "model.id=some/name").study.model.id == "some/name"


def test_secrets_are_written_by_the_names_of_their_variables(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET", "hunter2")
    study = load("engine.env.HF_TOKEN={from_env: MY_SECRET}").study
    assert study.engine.env == {"HF_TOKEN": SecretRef(from_env="MY_SECRET")}
    assert "MY_SECRET" in dump_study(study)
    assert "hunter2" not in dump_study(study)


def test_a_literal_secret_stands_in_no_message(load: Load) -> None:
    endpoint = "launcher={kind: endpoint, url: 'http://h:1', headers: {Authorization: 'Bearer hunter2'}}"
    for overrides in ([endpoint], ["launcher={kind: endpoint, url: 'http://u:hunter2@h'}"], ["engine.env.A=[hunter2]"]):
        error = refused(load, *overrides)
        assert "hunter2" not in str(error.as_dict())


def test_every_problem_is_told_and_the_first_drives_the_fields(load: Load) -> None:
    error = refused(load, "search.trials=0", "fidelity.eta=1", "slo.steepness=0")
    assert [line.split(":")[0] for line in error.message.splitlines()] == [
        "slo.steepness",
        "search.trials",
        "fidelity.eta",
    ]
    assert (error.key, error.value, error.rule) == ("slo.steepness", 0, "above 0")


def test_more_than_five_problems_are_counted(load: Load) -> None:
    error = refused(load, *[f"unknown_{i}=1" for i in range(7)])
    assert len(error.message.splitlines()) == 5
    assert "(and 2 more" in error.message
    assert [problem["key"] for problem in error.as_dict()["problems"]] == [f"unknown_{i}" for i in range(7)]


def test_one_problem_is_a_list_of_one_too(load: Load) -> None:
    told = refused(load, "search.trials=0").as_dict()
    own = {name: told[name] for name in ("key", "value", "rule", "nearest")}
    assert told["problems"] == [own]
    assert own["key"] == "search.trials"


@pytest.mark.parametrize(
    "text",
    ["57e93014", "12e5", "0.10", "1e3", "007", "1_000", "0x10", "on", "No", "true", "2024-01-01", "1:30", "null", "1"],
)
def test_where_a_study_has_a_text_it_is_the_one_that_was_written(load: Load, text: str) -> None:
    sections = f"""
name: demo
model: {{id: models/tiny.gguf, served_name: "x"}}
engine: {{name: llamacpp, env: {{A: {text}}}, command: [{text}], args: {{x: 1e3}}}}
hardware: {{accelerators: []}}
workload: {{scenario: "D(64,16)"}}
space: {{constraints: [{text}]}}
"""
    for study in (
        load(text=sections).study,
        load(f"engine.env.A={text}", f"engine.command=[{text}]", f"space.constraints=[{text}]").study,
    ):
        assert study.engine.env == {"A": text}
        assert study.engine.command == [text]
        assert study.space.constraints == [text]
        again = parse_study(dump_study(study))
        assert (again.engine.env, again.engine.command) == ({"A": text}, [text])
    assert load(text=sections).study.engine.args == {"x": 1000.0}  # no text is asked for: a number is one


@pytest.mark.parametrize("name", ["57e93014", "12e5", "0.10", "1e3", "7", "true", "2024-01-01"])
def test_a_name_is_a_text(load: Load, name: str) -> None:
    assert load(text=STUDY.replace("demo", name)).study.name == name
    assert load(f"name={name}").study.name == name
    assert load(f"engine.version={name}").study.engine.version == name


def test_null_takes_away_what_may_be_left_out(load: Load) -> None:
    assert load("engine.version=null", "model.served_name=~").study.engine.version is None


def test_what_no_number_can_be_is_a_text_anywhere(load: Load) -> None:
    args = load("engine.args={revision: 57e93014, other: 0e99999, small: 1e-900}").study.engine.args
    assert args == {"revision": "57e93014", "other": "0e99999", "small": "1e-900"}


def test_texts_of_space_files_layers_and_slo_files_are_as_written_too(load: Load, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text("constraints: [0.10]\n")
    (tmp_path / "layer.yaml").write_text("study: {engine: {env: {A: 0.10}}}\n")
    (tmp_path / "layers.yaml").write_text("layers: [{study: {engine: {env: {B: 1e3}}}}]\n")
    study = load("space.include=[space.yaml]", "profiles=[layer.yaml, layers.yaml]").study
    assert study.space.constraints == ["0.10"]
    assert study.engine.env == {"A": "0.10", "B": "1e3"}


def test_keys_are_texts(load: Load) -> None:
    study = load("space.parameters={x: {choices: {1: a, 0.50: b, true: c}}}").study
    assert study.space.parameters == {"x": {"choices": {"1": "a", "0.50": "b", "true": "c"}}}


@pytest.mark.parametrize(
    ("override", "rule"),
    [
        ("search.trials=" + "9" * 30, "a number that fits into 64 bits"),
        ("engine.args.x=" + "9" * 30, "a number that fits into 64 bits"),
        ("workload.load={concurrency: [2000000]}", "at most 1000000"),
        ("workload.load={rate: [1e300]}", "at most 1000000"),
        ("workload.load={concurrency: [1e3]}", "a whole number"),
    ],
)
def test_a_number_beyond_all_use_is_refused(load: Load, override: str, rule: str) -> None:
    assert refused(load, override).rule == rule


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan", "[1, .inf]", "{a: .NaN}"])
@pytest.mark.parametrize("key", ["slo.steepness", "engine.args.x", "workload.extra_body.x", "space.parameters.x"])
def test_no_number_is_endless(load: Load, key: str, value: str) -> None:
    assert refused(load, f"{key}={value}").rule == "a finite number"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: [1\n", "line 3"),
        ("name: a\nmodel: {id: x}\nname: b\n", "line 3: name: a key stands once; it stands in line 1 too"),
        ("model: {id: x, id: y}\n", "line 1: id: a key stands once"),
        ("- 1\n", "a study is a map"),
        ("", "it is empty"),
        ("model: &m [*m]\n", "contain itself"),
        ("a: !!python/name:os.system x\n", "not YAML"),
        ("a: \x07\n", "not YAML"),
        ("? [a]\n: 1\n", "unhashable"),
    ],
)
def test_what_is_no_study_is_told_with_its_line(load: Load, text: str, words: str) -> None:
    error = refused(load, text=text)
    assert words in error.message
    assert "\n" not in error.message


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="No such file"):
        load_study(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"name: \xff\n")
    with pytest.raises(StudyError, match="UTF-8"):
        load_study(tmp_path / "latin.yaml")


def test_space_files_lie_under_the_studys_own_keys(load: Load, tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("parameters: {a: [1], b: [1]}\nconstraints: ['a < 2', 'b < 2']\n")
    (tmp_path / "two.yaml").write_text("parameters: {b: [2], c: [2]}\nconditions: {c: 'a == 1'}\n")
    own = "space: {include: [one.yaml, ./two.yaml], parameters: {c: [3], d: [3]}, constraints: ['b < 2', 'd < 4']}\n"
    space = load(text=STUDY + own).study.space
    assert space.parameters == {"a": [1], "b": [2], "c": [3], "d": [3]}
    assert space.conditions == {"c": "a == 1"}
    assert space.constraints == ["a < 2", "b < 2", "d < 4"]
    assert space.include == []


def test_an_error_in_a_space_file_names_the_file(load: Load, tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("paramters: {a: [1]}\n")
    error = refused(load, text=STUDY + "space: {include: [one.yaml]}\n")
    assert "one.yaml" in error.message
    assert error.nearest == "parameters"


def test_a_resolved_study_needs_no_other_file(load: Load) -> None:
    study = load().study
    assert parse_study(dump_study(study)) == study


def test_the_id_follows_what_matters(load: Load) -> None:
    base = study_id(load().study)
    for same in ("name=other", "search.trials=7", "budget.wall_clock_h=1", "timeouts.start_s=1", "search.confirm=0"):
        assert study_id(load(same).study) == base
    changes = ("search.seed=1", "engine.args.x=1", "workload.scenario='D(1,1)'", "objective=throughput", "model.id=o/m")
    assert len({base, *(study_id(load(change).study) for change in changes)}) == 6


def test_slos_from_a_section_or_a_study(tmp_path: Path) -> None:
    file = tmp_path / "slo.yaml"
    for text in ("ttft: {p90: {threshold_ms: 5}}", STUDY + "slo: {ttft: {p90: {threshold_ms: 5}}}"):
        file.write_text(text)
        assert load_slo(file).terms() == [("ttft", "p90", SloTerm(threshold_ms=5))]
    file.write_text("tftt: {}")
    with pytest.raises(StudyError, match="did you mean 'ttft'"):
        load_slo(file)
