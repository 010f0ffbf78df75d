"""The end of a study: its finalists and its default, measured afresh in rounds, and what these runs decide. Pure."""

from autotuner.results.finals.finals import Finals, Gain, Run
from autotuner.results.finals.known import (
    FinalsRules,
    Word,
    as_said,
    confirmation_id,
    fresh_choice,
    make_finals,
    round_of,
)
from autotuner.results.finals.schedule import most_runs, next_run

__all__ = [
    "Finals",
    "FinalsRules",
    "Gain",
    "Run",
    "Word",
    "as_said",
    "confirmation_id",
    "fresh_choice",
    "make_finals",
    "most_runs",
    "next_run",
    "round_of",
]
