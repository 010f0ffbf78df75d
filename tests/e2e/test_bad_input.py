"""What bad input gets: one clear message, the same as JSON, exit code 2, and nothing started or written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from autotuner.cli.main import main
from tests.e2e.studies import Ended, Told, Workplace, merged, rows, study_keys

ERROR_KEYS = ("code", "key", "value", "rule", "nearest")


@dataclass(frozen=True)
class Bad:
    """A change that makes the small study bad, and what its refusal must say."""

    name: str
    changes: dict[str, Any]
    code: str
    key: str
    nearest: str | None = None
    words: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def space(**keys: Any) -> dict[str, Any]:
    return {"space": keys}


def parameter(name: str, domain: Any) -> dict[str, Any]:
    return space(parameters={name: domain})


BAD = (
    Bad("unknown key", {"serach": {"trials": 3}}, "study", "serach", "search"),
    Bad("unknown inner key", {"search": {"algoritm": "tpe"}}, "study", "search.algoritm", "algorithm"),
    Bad("unknown flag", {"engine": {"args": {"ctxsize": 9}}}, "study", "engine.args.ctxsize", "ctx-size"),
    Bad(
        "unknown parameter",
        parameter("ubach-size", [32, 64, 128]),
        "study",
        "space.parameters.ubach-size",
        "ubatch-size",
    ),
    Bad("unknown objective", {"objective": "throughputt"}, "study", "objective", "throughput"),
    Bad("unknown engine", {"engine": {"name": "llamacp"}}, "study", "engine.name", "llamacpp"),
    Bad("unknown space file", space(include=["llamacpp/minimall"]), "study", "space.include.0", "llamacpp/minimal"),
    Bad("wrong type", {"search": {"trials": "many"}}, "study", "search.trials", words=("'many'", "whole number")),
    Bad(
        "wrong type of a flag", parameter("parallel", ["four"]), "study", "space.parameters.parallel", words=("'four'",)
    ),
    Bad("out of range", {"fidelity": {"rungs": 0}}, "study", "fidelity.rungs", words=("at least 1",)),
    Bad("empty list", parameter("parallel", []), "space", "space.parameters.parallel", words=("empty",)),
    Bad(
        "empty range",
        parameter("parallel", {"int": [8, 4]}),
        "space",
        "space.parameters.parallel.int",
        words=("[8, 4]",),
    ),
    Bad(
        "fixed and searched", parameter("threads", [1, 2]), "study", "space.parameters.threads", words=("engine.args",)
    ),
    Bad("one flag twice", parameter("np", [1, 2]), "study", "space.parameters.np", "parallel"),
    Bad(
        "contradictory constraints",
        space(constraints=["parallel <= 2", "parallel >= 4"]),
        "space",
        "space.constraints.0",
        words=("no Config meets the constraints",),
    ),
    Bad(
        "constraint that no Config meets",
        space(constraints=["batch_size > 0", "parallel > 100"]),
        "space",
        "space.constraints.1",
        words=("no Config meets the constraints", "parallel > 100"),
    ),
    Bad("missing model", {"model": {"id": "/nowhere/model.gguf"}}, "study", "model.id", words=("no such file",)),
    Bad("scenario", {"workload": {"scenario": "D(32;8)"}}, "workload", "workload.scenario", "D(32,8)"),
    Bad(
        "other scenario",
        {"workload": {"scenario": "lots"}},
        "workload",
        "workload.scenario",
        "D(1000,200)",
        ("N(mean,sd)",),
    ),
    Bad("dataset", {"workload": {"scenario": {"dataset": "no.jsonl"}}}, "workload", "workload.scenario.dataset"),
    Bad("executable", {"engine": {"command": ["no-such-server"]}}, "study", "engine.command"),
)


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_a_bad_study_is_refused_in_a_line_or_two_and_nothing_is_written(
    bad: Bad, tiny_model: Path, tmp_path: Path, tell: Callable[..., Told]
) -> None:
    file = _write(tmp_path, merged(study_keys(tiny_model, "bad"), bad.changes))
    out = tmp_path / "out"
    as_text, as_json = tell("check", file), tell("check", file, "--json")
    assert (as_text.code, as_json.code) == (2, 2)
    assert as_text.output == ""
    assert 1 <= len(as_text.errors.splitlines()) <= 2
    assert "Traceback" not in as_text.errors
    document = as_json.document
    assert set(ERROR_KEYS) <= set(document)
    assert (document["code"], document["key"], document["nearest"]) == (bad.code, bad.key, bad.nearest)
    assert document["rule"]
    for words in (bad.key, *([bad.nearest] if bad.nearest else []), *bad.words):
        assert words in as_text.errors
    # `check` refused it, so `run` may be tried in this process: it starts nothing.
    assert tell("run", file, "--out", out, "--json").document == document
    assert not out.exists()


@pytest.mark.parametrize(
    ("engine", "key"),
    [
        ({"env": {"X": {"from_env": "NO_SUCH_VARIABLE"}}}, "engine.env.X"),
        (
            {"per_engine": {"llamacpp": {"env": {"X": {"from_env": "NO_SUCH_VARIABLE"}}}}},
            "engine.per_engine.llamacpp.env.X",
        ),
    ],
)
def test_a_missing_secret_is_told_by_check_and_refused_where_servers_start(
    engine: dict[str, Any], key: str, tiny_model: Path, tmp_path: Path, tell: Callable[..., Told]
) -> None:
    file = _write(tmp_path, merged(study_keys(tiny_model, "secret"), {"engine": engine}))
    checked = tell("check", file, "--json")
    assert checked.code == 0
    assert any(w.startswith(f"{key}: ") and "NO_SUCH_VARIABLE" in w for w in checked.document["warnings"])
    out = tmp_path / "out"
    run = tell("run", file, "--out", out, "--json")
    assert (run.code, run.document["key"], run.document["value"]) == (2, key, "NO_SUCH_VARIABLE")
    assert not out.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model: [", "not YAML"),
        ("", "empty"),
        ("- model", "a study is a map"),
        ("name: a\nname: b\n", "stands once"),
        ("name: nothing-else\n", "is required"),
    ],
)
def test_a_file_that_is_no_study_is_refused(text: str, words: str, tmp_path: Path, tell: Callable[..., Told]) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(text, encoding="utf-8")
    told = tell("check", file, "--json")
    assert told.code == 2
    assert told.document["code"] == "study"
    assert words in told.errors


def test_a_bad_override_is_refused_like_a_bad_key(tiny_model: Path, tmp_path: Path, tell: Callable[..., Told]) -> None:
    file = _write(tmp_path, study_keys(tiny_model, "bad"))
    told = tell("check", file, "--set", "search.trails=2", "--json")
    assert told.code == 2
    assert (told.document["key"], told.document["nearest"]) == ("search.trails", "trials")


@pytest.mark.parametrize(
    "arguments",
    [
        ["chek"],
        ["check"],
        ["check", "/nowhere/study.yaml"],
        ["run"],
        ["bench"],
        ["export", "/nowhere"],
        ["check", "--x"],
    ],
    ids=" ".join,
)
def test_bad_usage_is_refused_as_json_too(arguments: list[str], tell: Callable[..., Told]) -> None:
    told = tell(*arguments, "--json")
    assert told.code == 2
    assert told.document["message"]
    assert 1 <= len(told.errors.splitlines()) <= 2


def test_debug_shows_where_an_error_comes_from(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="can't be read"):
        main(["check", str(tmp_path / "none.yaml"), "--debug"])


@pytest.mark.parametrize("command", ["resume", "report", "compare", "export", "rescore"])
def test_a_folder_without_a_study_is_refused(command: str, tmp_path: Path, tell: Callable[..., Told]) -> None:
    slo = tmp_path / "slo.yaml"
    slo.write_text("error_rate: 0.1\n", encoding="utf-8")
    more = {"export": ["--target", "shell"], "rescore": ["--slo", str(slo)]}.get(command, [])
    told = tell(command, tmp_path, *more, "--json")
    assert told.code == 2
    assert told.document["code"] == "folder"
    assert str(tmp_path) in told.document["message"]
    assert not (tmp_path / "results.sqlite").exists()


def test_the_folder_of_another_study_is_refused_and_left_as_it_is(
    ended_study: Ended, tiny_model: Path, tmp_path: Path, tell: Callable[..., Told]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in ended_study.folder.rglob("*") if path.name != ".lock"}
    file = _write(tmp_path, study_keys(tiny_model, "another"))
    told = tell("run", file, "--out", ended_study.folder, "--json")
    assert told.code == 2
    assert told.document["code"] == "folder"
    assert "another study, 'paced'" in told.errors
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_folder_with_foreign_files_is_not_written_over(
    tiny_model: Path, tmp_path: Path, tell: Callable[..., Told]
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    precious = _write(folder, {"mine": True})
    told = tell("run", _write(tmp_path, study_keys(tiny_model, "another")), "--out", folder)
    assert told.code == 2
    assert len(told.errors.splitlines()) == 1
    assert json.loads(precious.read_text(encoding="utf-8")) == {"mine": True}


def test_a_trial_that_no_node_can_hold_is_refused_before_it_waits_for_ever(
    workplace: Workplace, nothing_left_behind: Callable[..., None]
) -> None:
    out = workplace.folder / "out"
    study = workplace.study_file(workplace.folder, hardware={"gpus_per_server": 64})
    told = workplace.run("run", study, "--out", out, "--json")
    assert told.returncode == 3
    document = json.loads(told.stdout)
    assert (document["code"], document["key"]) == ("capacity", "hardware")
    assert "64 GPU" in document["message"]
    assert "no node has that much" in told.stderr
    assert "Traceback" not in told.stderr
    assert not (out / "results.sqlite").exists()
    nothing_left_behind(out)


def test_configs_that_no_node_can_hold_are_left_out_with_the_reason(
    workplace: Workplace, nothing_left_behind: Callable[..., None]
) -> None:
    out = workplace.folder / "out"
    changes = {**parameter("threads-batch", [1, 4096]), "search": {"algorithm": "grid", "trials": 20, "confirm": 0}}
    study = workplace.study_file(workplace.folder, **merged(changes, {"fidelity": {"rungs": 1}}))
    told = workplace.run("run", study, "--out", out)
    assert told.returncode == 0, told.stderr
    assert "left out: threads-batch: 4096: a trial needs 4097 CPU, and no node has that much" in told.stderr
    tried = [json.loads(row["config"]).get("threads-batch") for row in rows(out, "SELECT config FROM trials")]
    assert 4096 not in tried
    assert tried.count(1) == 4, "every other Config of the grid was measured"
    nothing_left_behind(out)


def _write(folder: Path, keys: dict[str, Any]) -> Path:
    file = folder / "study.yaml"
    file.write_text(json.dumps(keys), encoding="utf-8")  # JSON is YAML
    return file
