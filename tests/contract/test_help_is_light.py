"""Asking for help loads the command line alone: no engine, no pydantic, no Ray, nothing that is not Python's own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import autotuner
from autotuner.cli.commands import COMMANDS
from autotuner.cli.main import main

# What a process has loaded when each of these was asked, in packages of others and in modules of ours.
SCRIPT = """
import contextlib, io, json, sys
before = set(sys.modules)
from autotuner.cli.main import main
for words in json.loads(sys.argv[1]):
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        main(words)
loaded = set(sys.modules) - before
tops = {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names) - {"autotuner"}
ours = {name for name in loaded if name.partition(".")[0] == "autotuner"}
print(json.dumps([sorted(tops), sorted(ours)]))
"""
LIGHT = ("autotuner.errors", "autotuner.cli")


def loaded_by(*asked: list[str]) -> tuple[list[str], list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(asked)], capture_output=True, text=True, timeout=60, check=True
    )
    others, ours = json.loads(done.stdout)
    return others, [name for name in ours if name != "autotuner" and not name.startswith(LIGHT)]


@pytest.mark.parametrize(
    "asked",
    [[["--help"]], [["--version"]], [[command.NAME, "--help"] for command in COMMANDS], [["no-such-command"]]],
    ids=["help", "version", "help of every command", "a command that is none"],
)
def test_help_loads_the_command_line_alone(asked: list[list[str]]) -> None:
    assert loaded_by(*asked) == ([], [])


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"autotuner {autotuner.__version__}\n")


def test_a_command_that_does_something_is_seen_to_load_more() -> None:
    others, ours = loaded_by(["check", "no-such-study.yaml"])
    assert "pydantic" in others
    assert "autotuner.study" in ours
