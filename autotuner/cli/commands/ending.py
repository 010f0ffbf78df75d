"""What ``run`` and ``resume`` print at the end."""

from __future__ import annotations

import shlex

import autotuner as at
from autotuner.cli.output import note, print_json


def tell_ending(result: at.Result, as_json: bool) -> int:
    if as_json:
        print_json(result.summary)
    else:
        result.print_summary()
    if result.exit_code > 128:  # a signal's
        note(f"interrupted; go on with: autotuner resume {shlex.quote(str(result.path))}")
    return result.exit_code
