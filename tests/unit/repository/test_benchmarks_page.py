"""Every benchmark has its table in docs/benchmarks.md, and no measured table is there that none writes."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.__main__ import measure, old_tables, write_tables
from benchmarks.docs_page import PAGE, Measured, names_in, outside, when_measured, with_table
from benchmarks.machine import describe
from benchmarks.registry import BENCHMARKS, Benchmark

ROOT = Path(__file__).resolve().parents[3]
SERVERS = {"chaos_server", "empty_server"}  # processes that benchmarks start
NAMES = [benchmark.name for benchmark in BENCHMARKS]
BEGAN = datetime(2026, 11, 30, 7, 8, tzinfo=UTC)
END = "<!-- /measured -->\nbetween\n<!-- measured: b -->\n<!-- /measured -->\nend\n"
TWO = f"# Page\n<!-- measured: a -->\nold a\n{END}"


def measured(name: str = "a", *, table: str = "figure  1\n", good: bool = True) -> Measured:
    return Measured(name, f"python -m benchmarks.{name}", table, "2 cores, no GPU", BEGAN, 1.25, good)


def test_every_module_that_is_run_is_in_the_registry() -> None:
    modules = (ROOT / "benchmarks").glob("*.py")
    run = {module.stem for module in modules if '__name__ == "__main__"' in module.read_text(encoding="utf-8")}
    packages = {main.parent.name for main in (ROOT / "benchmarks").glob("*/__main__.py")}
    assert run - SERVERS - {"__main__"} | packages == set(NAMES)
    assert len(set(NAMES)) == len(NAMES)


def test_every_benchmark_speaks_of_code_that_is_there() -> None:
    paths = [ROOT / path for benchmark in BENCHMARKS for path in benchmark.speaks_of]
    assert paths
    assert all(path.exists() for path in paths)


def test_the_page_has_one_place_for_each_and_its_command() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert sorted(names_in(page)) == sorted(NAMES)
    assert [name for name in NAMES if f"`python -m benchmarks.{name}`" not in outside(page)] == []


def test_no_measured_table_stands_outside_of_the_markers() -> None:
    rest = outside(PAGE.read_text(encoding="utf-8"))
    assert "```text" not in rest
    assert len(re.findall(r"^\|---", rest, re.MULTILINE)) == 1  # of commands and bounds


def test_make_runs_all_of_them() -> None:
    said = subprocess.run(["make", "--dry-run", "benchmarks"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "-m benchmarks\n" in said.stdout


def test_one_table_is_rewritten_and_all_else_stays() -> None:
    page = with_table(TWO, measured())
    assert "old a" not in page
    assert "Measured on 2026-11-30 07:08 UTC by `python -m benchmarks.a`, 1.2 min, on 2 cores, no GPU.\n" in page
    assert page.endswith(f"```text\nfigure  1\n```\n{END}")
    assert when_measured(page) == {"a": BEGAN}
    assert with_table(page, measured()) == page
    assert "Not within its bounds." in with_table(TWO, measured("b", good=False))


@pytest.mark.parametrize("page", ["# Page\n", TWO + TWO])
def test_a_table_without_one_place_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="not one place for a"):
        with_table(page, measured())


def test_what_fails_costs_no_other_its_table(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(TWO, encoding="utf-8")
    answers = {"a": None, "b": measured("b", good=False)}
    wrong = write_tables(page, [Benchmark(name, 1, ()) for name in answers], lambda one: answers[one.name])
    assert wrong == ["a: made no table", "b: not within its bounds"]
    assert "old a" in page.read_text(encoding="utf-8")
    assert list(when_measured(page.read_text(encoding="utf-8"))) == ["b"]


def test_a_benchmark_is_run_as_people_run_it(monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = Benchmark("report_speed", 1, (), ("--trials", "2", "--levels", "1"))
    monkeypatch.chdir(ROOT)
    found = measure(benchmark)
    assert found is not None
    assert "report of 2 trials × 1 load points" in found.table
    assert found.command == "python -m benchmarks.report_speed --trials 2 --levels 1"
    assert found.within_bounds
    assert measure(Benchmark("report_speed", 1, (), ("--no-such-option",))) is None


def test_the_machine_is_told_in_one_line() -> None:
    told = r"\d+ cores? \(.+\), \d+ GiB, (no GPU|\d+ GPUs), Python [\d.]+\S*, other work [\d.]+ cores"
    assert re.fullmatch(told, describe())
    assert f"Python {sys.version.split()[0]}" in describe()


def test_a_table_is_old_when_its_code_changed_since() -> None:
    page = "".join(
        f"<!-- measured: {name} -->\n{measured(name).text}<!-- /measured -->\n" for name in NAMES if name != "chaos"
    )
    page += "<!-- measured: chaos -->\nMeasured in November 2026.\n<!-- /measured -->\n"
    changed = {"autotuner/report": BEGAN + timedelta(hours=1)}
    found = old_tables(page, lambda paths: changed.get(paths[0], BEGAN - timedelta(hours=1)))
    assert sorted(found) == ["chaos", "report_speed"]
    assert "the code changed 2026-11-30 08:08 UTC" in found["report_speed"]
