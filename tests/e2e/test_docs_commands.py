"""Commands of README and docs/ are run as they stand there, on what the page assumes, or listed with the reason."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml

from autotuner.benchmark.stand_ins.mock_process import mock_server
from autotuner.cli.main import main
from tests.e2e.studies import Told, Workplace, merged, rows
from tests.unit.repository.test_docs import PAGES, ROOT, SHELLS, Found, blocks, name_of

pytestmark = pytest.mark.long
EXAMPLES = ROOT / "tests" / "unit" / "imports" / "import_examples"
# Of a page's own study: the same commands and files, in less time.
SMALLER = {
    "workload": {"requests": {"per_slot": 2, "min": 8}, "client_lag_ms": 10_000},
    "search": {"trials": 4, "confirm": 1, "heed_disturbance": False},  # the tests beside it disturb it
    "fidelity": {"rungs": 1},
}
Codes = tuple[int, ...]
DONE, NOTHING_MET = (0,), (0, 1)  # 1: nothing meets the SLOs, which depends on the machine

_SUBMITTED = (
    "ray job submit --address http://HEAD:8265 --working-dir . -- /opt/autotuner/.venv/bin/python "
    "-m autotuner.cli.main run study.yaml --out /data/studies/{}"
)
# Command → why it is not run here. What is in brackets is a test that runs it, or the like of it.
NOT_RUN = {
    "make demo": "three minutes on two idle cores",
    "make test": "runs this very test",
    "make test-faults": "runs the tests",
    "make check": "CI's own step",
    "make format": "rewrites the repository",
    "make mutants SEED=7 COUNT=200": "runs the tests, many times over",
    ".venv/bin/python -m pytest tests/unit tests/property": "runs the tests",
    ".venv/bin/python -m pytest tests/e2e -k resume": "runs the tests",
    ".venv/bin/python scripts/make_study_reference.py": "rewrites docs (tests/unit/study/test_reference.py)",
    ".venv/bin/python -m benchmarks --except chaos --except scale": "benchmarks: minutes",
    ".venv/bin/python -m benchmarks --old": "its answer is no promise (tests/unit/repository/test_benchmarks_page.py)",
    ".venv/bin/python -m benchmarks.utilisation": "a benchmark: minutes",
    ".venv/bin/python -m benchmarks.scale": "a benchmark: minutes",
    ".venv/bin/python -m benchmarks.search_cost": "a benchmark: minutes",
    ".venv/bin/python -m benchmarks.search_cost --surface study.yaml --seeds 5": "a benchmark: minutes",
    ".venv/bin/python -m benchmarks.search_cost --seeds 5": "a benchmark: an hour",
    ".venv/bin/python -m benchmarks.search_cost --drawn 10 --draw-seed 1": "a benchmark: minutes",
    ".venv/bin/python -m benchmarks.surfaces.record_llamacpp --work recordings/llamacpp": "an hour",
    ".venv/bin/python -m benchmarks.surfaces.record_vllm --work recordings/vllm": "an hour, and needs a vLLM for CPUs",
    ".venv/bin/python -m benchmarks.front_cost --seeds 5": "a benchmark: minutes",
    ".venv/bin/python -m benchmarks.chaos --quick": "a benchmark: minutes",
    "scripts/real-vllm-cpu": "downloads vLLM",
    "python scripts/make_vllm_catalogue.py > autotuner/engines/flags/catalogues/vllm-0.33.0.yaml": "needs vLLM",
    "autotuner engines --index": "asks the package index (tests/integration/api/test_cataloguing.py)",
    "llama-server --help | python scripts/make_llamacpp_catalogue.py b11549 - > "
    "autotuner/engines/flags/catalogues/llamacpp-b11549.yaml": "tests/integration/servers/test_llamacpp.py",
    "autotuner run --engine vllm --model meta-llama/Llama-3.1-8B-Instruct --gpus 8 --slo ttft.p90=300ms "
    "--slo tpot.mean=30ms --scenario 'D(1000,200)' --objective goodput_per_gpu": "needs 8 GPUs and vLLM "
    "(tests/e2e/test_run_without_file.py)",
    "autotuner init --model /models/llama-8b.gguf --gpus 1 --out gpu.yaml": "needs a model of 8 B in /models",
    "autotuner check gpu.yaml": "needs that model",
    "autotuner run gpu.yaml": "needs a GPU",
    "autotuner doctor --address auto": "needs a cluster that this machine is a node of (tests/e2e/test_three_ways.py)",
    "autotuner check study.yaml --address auto": "needs such a cluster (tests/e2e/test_three_ways.py)",
    "autotuner run study.yaml --address auto": "needs such a cluster (tests/e2e/test_three_ways.py)",
    _SUBMITTED.format("small"): "needs a cluster (tests/e2e/test_readme_job.py)",
    _SUBMITTED.format("first"): "README's, with another folder (tests/e2e/test_readme_job.py)",
    "autotuner fetch JOB --address http://HEAD:8265 --out studies/first": "needs a job (tests/e2e/test_ray_jobs.py)",
    "cluster/local/ray-local up 8xH100-80GB 8xH100-80GB 4xL40S-48GB": "tests/integration/test_cluster_local.py",
    "cluster/local/ray-local down": "tests/integration/test_cluster_local.py",
    "hf download org/model config.json": "fetches from the model hub",
    'ray start --address=HEAD:6379 --labels="$(autotuner labels)"': "needs a cluster and GPUs",
}


@dataclass(frozen=True)
class Line:
    """A command of a page, without its comment."""

    page: str
    line: str


def told_lines() -> Iterator[Line]:
    for block in blocks(*SHELLS):
        for line in block.text.replace("\\\n", " ").splitlines():
            command = _without_comment(line)
            if command and not command.startswith("export "):
                yield Line(block.where.partition(":")[0], command)


def _without_comment(line: str) -> str:
    """As a shell reads it: what follows a # is said to people."""
    return re.sub(r"\s+#\s.*$", "", re.sub(r"\s+", " ", line)).strip()


