"""What `check` tells of a valid study: the baseline's command, environment and files, and what trials reserve."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
import yaml

import autotuner as at
from autotuner.api.shown_rank import shown_rank
from autotuner.engines.deployment import Rank, SecretEnv
from autotuner.study.model import Study


def make_study(engine: dict[str, Any], **sections: Any) -> Study:
    return Study.model_validate(
        {
            "model": {"id": "org/model", "served_name": "m {x}"},
            "engine": engine,
            "workload": {"scenario": "D(8,8)"},
            "space": {"parameters": {}},
            **sections,
        }
    )


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "precious")


def test_the_command_can_be_copied() -> None:
    study = make_study({"name": "vllm", "args": {"speculative-config": {"method": "ngram"}}})
    (rank,) = at.check(study).as_dict()["baseline"]
    (line, *_) = shown_rank(at.check(study).ranks[0]).lines()
    words = shlex.split(line)
    assert words == rank["argv"]
    assert json.loads(words[words.index("--speculative-config") + 1]) == {"method": "ngram"}
    assert words[words.index("--served-model-name") + 1] == "m {x}"
    assert words[words.index("--host") + 1 : words.index("--port") + 2] == ["HOST", "--port", "PORT"]


def test_files_and_environment_are_told_and_no_secret() -> None:
    args = {"stream_interval": 4, "kv_cache_config.dtype": "fp8"}
    env = {"PLAIN": "a {b}", "HF_TOKEN": {"from_env": "MY_TOKEN"}}
    report = at.check(make_study({"name": "trtllm", "args": args, "env": env}))
    (rank,) = report.as_dict()["baseline"]
    assert rank["env"] == {"PLAIN": "a {b}", "HF_TOKEN": {"from_env": "MY_TOKEN"}}
    assert rank["argv"][-1] == "FILES/config.yaml"
    content = {"stream_interval": 4, "kv_cache_config": {"dtype": "fp8"}}
    assert yaml.safe_load(rank["files"]["config.yaml"]) == content
    lines = list(shown_rank(report.ranks[0]).lines())
    assert lines[1:4] == ["  PLAIN='a {b}'", '  HF_TOKEN="${MY_TOKEN}"', "  FILES/config.yaml:"]
    assert yaml.safe_load("\n".join(lines[4:])) == content
    assert "precious" not in json.dumps(report.as_dict(), default=str) + "\n".join(lines)


def test_a_rank_that_meets_others_is_shown_with_the_place() -> None:
    rank = Rank(
        argv=("serve", "--dist-init-addr", "{rank0}", "--master-port", "{rank0.port}"),
        env={"MASTER": "{rank0.host}", "TOKEN": SecretEnv("T")},
        measuring_env={"DEV": "{1}"},
    )
    assert list(shown_rank(rank).lines()) == [
        "serve --dist-init-addr RANK0_HOST:RANK0_PORT --master-port RANK0_PORT",
        "  MASTER=RANK0_HOST",
        '  TOKEN="${T}"',
        "  DEV='{1}'  # while it is measured",
    ]


def plan_row(study: Study, name: str) -> str:
    return dict(at.check(study).plan())[name]


def test_what_trials_reserve_is_a_range_over_the_parallelism() -> None:
    space = {"parallelism": {"tp": [1, 2, 4], "pp": [1, 2]}, "constraints": ["gpus <= 4"]}
    study = make_study({"name": "vllm"}, space=space, hardware={"gpus_per_node": 8, "client_cpus": 1, "server_cpus": 3})
    assert plan_row(study, "a trial reserves") == "4 CPU and 1 to 4 GPU; the default 4 CPU and 1 GPU"
    report = at.check(study).as_dict()
    assert report["needs"] == {"CPU": 4, "GPU": 1}
    assert report["needs_range"] == {"CPU": [4, 4], "GPU": [1, 4]}


def test_one_amount_is_told_once() -> None:
    study = make_study({"name": "vllm"}, hardware={"client_cpus": 1, "server_cpus": 3})
    assert plan_row(study, "a trial reserves") == "4 CPU and 1 GPU"


def test_the_range_holds_for_every_engine() -> None:
    space = {"parallelism": {"tp": [1, 2], "cp": [1, 2]}}
    study = make_study({"name": ["sglang", "trtllm"]}, space=space, hardware={"client_cpus": 1, "server_cpus": 3})
    # SGLang reserves tp, TensorRT-LLM tp × cp.
    assert at.check(study).needs_range["GPU"] == (1, 4)
