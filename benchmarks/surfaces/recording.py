"""Recording: a surface of real servers, measured by the product itself.

Three ordinary studies measure it, one after another, so that what drifts between them is in the table: every Config of
a space once, then twice the same tenth of them, drawn by seed. Their tables become one. What was measured is kept in
a folder: a recording that was broken off goes on where it ended when it is started again.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import autotuner as at
from autotuner.results.replay_table import NAME as EXPORTED
from autotuner.servers.replay.row import CONFIG, config_key

TABLE = "table.jsonl.gz"
REPEATED = 10  # one Config in so many is launched three times
_ROUNDS = ("all", "again", "once-more")
_SEED = 0  # of the tenth
_DIGITS = 4  # of seconds: a tenth of a millisecond, below what a client can tell


@dataclass(frozen=True)
class Recording:
    """``study``: what to measure, and the question that the surface asks; ``configs``: how many it has, the default
    apart."""

    name: str
    told: str
    study: Mapping[str, Any]
    configs: int

    def round(self, number: int, launches: int | None) -> dict[str, Any]:
        """The study of a round: the whole grid (or its first ``launches``), then the tenth. Nothing is stopped early,
        all load is sent at once."""
        asked = deepcopy(dict(self.study))
        whole = self.configs if launches is None else min(launches, self.configs)
        trials = whole if number == 0 else max(1, whole // REPEATED)
        searched = {"algorithm": "grid"} if number == 0 else {"algorithm": "random", "seed": _SEED}
        asked["name"] = f"{self.name}-{_ROUNDS[number]}"
        asked["search"] = {**searched, "trials": trials + 1, "confirm": 0, "max_concurrent_trials": 1}  # + the default
        asked["fidelity"] = {"trial_scheduler": "none", "rungs": 1}
        return asked

    def surface(self) -> dict[str, Any]:
        """The study that the recorded table answers."""
        asked = deepcopy(dict(self.study))
        asked["name"] = self.name
        asked["launcher"] = {"kind": "replay", "table": TABLE}
        asked["model"] = {"id": f"recorded/{self.name}"}
        asked["engine"] = {key: value for key, value in asked["engine"].items() if key in ("name", "version", "args")}
        for section in ("hardware", "timeouts"):
            asked.pop(section, None)
        return asked


def record(recording: Recording, work: Path, out: Path, launches: int | None = None) -> Path:
    """Measures what ``work`` does not have yet, and writes study and table into ``out``; returns the study."""
    tables = []
    for number, name in enumerate(_ROUNDS):
        folder = work / name
        _measure(recording.round(number, launches), folder)
        tables.append(_exported(folder, work / f"{name}-table"))
    out.mkdir(parents=True, exist_ok=True)
    _write(out / TABLE, joined(map(_rows, tables)))
    study = out / "study.yaml"
    head = "".join(f"# {line}\n" for line in recording.told.splitlines())
    study.write_text(head + yaml.safe_dump(recording.surface(), sort_keys=False, allow_unicode=True), encoding="utf-8")
    return study


def _measure(asked: Mapping[str, Any], folder: Path) -> None:
    if (folder / "study.yaml").exists():
        at.resume(folder)
        return
    file = folder.with_suffix(".yaml")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(dict(asked), sort_keys=False), encoding="utf-8")
    at.run(at.load_study(file), out=folder)


def _exported(folder: Path, table: Path) -> Path:
    shutil.rmtree(table, ignore_errors=True)
    at.load_result(folder).export("table", table)
    return table / EXPORTED


def joined(tables: Iterable[Iterable[Mapping[str, Any]]]) -> Iterator[dict[str, Any]]:
    """Rows of several tables as those of one: the launches of a Config are numbered on from table to table."""
    launches: Counter[Any] = Counter()
    for table in tables:
        here: dict[Any, int] = {}
        for row in table:
            key = config_key({name: value for name, value in row.items() if name.startswith(CONFIG)})
            here[key] = max(here.get(key, 0), row["repeat"] + 1)
            yield {**_rounded(row), "repeat": launches[key] + row["repeat"]}
        launches.update(here)


def _rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(row)
    if requests := row.get("requests"):
        found["requests"] = [[None if v is None else round(v, _DIGITS) for v in request] for request in requests]
    return found


def _rows(table: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(table.read_bytes()).splitlines()]


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    text = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))


def parse(program: str, told: str | None, arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=program, description=told, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, metavar="DIR", help="studies, kept: it goes on from there")
    parser.add_argument("--out", type=Path, metavar="DIR", help="study.yaml and table (default: beside this program)")
    parser.add_argument("--configs", type=int, metavar="N", help="the first N Configs alone, to see that it works")
    return parser.parse_args(arguments)


def tell(study: Path) -> None:
    size_mb = (study.parent / TABLE).stat().st_size / 1e6
    print(f"{study}: table of {size_mb:.2f} MB")