TOLD = list(dict.fromkeys(told_lines()))


def yaml_of(page: str, name: str) -> dict[str, Any]:
    """The page's study of that name, or the YAML that stands under it."""
    found: list[Found] = [b for b in blocks("yaml") if b.where.startswith(f"{page}:")]
    return next(data for data in (yaml.safe_load(b.text) for b in found) if data.get("name") == name)


def _is_plain(line: str) -> bool:
    """Whether it is for Autotuner alone, of words and quotes, and one that starts no Ray."""
    command = re.match(r"autotuner (\w+)[^|;&$<>*`\\]*$", line)
    return command is not None and command[1] not in ("run", "resume")


class Desk:
    """A folder with what the pages assume; commands are run in it by a shell, as a reader types them.

    Those that start no Ray and need no shell to be read are run in this process, which has imported all they need.
    """

    def __init__(self, place: Workplace, folder: Path) -> None:
        self.place = place
        self.folder = folder
        (folder / "models").mkdir(parents=True)
        (folder / "models" / "tiny.gguf").write_bytes(place.model.read_bytes())

    def write(self, name: str, data: dict[str, Any]) -> None:
        (self.folder / name).write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")

    def run(
        self, command: str, codes: tuple[int, ...] = DONE, replaced: Mapping[str, str] = MappingProxyType({})
    ) -> str:
        """``replaced``: what stands for a host of the reader's."""
        line = command
        for old, new in replaced.items():
            line = line.replace(old, new)
        told = self._told_here(line) if _is_plain(line) else self._told_by_a_shell(line)
        assert told.code in codes, f"{command}: exit {told.code}\n{told.output}\n{told.errors}"
        return told.output

    def _told_here(self, line: str) -> Told:
        _, *arguments = shlex.split(line)
        output, errors = io.BytesIO(), io.StringIO()
        text = io.TextIOWrapper(output, "utf-8", write_through=True)  # the logs of servers are bytes
        with contextlib.chdir(self.folder), redirect_stdout(text), redirect_stderr(errors):
            code = main(arguments)
        return Told(code, output.getvalue().decode(), errors.getvalue())

    def _told_by_a_shell(self, line: str) -> Told:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self.folder,
            env={**self.place.environment, "PATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        return Told(done.returncode, done.stdout, done.stderr)


def run_in_order(desk: Desk, page: str, codes: Mapping[str, Codes], first: str = "") -> None:
    """Every command of a page that can be run, from the one that begins with ``first`` on."""
    lines = [told.line for told in TOLD if told.page == page and told.line not in NOT_RUN]
    begin = next(i for i, line in enumerate(lines) if line.startswith(first))
    for line in lines[begin:]:
        verb = " ".join(line.split()[:2])
        desk.run(line, codes.get(verb, DONE))


@pytest.fixture(scope="module")
def first(shared_place: Workplace) -> Desk:
    """The quick start's study, smaller, once it has run: what later pages look at."""
    desk = Desk(shared_place, shared_place.folder / "first")
    desk.write("study.yaml", merged(yaml_of("docs/quick-start.md", "first"), SMALLER))
    desk.write("strict.yaml", {"slo": {"ttft": {"p90": {"threshold_ms": 100}}, "tpot": {"mean": {"threshold_ms": 30}}}})
    out = desk.folder / "studies" / "first"
    for _ in range(3):  # once more where a busy machine kept the client waiting: what was measured is replayed later
        shutil.rmtree(out, ignore_errors=True)
        desk.run("autotuner run study.yaml --out studies/first", NOTHING_MET)
        if not rows(out, "SELECT * FROM failures WHERE failure = 'CLIENT_SATURATED'"):
            break
    shutil.copytree(out, desk.folder / "studies" / "laptop")
    return desk


VERDICTS: Mapping[str, Codes] = dict.fromkeys(("autotuner run", "autotuner resume", "autotuner rescore"), NOTHING_MET)
RUN_BY = {  # page → how its commands are run
    "README.md": "test_the_commands_of_the_readme",
    "docs/cluster.md": "test_the_commands_of_the_readme",  # the one that needs no cluster is the README's
    "docs/quick-start.md": "test_the_commands_of_the_quick_start",
    "docs/watching.md": "test_the_commands_of_watching",
    "docs/study-layers.md": "test_the_commands_of_study_layers",
    "docs/replay.md": "test_the_commands_of_replaying",
    "docs/importing.md": "test_the_commands_of_importing",
}


def test_every_command_is_run_or_listed_with_the_reason() -> None:
    unheard = [told for told in TOLD if told.line not in NOT_RUN and told.page not in RUN_BY]
    assert unheard == []
    assert sorted(NOT_RUN.keys() - {told.line for told in TOLD}) == [], "listed, and no longer in any page"
    assert RUN_BY.keys() <= {name_of(page) for page in PAGES}
    assert [t.line for t in TOLD if t.page == "docs/cluster.md" and t.line not in NOT_RUN] == [
        "autotuner run study.yaml"
    ]


def test_the_commands_of_the_readme(workplace: Workplace) -> None:
    desk = Desk(workplace, workplace.folder / "readme")
    desk.run("autotuner init --model models/tiny.gguf")
    assert "models/tiny.gguf" in (desk.folder / "study.yaml").read_text(encoding="utf-8")
    desk.write("study.yaml", merged(yaml_of("README.md", "small"), SMALLER))
    run_in_order(desk, "README.md", VERDICTS, "autotuner check")
    assert (desk.folder / "studies" / "small" / "report.html").is_file()


def test_the_commands_of_the_quick_start(first: Desk) -> None:
    desk = Desk(first.place, first.place.folder / "start")
    desk.run("autotuner init --engine llamacpp --model models/tiny.gguf --out study.yaml")
    assert "models/tiny.gguf" in (desk.folder / "study.yaml").read_text(encoding="utf-8")
    lines = [told.line for told in TOLD if told.page == "docs/quick-start.md" and told.line not in NOT_RUN]
    for line in lines:
        if line.startswith("autotuner bench"):
            with mock_server(ttft_ms=20, itl_ms=1) as url:
                desk.run(line, replaced={"http://127.0.0.1:8000": url})
        elif line.startswith("autotuner doctor"):
            desk.run(line, (0, 3))  # 3: something is broken on this machine
        elif not line.startswith(("autotuner init", "autotuner run")):  # the one is above, the other in the fixture
            first.run(line, VERDICTS.get(" ".join(line.split()[:2]), DONE))
    assert (first.folder / "studies" / "first" / "rescored.html").is_file()
    assert list((first.folder / "deploy").rglob("kubernetes.yaml"))


def test_the_commands_of_watching(first: Desk) -> None:
    for told in TOLD:
        if told.page == "docs/watching.md":
            first.run(told.line)


def test_the_commands_of_replaying(first: Desk) -> None:
    for told in TOLD:
        if told.page == "docs/replay.md" and told.line not in NOT_RUN:
            first.run(told.line, VERDICTS.get(" ".join(told.line.split()[:2]), DONE))
    summary = json.loads((first.folder / "studies" / "replayed" / "summary.json").read_text(encoding="utf-8"))
    assert summary["replayed_from"] == "replay.jsonl.gz"


def test_the_commands_of_study_layers(shared_place: Workplace) -> None:
    desk = Desk(shared_place, shared_place.folder / "layers")
    layered = next(data for b in blocks("yaml") if "profiles" in (data := yaml.safe_load(b.text)) and "slo" in data)
    desk.write("study.yaml", {**yaml_of("README.md", "small"), **layered})
    told = [t.line for t in TOLD if t.page == "docs/study-layers.md" and t.line not in NOT_RUN]
    answer = desk.run(told[0])
    assert "set by study.yaml" in answer
    assert "over 1000, set by profile layer slo/balanced" in answer
    for line in told[1:]:
        desk.run(line)


def test_the_commands_of_importing(shared_place: Workplace) -> None:
    inputs = {
        "task.json": EXAMPLES / "inference-autotuner" / "minimal_slo.json",
        "experiments.yaml": EXAMPLES / "aiconfigurator" / "qwen3_32b_pertensor.yaml",
        "results/Qwen3-32B_h200_sxm_vllm": EXAMPLES / "aiconfigurator" / "result_vllm",
    }
    told = [t.line for t in TOLD if t.page == "docs/importing.md"]
    *imports, check = told
    for number, line in enumerate(imports):
        desk = Desk(shared_place, shared_place.folder / f"import-{number}")
        for name, source in inputs.items():
            target = desk.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
        desk.run(line)
        assert (desk.folder / shlex.split(line)[-1]).is_file()
        desk.run(check)
