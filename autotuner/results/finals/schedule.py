"""Which fresh run comes next. Pure."""

from __future__ import annotations

from collections.abc import Collection

from autotuner.results.finals.finals import Finals, in_turn


def next_run(
    finals: Finals, begun: Collection[tuple[str, int]], spoiled: Collection[tuple[str, int]]
) -> tuple[str, int] | None:
    """Who is to run next and in which round; ``None``: all is decided.

    ``begun``: runs that were started, of which ``finals`` knows those that ended and tell something; ``spoiled``:
    those that said nothing of a Config, for the client's or a node's sake. For these there are rounds of their own,
    at most as many as were asked for.
    """
    if not finals.candidates:
        return None
    more = min(len({number for _, number in spoiled}), finals.rounds)
    for number in range(1, finals.rounds + more + 1):
        before = finals.until(number - 1)
        if before.is_decided or _rounds(before) >= finals.rounds:
            return None
        for name in in_turn(_members(finals, number), number):
            if (name, number) not in begun:
                return name, number
    return None


def most_runs(rounds: int, finalists: int | None, trials: int) -> int:
    """Fresh runs of a study, at most: of the default and so many finalists (``None``: the best alone)."""
    return rounds * (1 + max(1, min(finalists or 1, trials - 1)))


def _rounds(finals: Finals) -> int:
    """How many rounds tell how the finalist that leads stands to the default."""
    gain = finals.gain(finals.left[0]) if finals.left else None
    return 0 if gain is None else gain.rounds


def _members(finals: Finals, number: int) -> list[str]:
    """The best and the default, and once both have run the rivals; later those that are left."""
    best, default = finals.candidates[0], finals.default
    pair = finals.of(best, default)
    first = next((n for n in sorted(pair.fresh.get(best, {})) if n in pair.fresh.get(default, {})), None)
    before = finals.until(number - 1)
    if first is None or number < first or not before.left:
        return [best, default, *(pair.until(number).rivals if number == first else ())]
    rivals = pair.until(number).rivals if number == first else ()
    return [
        name
        for name in (best, default, *finals.entrants[1:])
        if name == default or name in before.left or name in rivals
    ]
