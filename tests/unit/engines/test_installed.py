"""engine.version: auto: what an installed version means for a study."""

from __future__ import annotations

from typing import Any

import pytest

from autotuner.engines import (
    EngineAnswer,
    catalogued_for,
    engines_to_ask,
    flags_in,
    installed_problems,
    judged_by,
    load_catalogue,
    study_of,
)
from autotuner.study.model import Study

VLLM_FLAGS = frozenset(load_catalogue("vllm", "0.27.0").flags)


def study(parameters: dict[str, Any] | None = None, **engine: Any) -> Study:
    return Study.model_validate(
        {
            "model": {"id": "org/model"},
            "engine": {"name": "vllm", "version": "auto", **engine},
            "space": {"parameters": parameters or {}},
            "workload": {"scenario": "D(8,8)"},
        }
    )


@pytest.mark.parametrize(
    ("engine", "installed", "catalogued"),
    [
        ("vllm", "0.32.0", "0.32.0"),
        ("vllm", "0.32.0+cpu", "0.32.0"),
        ("vllm", "0.31.1", "0.27.0"),
        ("vllm", "0.33.0rc1.dev5+gabc", "0.32.0"),
        ("vllm", "0.9.2", "0.24.0"),
        ("sglang", "0.5.14.post1", "0.5.14"),
        ("llamacpp", "11549", "b11549"),
        ("llamacpp", "xllamacpp-2026.10.11549", "b11549"),
    ],
)
def test_the_version_to_judge_by(engine: str, installed: str, catalogued: str) -> None:
    assert catalogued_for(engine, installed) == catalogued


def test_flags_of_a_help_text() -> None:
    text = """usage: serve [--host HOST] [--no-api|--api]
      -c,    --ctx-size N          size (default: 4096), see --fit; not a--flag nor ---x
      --max_num_seqs MAX_NUM_SEQS, --trust-remote-code, --no-trust-remote-code
      --speculative-config.model=x --quant=fp8"""
    assert flags_in(text) == {
        *("host", "no-api", "api", "ctx-size", "fit", "max_num_seqs", "trust-remote-code"),
        *("no-trust-remote-code", "speculative-config", "quant"),
    }


def test_only_auto_is_asked_for() -> None:
    assert engines_to_ask(study()) == ("vllm",)
    assert engines_to_ask(study(version="0.27.0")) == ()
    assert engines_to_ask(study(version=None)) == ()
    both: dict[str, Any] = {"name": ["vllm", "sglang"], "version": None, "per_engine": {"sglang": {"version": "auto"}}}
    assert engines_to_ask(study(**both)) == ("sglang",)
    fixed: dict[str, Any] = {"name": ["vllm", "sglang"], "per_engine": {"sglang": {"version": "0.5.14"}}}
    assert engines_to_ask(study(**fixed)) == ("vllm",)


def test_a_study_is_judged_by_what_is_installed() -> None:
    judged = judged_by(study(args={"max-num-seqs": 8}), "vllm", EngineAnswer("0.31.1", "/bin/vllm"))
    assert (judged.engine.version, judged.engine.args) == ("0.27.0", {"max-num-seqs": 8})
    several = study(name=["vllm", "sglang"], per_engine={"vllm": {"args": {"enforce-eager": True}}})
    judged = judged_by(several, "vllm", EngineAnswer("0.31.1", "/bin/vllm"))
    assert study_of(judged, "vllm").engine.version == "0.27.0"
    assert study_of(judged, "vllm").engine.args == {"enforce-eager": True}
    assert study_of(judged, "sglang").engine.version == "auto"


def test_a_catalogued_version_is_nothing_to_tell() -> None:
    for installed in ("0.27.0", "0.27.0+cu130"):
        answer = EngineAnswer(installed, "/bin/vllm", VLLM_FLAGS - {"max-num-seqs"})
        assert installed_problems(study({"max-num-seqs": [1, 2]}), "vllm", answer) == []


def test_a_version_between_catalogues_is_told() -> None:
    (told,) = installed_problems(study(), "vllm", EngineAnswer("0.31.1", "/bin/vllm", VLLM_FLAGS))
    assert not told.fatal
    assert told.key == "engine.version"
    assert told.rule == "vllm 0.31.1 is installed; judged by the flags of 0.27.0"


def test_flags_that_the_installed_one_does_not_know() -> None:
    flags = VLLM_FLAGS - {"max-num-seqs", "block-size", "enforce-eager"}
    asking = study(
        {"vllm.max_num_seqs": [1, 2], "sglang.block-size": [16], "tp": [1], "env.X": ["1"], "no-such": [1]},
        name=["vllm", "sglang"],
        args={"block-size": 16},
        per_engine={"vllm": {"args": {"enforce-eager": False, "dtype": "auto"}}},
    )
    told, *refused = installed_problems(asking, "vllm", EngineAnswer("0.31.1", "/opt/vllm", flags))
    assert not told.fatal
    assert [problem.key for problem in refused] == [
        "engine.args.block-size",
        "engine.per_engine.vllm.args.enforce-eager",
        "space.parameters.vllm.max_num_seqs",
    ]
    assert all(problem.fatal for problem in refused)
    assert {problem.rule for problem in refused} == {"no flag of the installed vllm 0.31.1 (/opt/vllm)"}


def test_any_spelling_in_the_help_counts() -> None:
    flags = frozenset(name.replace("-", "_") for name in VLLM_FLAGS - {"tensor-parallel-size"}) | {"tp"}
    asking = study({"max-num-seqs": [1]}, args={"tensor-parallel-size": 2})
    (told,) = installed_problems(asking, "vllm", EngineAnswer("0.31.1", "/bin/vllm", flags | {"tensor_parallel_size"}))
    assert not told.fatal


@pytest.mark.parametrize("flags", [None, frozenset(), frozenset({"host", "port", "help", "model"})])
def test_a_help_text_that_leaves_most_out_refuses_nothing(flags: frozenset[str] | None) -> None:
    (told,) = installed_problems(study({"max-num-seqs": [1]}), "vllm", EngineAnswer("0.31.1", "/bin/vllm", flags))
    assert not told.fatal


def test_keys_of_a_configuration_file_are_in_no_help() -> None:
    catalogue = load_catalogue("trtllm")
    flags = frozenset(name for name, flag in catalogue.flags.items() if flag.where == "cli")
    asking = study({"kv_cache_config.free_gpu_memory_fraction": [0.8]}, name="trtllm")
    (told,) = installed_problems(asking, "trtllm", EngineAnswer("1.9.0", "/bin/trtllm-serve", flags))
    assert not told.fatal
