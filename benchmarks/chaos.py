"""Studies of real servers on a cluster of three raylets, and what each kind of fault does to them.

    python -m benchmarks.chaos --quick          one of each
    python -m benchmarks.chaos --injections 20  twenty of each, hours on two cores
    python -m benchmarks.chaos --only kill_raylet --seed 7

Every injection has a study of its own and a moment of its own, drawn from the seed. A row's figures are sums over its
injections; all but the first two must be 0.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import traceback
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.chaos_faults import FAULTS, NODE, Fault, NobodyThere, Scene, make_model
from benchmarks.chaos_study import Damage, StudyUnderFire, assess, study_keys
from benchmarks.dockerd import IMAGE, Dockerd, dockerd
from benchmarks.namespaces import NamespacedRaylets, namespaced_raylets, namespaces
from benchmarks.raylets import Raylets, raylets

_NODES = 3
_DEADLINE_S = 300.0
_IN_CONTAINERS = {
    "engine": {"name": "llamacpp", "image": IMAGE, "args": {"ctx-size": 2048, "threads": 1}},
    "launcher": {"kind": "docker"},
}
_TRIES = 3  # for a fault to meet a victim
_COLUMNS = (
    "injected",
    "studies_completed",
    "rungs_lost",
    "rungs_twice",
    "trials_beyond_budget",
    "processes_left",
    "containers_left",
    "placement_groups_left",
)


@dataclass(frozen=True)
class Row:
    """The sums over one fault's injections; ``unavailable`` says why there were none."""

    fault: str
    injected: int = 0
    studies_completed: int = 0
    rungs_lost: int = 0
    rungs_twice: int = 0
    trials_beyond_budget: int = 0
    processes_left: int = 0
    containers_left: int = 0
    placement_groups_left: int = 0
    unavailable: str = ""

    def plus(self, damage: Damage) -> Row:
        figures = asdict(damage)
        completed = figures.pop("completed")
        sums = {name: getattr(self, name) + value for name, value in figures.items()}
        return Row(self.fault, self.injected + 1, self.studies_completed + completed, **sums)

    @property
    def is_good(self) -> bool:
        if self.unavailable:
            return True
        return self.studies_completed == self.injected and not any(getattr(self, name) for name in _COLUMNS[2:])


def measure(
    fault: Fault,
    injections: int,
    seed: int,
    folder: Path,
    cluster: Raylets | NamespacedRaylets,
    daemon: Dockerd | None = None,
) -> Row:
    """Injects a fault into as many studies; their servers run in containers of ``daemon`` where there is one."""
    row = Row(fault.name)
    model = make_model(folder)
    for number in range(injections):
        damage = None
        for attempt in range(_TRIES):
            rng = random.Random(f"{seed}/{fault.name}/{number}/{attempt}")
            place = folder / f"{fault.name}-{number}-{attempt}"
            sections = {} if daemon is None else _IN_CONTAINERS
            study = StudyUnderFire(
                place, study_keys(model, uuid.uuid4().hex[:12], **sections), cluster.address, _DEADLINE_S
            )
            damage = _one(fault, Scene(study, cluster, rng, daemon))
            if damage is not None:
                break
        if damage is None:
            raise RuntimeError(f"{fault.name}: no study of {_TRIES} met it")
        row = row.plus(damage)
        print(f"  {fault.name} {number + 1}/{injections}: {damage}", file=sys.stderr)
        if not damage.completed:
            print(study.log(), file=sys.stderr)
    return row


def _one(fault: Fault, scene: Scene) -> Damage | None:
    """What an injection cost; ``None`` when it met nobody."""
    study, met = scene.study, True
    with fault.around(scene):
        study.start()
        try:
            fault.inject(scene)
        except NobodyThere:
            met = False
        completed = study.wait()
        daemon = scene.daemon
        damage = assess(study, scene.cluster, completed, lambda: 0 if daemon is None else len(daemon.containers()))
    return damage if met else None


def _measure_all(faults: list[Fault], injections: int, seed: int, folder: Path, *, inside: bool) -> list[Row]:
    """Those that this machine can do; ``inside``: this process is in the hub of namespaces already."""
    reasons = {fault.name: fault.unavailable() for fault in faults}
    able = [fault for fault in faults if not reasons[fault.name]]
    rows = [Row(name, unavailable=reason) for name, reason in reasons.items() if reason]
    for fault in able:
        try:
            rows.append(_measure_one(fault, injections, seed, folder, inside=inside))
        except Exception:  # noqa: BLE001  # one kind that goes wrong must not cost the others' figures
            traceback.print_exc()
            rows.append(Row(fault.name, injected=1))
    return rows


def _measure_one(fault: Fault, injections: int, seed: int, folder: Path, *, inside: bool) -> Row:
    """On a cluster of its own."""
    if fault.in_containers:
        with dockerd() as daemon, _environment("DOCKER_HOST", daemon.host), raylets([NODE] * _NODES) as cluster:
            return measure(fault, injections, seed, folder, cluster, daemon)
    if fault.in_namespaces and not inside:
        return _measure_in_namespaces(fault, injections, seed, folder)
    with (namespaced_raylets if inside else raylets)([NODE] * _NODES) as cluster:
        return measure(fault, injections, seed, folder, cluster)


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """For the raylets, whose workers have their environment."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def _measure_in_namespaces(fault: Fault, injections: int, seed: int, folder: Path) -> Row:
    """The same command once more, in the hub."""
    words = ["--only", fault.name, "--injections", str(injections), "--seed", str(seed), "--keep", str(folder)]
    with namespaces(_NODES) as hub:
        command = ["ip", "netns", "exec", hub, sys.executable, "-m", "benchmarks.chaos", *words, "--json", "--inside"]
        answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return Row(**json.loads(answer.stdout)["rows"][0])


def _print_table(rows: list[Row]) -> None:
    print(f"{'fault':<22}" + "".join(f"{name.replace('_', ' '):>14.13}" for name in _COLUMNS))
    for row in rows:
        if row.unavailable:
            print(f"{row.fault:<22}  unavailable: {row.unavailable}")
        else:
            print(f"{row.fault:<22}" + "".join(f"{getattr(row, name):>14}" for name in _COLUMNS))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one injection of each kind")
    parser.add_argument("--injections", type=int, default=20, metavar="N", help="of each kind (default 20)")
    parser.add_argument("--only", action="append", choices=[fault.name for fault in FAULTS], help="this kind alone")
    parser.add_argument("--seed", type=int, default=0, help="of moments and victims")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--keep", type=Path, help="a folder that keeps the studies")
    given = parser.parse_args()
    injections = 1 if given.quick else given.injections
    chosen = [fault for fault in FAULTS if not given.only or fault.name in given.only]
    with tempfile.TemporaryDirectory(prefix="chaos-") as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rows = _measure_all(chosen, injections, given.seed, folder, inside=given.inside)
    if given.json:
        document: dict[str, Any] = {"seed": given.seed, "rows": [asdict(row) for row in rows]}
        print(json.dumps(document, indent=2))
    else:
        _print_table(rows)
    return 0 if all(row.is_good for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
