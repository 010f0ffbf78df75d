"""Waits: what a study's trials wait for because others hold it, and who they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Holder:
    """Who holds GPUs or CPU cores of one node. What nobody tells is empty: with no job and no study it is all unknown.

    ``job_id`` is Ray's, ``submission_id`` that of a submitted job, ``pid`` of the process that holds leased cores.
    """

    node: str
    gpus: float = 0.0
    cpus: float = 0.0
    study: str = ""
    trial_id: str = ""
    folder: str = ""
    job_id: str = ""
    submission_id: str = ""
    entrypoint: str = ""
    placement_groups: tuple[str, ...] = ()
    actors: tuple[str, ...] = ()
    pid: int | None = None


@dataclass(frozen=True)
class Wait:
    """``trial_id`` waits for cores of its node; where it is empty, the study waits for a place for its next trial.

    ``wants``: what it lacks, in words; ``since`` in seconds since the epoch; ``holders``: what others hold where it
    could go.
    """

    trial_id: str
    wants: str
    since: float
    holders: tuple[Holder, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Wait:
        """As ``as_dict`` wrote it, through JSON too."""
        holders = (
            Holder(**{**h, "placement_groups": tuple(h["placement_groups"]), "actors": tuple(h["actors"])})
            for h in found["holders"]
        )
        return cls(found["trial_id"], found["wants"], found["since"], tuple(holders))
