"""check and trials with engine.version: auto, on executables of this test's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import autotuner as at
from autotuner.engines import Engine, EngineAnswer, load_catalogue
from autotuner.errors import Failure, StudyError
from autotuner.results import OutputFolder, resolved_yaml
from autotuner.results.records import Phase
from autotuner.space.config import Config
from autotuner.study.model import Study
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.store_service import StoreService
from autotuner.tuning.trial.launch import Place
from autotuner.tuning.trial.rig import Rig, make_rig
from autotuner.tuning.trial.trial import TrialRun
from tests.integration.tuning_rig import World

# In every catalogue, and in the newest alone.
OLD, NEW = "max-num-seqs", "max-num-active-seqs"

Server = Callable[..., Path]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.fixture
def server(tmp_path: Path) -> Server:
    """Writes an executable that says it is vLLM, with the flags of a catalogue but for some."""

    def write(version: str, flags_of: str, *, without: Sequence[str] = ()) -> Path:
        flags = [f"  --{name} X" for name in load_catalogue("vllm", flags_of).flags if name not in without]
        (tmp_path / "help").write_text("\n".join(flags))
        path = tmp_path / "vllm"
        path.write_text(
            f'#!/bin/sh\necho "$*" >> "{tmp_path}/calls"\n'
            f'case "$*" in --version) echo {version} ;; "serve --help=all") cat "{tmp_path}/help" ;; *) exit 2 ;; esac'
        )
        path.chmod(0o755)
        return path

    return write


def study(command: Path | str, parameters: dict[str, Any] | None = None, **sections: Any) -> Study:
    return Study.model_validate(
        {
            "model": {"id": "org/model"},
            "engine": {"name": "vllm", "version": "auto", "command": [str(command), "serve"]},
            "space": {"parameters": parameters or {OLD: [8, 16]}},
            "workload": {"scenario": "D(8,8)"},
            **sections,
        }
    )


def test_the_flags_that_tests_use_are_where_they_say() -> None:
    assert all(load_catalogue("vllm", version).find(OLD) for version in ("0.24.0", "0.27.0", "0.32.0"))
    assert load_catalogue("vllm", "0.27.0").find(NEW) is None
    assert load_catalogue("vllm", "0.32.0").find(NEW) is not None


def test_check_judges_by_what_is_installed(server: Server) -> None:
    command = server("0.32.0+cpu", "0.32.0")
    report = at.check(study(command, {NEW: [4, 8], OLD: [8]}))
    assert report.study.engine.version == "0.32.0"
    assert not [text for text in report.warnings if text.startswith("engine.version")]


def test_check_tells_by_which_version_it_judged(server: Server) -> None:
    report = at.check(study(server("0.31.1", "0.27.0")))
    assert report.study.engine.version == "0.27.0"
    assert "engine.version: 'auto': vllm 0.31.1 is installed; judged by the flags of 0.27.0" in report.warnings
    with pytest.raises(StudyError) as refused:
        at.check(study(server("0.31.1", "0.27.0"), {NEW: [4, 8]}))
    assert refused.value.key == f"space.parameters.{NEW}"
    assert "vllm 0.27.0" in refused.value.message
    assert "vllm 0.32.0, vllm 0.33.0 have it" in refused.value.message


def test_check_refuses_a_flag_that_the_installed_help_lacks(server: Server) -> None:
    with pytest.raises(StudyError) as refused:
        at.check(study(server("0.31.1", "0.27.0", without=[OLD])))
    assert refused.value.key == f"space.parameters.{OLD}"
    assert "no flag of the installed vllm 0.31.1" in refused.value.message


def test_check_without_an_answer_judges_by_the_newest(tmp_path: Path, server: Server) -> None:
    silent = server("none", "0.27.0")
    silent.write_text("#!/bin/sh\nexit 1")
    report = at.check(study(silent, {NEW: [4, 8], OLD: [8]}))
    assert report.study.engine.version == "auto"
    (told,) = [text for text in report.warnings if text.startswith("engine.version")]
    assert "no vllm on this machine tells its version" in told
    assert "0.33.0" in told


def test_a_server_that_runs_already_is_not_asked(server: Server, tmp_path: Path) -> None:
    asking = study(server("0.27.0", "0.27.0"))
    engine = asking.engine.model_copy(update={"command": []})
    space = asking.space.model_copy(update={"parameters": {}})
    running = Study.model_validate(
        {
            **asking.model_copy(update={"engine": engine, "space": space}).model_dump(mode="json"),
            "launcher": {"kind": "endpoint", "url": "http://127.0.0.1:1"},
        }
    )
    assert at.check(running).study.engine.version == "auto"
    assert make_rig(running).ask_version is None
    assert not (tmp_path / "calls").exists()


def test_check_names_an_adapter_that_is_not_there(server: Server, tmp_path: Path) -> None:
    (tmp_path / "poet").mkdir()
    adapters = {"poet": str(tmp_path / "poet"), "hub": "org/adapter", "lost": str(tmp_path / "lost")}
    workload = {"scenario": "D(8,8)", "lora": {"adapters": adapters}}
    with pytest.raises(StudyError) as refused:
        at.check(study(server("0.32.0", "0.32.0"), workload=workload))
    assert refused.value.key == "workload.lora.adapters.lost"
    del adapters["lost"]
    assert at.check(study(server("0.32.0", "0.32.0"), workload=workload)).argv


# ── a trial's node ────────────────────────────────────────────────────────────────────────────


class Lab:
    def __init__(self, path: Path, given: Study) -> None:
        path.mkdir()
        self._study, self._folder = given, OutputFolder(path)
        self._service = StoreService(str(path), resolved_yaml(given, "s1"), "s1", given.name)

    def trial(self, rig: Rig, config: Config) -> TrialRun:
        place = Place("node", ("3",), "", self._folder.trial_logs("0001"), {})
        return TrialRun(self._study, Assignment("0001", Phase.SEARCH, config, 1), place, rig, self._service, None)


@pytest.mark.parametrize(("installed", "known"), [("0.27.0", False), ("0.32.0", True)])
def test_a_trial_is_judged_by_its_own_node(tmp_path: Path, installed: str, known: bool) -> None:
    asked = []

    def ask(engine: Engine, study: Study, *, gpu_ids: Sequence[str] = ()) -> EngineAnswer:
        asked.append((engine.name, study.engine.version, gpu_ids))
        return EngineAnswer(installed, "/bin/vllm")

    world = World()
    given = study("vllm", hardware={"gpus_per_server": 0}, workload={"scenario": "D(8,4)"}, fidelity={"rungs": 1})
    trial = Lab(tmp_path / "study", given).trial(
        dataclasses.replace(world.rig, ask_version=ask), Config({NEW: 4, OLD: 8})
    )
    report = trial.run_rung(0)
    trial.release()
    assert asked == [("vllm", "auto", ("3",))]
    assert (report.failure is None) is known
    if not known:
        assert report.failure is Failure.INVALID_CONFIG
        assert "vllm 0.32.0, vllm 0.33.0 have it" in report.message
        assert world.launches == []


def test_a_trial_whose_version_is_fixed_or_not_told_asks_no_more(tmp_path: Path) -> None:
    def silent(engine: Engine, study: Study, *, gpu_ids: Sequence[str] = ()) -> EngineAnswer | None:
        assert study.engine.version == "auto"
        return None

    for number, version in enumerate(["auto", "0.32.0", None]):
        engine = {"name": "vllm", "version": version, "command": ["vllm", "serve"]}
        given = study("vllm", engine=engine, hardware={"gpus_per_server": 0}, fidelity={"rungs": 1})
        rig = dataclasses.replace(World().rig, ask_version=silent)
        trial = Lab(tmp_path / f"study{number}", given).trial(rig, Config({NEW: 4, OLD: 8}))
        assert trial.run_rung(0).failure is None
        trial.release()
