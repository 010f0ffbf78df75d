"""A study's Configs in its table: the very one, or the nearest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autotuner.engines.deployment import Deployment, Rank, ServerGroup, literal
from autotuner.errors import SpaceError
from autotuner.servers.replay.recorded import RecordedLaunch
from autotuner.servers.replay.row import KEY, as_number, canonical, config_key
from autotuner.servers.replay.table import Table, read_table
from autotuner.space.config import Config
from autotuner.study.model import ReplayLauncher, Study

VERSION = "replay"


@dataclass(frozen=True)
class Found:
    """``launches`` of a Config; ``instead`` is the recorded Config that stands in for it."""

    launches: Sequence[RecordedLaunch]
    instead: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Lookup:
    """``fixed``: parameters that the study fixes, and the table has columns of, with their values."""

    table: Table
    fixed: Mapping[str, Any]
    takes_nearest: bool

    def find(self, values: Mapping[str, Any]) -> Found:
        """The launches of a Config. Raises SpaceError for one that the table lacks."""
        wanted = config_key({**self.fixed, **values})
        known = self.table.launches.get(wanted)
        if known is not None:
            return Found(known)
        if not self.takes_nearest:
            told = ", ".join(f"{name} {value}" for name, value in values.items())
            rule = "a Config of the table; `nearest: true` takes the nearest that it has"
            raise SpaceError(
                f"{KEY}: the table has no Config with {told}: give {rule}", key=KEY, value=dict(values), rule=rule
            )
        near, ranges = dict(wanted), self.table.ranges
        key = min(self.table.launches, key=lambda one: _distance(near, dict(one), ranges))
        return Found(self.table.launches[key], self.table.configs[key])


def find_lookup(study: Study) -> Lookup:
    """Of a study whose launcher is replay. Raises StudyError for a table that can't be read."""
    launcher = study.launcher
    assert isinstance(launcher, ReplayLauncher)
    table = read_table(Path(launcher.table))
    fixed = {name: value for name, value in study.engine.args.items() if name in table.names}
    return Lookup(table, fixed, launcher.nearest)


def replayed_deployment(study: Study, config: Config) -> Deployment:
    """What stands in for the servers of a Config: as many GPUs as were recorded, and nothing to start.

    Raises SpaceError for a Config that the table lacks.
    """
    gpus = find_lookup(study).find(config.values).launches[0].gpus
    rank = Rank(argv=(VERSION, literal(config.key)), gpus=gpus, cpus=0)
    name = study.model.served_name or study.model.id
    return Deployment(study.engine.names[0], VERSION, study.model.id, name, (ServerGroup((rank,)),))


def _distance(
    wanted: Mapping[str, str], known: Mapping[str, str], ranges: Mapping[str, tuple[float, float]]
) -> tuple[float, int]:
    """Of two Configs: each parameter counts up to 1, numbers by their share of the table's range, on a log scale where
    it spans more than a factor of 10; then how many parameters differ."""
    total, different = 0.0, 0
    for name in {*wanted, *known}:
        one, other = wanted.get(name), known.get(name)
        if one == other:
            continue
        different += 1
        numbers = as_number(one), as_number(other)
        low, high = ranges.get(name, (0.0, 0.0))
        if numbers[0] is None or numbers[1] is None or high <= low:
            total += 1.0
        else:
            places = [_place(number, low, high) for number in numbers if number is not None]
            total += min(1.0, abs(places[0] - places[1]))
    return total, different


def _place(number: float, low: float, high: float) -> float:
    if low > 0 and high > 10 * low and number > 0:
        return math.log(number / low) / math.log(high / low)
    return (number - low) / (high - low)


def values_text(values: Mapping[str, Any]) -> str:
    """A Config for people."""
    return ", ".join(f"{name} {canonical(value).removesuffix('.0')}" for name, value in values.items())
