"""What a study waits for because others hold it, in words."""

from __future__ import annotations

from collections.abc import Sequence

from autotuner.report.text import value_text
from autotuner.results.waits import Holder, Wait

_MOST_HOLDERS = 4
_LONGEST_COMMAND = 80


def wait_text(wait: Wait) -> str:
    """``the next trial waits for 1 CPU and 4 GPU of H100-80GB, which others hold: …``"""
    who = f"trial {wait.trial_id}" if wait.trial_id else "the next trial"
    if not wait.holders:
        return f"{who} waits for {wait.wants}, which others hold"
    told = [holder_text(holder) for holder in wait.holders[:_MOST_HOLDERS]]
    more = len(wait.holders) - len(told)
    return f"{who} waits for {wait.wants}, which others hold: {'; '.join(told)}" + (
        f"; and {more} more" if more else ""
    )


def waits_text(waits: Sequence[Wait]) -> str:
    """All waits in a line; that there is none any more."""
    return "; ".join(map(wait_text, waits)) or "nothing is waited for any more"


def holder_text(holder: Holder) -> str:
    """Who holds how much of which node."""
    return f"{_who(holder)} holds {_amount(holder)} on {holder.node}{_in_what(holder)}"


def _who(holder: Holder) -> str:
    trial = f"trial {holder.trial_id} of " if holder.trial_id else ""
    study = f"{trial}study {holder.study}" + (f" ({holder.folder})" if holder.folder else "") if holder.study else ""
    if holder.job_id:
        name = f"Ray job {holder.job_id}" + (f" ({holder.submission_id})" if holder.submission_id else "")
        command = f": {value_text(holder.entrypoint, _LONGEST_COMMAND)}" if holder.entrypoint else ""
        return f"{study}, {name}" if study else name + command
    if holder.pid is not None:
        return f"{study}, process {holder.pid}," if study else f"process {holder.pid}"
    return study or "somebody whom nothing names"


def _amount(holder: Holder) -> str:
    amounts = {"GPU": holder.gpus, "CPU": holder.cpus}
    return " and ".join(f"{amount:g} {name}" for name, amount in amounts.items() if amount)


def _in_what(holder: Holder) -> str:
    """Its placement groups, where they have names; else its actors."""
    if holder.placement_groups:
        return f" in placement group {', '.join(holder.placement_groups)}"
    return f" by actor {', '.join(holder.actors)}" if holder.actors and not holder.study else ""
