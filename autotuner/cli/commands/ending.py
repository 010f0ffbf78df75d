"""What ``run`` and ``resume`` print at the end."""

from __future__ import annotations

import autotuner as at
from autotuner.cli.output import print_json


def tell_ending(result: at.Result, as_json: bool) -> int:
    if as_json:
        print_json(result.summary)
    else:
        result.print_summary()
    return result.exit_code
