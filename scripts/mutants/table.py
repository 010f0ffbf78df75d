"""What the tests noticed, by room, and every mutant that survived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scripts.mutants.mutant import Mutant
from scripts.mutants.plan import Plan
from scripts.mutants.trial import Verdict


@dataclass(frozen=True)
class Tally:
    """``least``: the share that has to be noticed."""

    name: str
    verdicts: Sequence[Verdict]
    least: float

    @property
    def noticed(self) -> int:
        return sum(verdict.is_noticed for verdict in self.verdicts)

    @property
    def share(self) -> float:
        return self.noticed / len(self.verdicts) if self.verdicts else 1.0

    @property
    def is_enough(self) -> bool:
        return self.share >= self.least


def tallies(plan: Plan, drawn: Mapping[str, Sequence[Mutant]], verdicts: Mapping[Mutant, Verdict]) -> list[Tally]:
    """One of each room, and that of the whole last."""
    rooms = [
        Tally(room.name, [verdicts[m] for m in drawn[room.name]], room.least)
        for room in plan.rooms
        if room.name in drawn
    ]
    return [*rooms, Tally("all", [v for room in rooms for v in room.verdicts], plan.least_overall)]


def show(console: Console, counts: Sequence[Tally], survivors: Sequence[Mutant]) -> None:
    for mutant in survivors:
        console.print(f"[bold]{escape(str(mutant))}[/bold]", highlight=False, soft_wrap=True)
        for line in mutant.diff:
            style = "red" if line.startswith("-") else "green"
            console.print(f"    {line}", style=style, markup=False, highlight=False, soft_wrap=True)
    table = Table("room", "drawn", "noticed", "survived", "share", "least")
    for count in counts:
        drawn, least = len(count.verdicts), f"{count.least:.0%}" if count.least else ""
        share = f"{count.share:.1%}" if count.is_enough else f"[red]{count.share:.1%}[/red]"
        table.add_row(count.name, str(drawn), str(count.noticed), str(drawn - count.noticed), share, least)
    console.print(table)
