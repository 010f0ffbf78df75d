"""What ``make mutants`` changes, what it leaves alone, and what it draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.mutants.draw import draw
from scripts.mutants.mutant import Mutant, mutants_of
from scripts.mutants.plan import Alike, Plan
from scripts.mutants.table import Tally
from scripts.mutants.trial import Verdict

ROOT = Path(__file__).parents[3]


def made(tmp_path: Path, source: str) -> list[Mutant]:
    path = tmp_path / "module.py"
    path.write_text(source, encoding="utf-8")
    return mutants_of(path)


def came(mutants: Sequence[Mutant]) -> list[str]:
    """What each mutant's changed lines are."""
    return [" / ".join(line[1:].strip() for line in m.diff if line.startswith("+")) for m in mutants]


@pytest.mark.parametrize(
    ("line", "changes"),
    [
        ("x = 3", ["x = 4", "x = 2"]),
        ("x = 0", ["x = 1", "x = (-1)"]),
        ("x = 1e300", []),
        ("x = a < b", ["x = a <= b"]),
        ("x = a and not b", ["x = a or not b", "x = a and b"]),
        ("x = a + b", ["x = a - b"]),
        ("x = min(a)", ["x = max(a)"]),
        ("x = np.minimum(a)", ["x = np.maximum(a)"]),
        ("x = any(a)", ["x = all(a)"]),
        ("x = a is b", ["x = a is not b"]),
        ("x = a if b else c", ["x = a if (b) and False else c", "x = a if (b) or True else c"]),
        ("x += y", ["x = y", "x -= y", "pass"]),
        ("x.a = y", ["pass"]),
        ("x[y] = z", ["pass"]),
        ("f(x)", ["pass"]),
        ("raise x", ["pass"]),
        ("x = y", []),
        ("f(x=True)", ["pass", "f(x=False)"]),
        ("zip(a, strict=True)", ["pass"]),
        ("x: Literal[3] = y", []),
        ("_log.info(3)", []),
        ("__all__ = [3]", []),
        ("import a", []),
        ('"""text 3"""', []),
    ],
)
def test_what_is_made_of_a_line(tmp_path: Path, line: str, changes: list[str]) -> None:
    assert sorted(came(made(tmp_path, line + "\n"))) == sorted(changes)


def test_a_guard_goes_as_a_whole_and_what_stands_alone_in_it_with_it(tmp_path: Path) -> None:
    assert came(made(tmp_path, "if a:\n    raise b\n")) == ["pass"]
    assert came(made(tmp_path, "if a:\n    f(b)\n    raise c\n")) == ["pass", "pass", "pass"]
    assert came(made(tmp_path, "if a:\n    raise b\nelse:\n    f(c)\n")) == ["pass", "pass"]
    assert came(made(tmp_path, "if TYPE_CHECKING:\n    f(3)\n")) == []


SOURCE = """@decorated(3)
def f(a: Literal[4] = 5) -> int:
    x = g(
        6)
    if a < 7:
        return 8
    return x
"""


def test_a_mutant_knows_its_line_the_lines_of_its_statement_and_when_it_is_evaluated(tmp_path: Path) -> None:
    found = {m.diff[-1].strip(): m for m in made(tmp_path, SOURCE)}
    default = found["+def f(a: Literal[4] = 6) -> int:"]
    assert (default.line, default.at_import) == (2, True)
    inside = found["+        7)"]
    assert (inside.line, list(inside.lines), inside.at_import) == (4, [3, 4], False)
    compared = found["+    if a <= 7:"]
    assert (compared.line, list(compared.lines)) == (5, [5])
    assert str(compared).endswith("module.py:5")
    assert not any("decorated(4)" in came for came in found)
    compile(compared.source, "module.py", "exec")


def test_the_same_seed_draws_the_same_mutants_of_each_room(tmp_path: Path) -> None:
    mutants = made(tmp_path, "".join(f"x = {n}\n" for n in range(10, 60)))
    rooms = {"small": mutants[:10], "large": mutants}
    drawn = draw(rooms, 1, 40, 8, ())
    assert {name: len(found) for name, found in drawn.items()} == {"small": 8, "large": 36}
    assert draw(rooms, 1, 40, 8, ()) == drawn
    assert draw(rooms, 2, 40, 8, ()) != drawn
    assert len(set(drawn["large"])) == 36


def test_what_is_known_to_be_alike_is_not_drawn(tmp_path: Path) -> None:
    mutants = made(tmp_path, "x = 3\n")
    module = str(mutants[0].path)
    alike = Alike(module=module, was="x = 3", now="x = 4", because="…")
    assert came(draw({"a": mutants}, 0, 9, 9, [alike])["a"]) == ["x = 2"]
    whole = Alike(module=module, was="x = 3", because="…")
    assert draw({"a": mutants}, 0, 9, 9, [whole])["a"] == []


def test_a_room_of_which_enough_was_noticed() -> None:
    verdicts = [Verdict.NOTICED, Verdict.HUNG, Verdict.NOTICED, Verdict.SURVIVED]
    assert (Tally("a", verdicts, 0.75).is_enough, Tally("a", verdicts, 0.76).is_enough) == (True, False)
    assert Tally("a", [], 0.97).is_enough


def test_every_pattern_of_the_plan_matches_and_every_mutant_that_is_listed_as_alike_is_one() -> None:
    plan = Plan.read()
    paths = [path for room in plan.rooms for path in room.paths(ROOT)]
    assert len(paths) == len(set(paths)) > 50
    assert len(plan.test_files(ROOT)) > 50
    for alike in plan.alike:
        assert Path(alike.module) in paths
        relative = [replace(mutant, path=Path(alike.module)) for mutant in mutants_of(ROOT / alike.module)]
        assert any(map(alike.holds_for, relative)), f"{alike.module}: {alike.was}"
