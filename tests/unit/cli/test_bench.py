"""What bench refuses before it asks a server anything."""

from __future__ import annotations

import json

import pytest

import autotuner as at
from autotuner.cli.main import main
from autotuner.errors import StudyError

NOWHERE = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("body", "key", "nearest"),
    [
        ({"stream": False}, "extra_body.stream", None),
        ({"stream_options": {}}, "extra_body.stream_options", None),
        ({"temperature": 0, "max_tokens": 5}, "extra_body.max_tokens", "--scenario"),
        ({"max_completion_tokens": 5}, "extra_body.max_completion_tokens", "--scenario"),
        ({"messages": []}, "extra_body.messages", "--scenario"),
        ({"prompt": "x"}, "extra_body.prompt", "--scenario"),
        ({"model": "x"}, "extra_body.model", "--model"),
    ],
)
def test_extra_body_has_no_key_that_the_load_sets(
    capsys: pytest.CaptureFixture[str], body: dict[str, object], key: str, nearest: str | None
) -> None:
    assert main(["bench", NOWHERE, "--extra-body", json.dumps(body), "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["key"], told["nearest"]) == (key, nearest)


def test_the_python_interface_refuses_it_too() -> None:
    workload = at.Workload.model_validate({"scenario": "D(1,1)", "extra_body": {"prompt": "x"}})
    with pytest.raises(StudyError, match=r"workload\.extra_body\.prompt"):
        at.bench(NOWHERE, workload)
