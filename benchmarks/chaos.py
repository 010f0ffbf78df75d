"""Studies of real servers on a cluster of three raylets, and what each kind of fault does to them.

    python -m benchmarks.chaos --quick          one of each
    python -m benchmarks.chaos                  twenty of each, in some two hours on two cores
    python -m benchmarks.chaos --only kill_raylet --injections 5 --seed 7

A study meets up to ``--per-study`` faults of one kind, one after the other, each at a moment and in a trial of its own,
drawn from the seed. ``studies_completed`` counts the injections whose study completed, every one of its trials with it:
it must be ``injected``. All further figures are sums over the studies and must be 0: rungs that had ended and are gone
or changed, or lack their raw requests; rungs that were measured though they had ended; trials beyond the study's
number; processes, containers and placement groups 40 s after the study's end.
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
from benchmarks.chaos_study import MOST_INJECTIONS, Damage, StudyUnderFire, assess, study_keys, trials_for
from benchmarks.dockerd import IMAGE, Dockerd, dockerd
from benchmarks.namespaces import NamespacedRaylets, namespaced_raylets, namespaces
from benchmarks.raylets import Raylets, raylets

_NODES = 3
_DEADLINE_S = 300.0
_IN_CONTAINERS = {
    "engine": {"name": "llamacpp", "image": IMAGE, "args": {"ctx-size": 2048, "threads": 1}},
    "launcher": {"kind": "docker"},
}
_TRIES = 3  # studies, for a fault to meet a victim
_MUST_BE_0 = {
    "rungs_lost": "rungs lost",
    "rungs_twice": "twice",
    "trials_beyond_budget": "beyond budget",
    "processes_left": "left: processes",
    "containers_left": "containers",
    "placement_groups_left": "groups",
}
_COLUMNS = {"injected": "injected", "studies_completed": "completed", **_MUST_BE_0}


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

    def plus(self, injected: int, damage: Damage) -> Row:
        figures = asdict(damage)
        completed = injected if figures.pop("completed") else 0
        sums = {name: getattr(self, name) + value for name, value in figures.items()}
        return Row(self.fault, self.injected + injected, self.studies_completed + completed, **sums)

    @property
    def is_good(self) -> bool:
        if self.unavailable:
            return True
        return self.studies_completed == self.injected and not any(getattr(self, name) for name in _MUST_BE_0)


@dataclass(frozen=True)
class Plan:
    """How often a fault is injected, into how many studies, and what its moments are drawn from."""

    injections: int
    per_study: int
    seed: int


def measure(
    fault: Fault,
    plan: Plan,
    folder: Path,
    cluster: Raylets | NamespacedRaylets,
    daemon: Dockerd | None = None,
) -> Row:
    """Injects a fault into studies; their servers run in containers of ``daemon`` where there is one."""
    row = Row(fault.name)
    model = make_model(folder)
    in_vain = 0
    sections = {} if daemon is None else _IN_CONTAINERS
    while row.injected < plan.injections:
        number = f"{row.injected}-{in_vain}"
        wanted = min(plan.per_study, plan.injections - row.injected)
        keys = study_keys(model, uuid.uuid4().hex[:12], trials_for(wanted), **sections)
        study = StudyUnderFire(folder / f"{fault.name}-{number}", keys, cluster.address, _DEADLINE_S)
        rng = random.Random(f"{plan.seed}/{fault.name}/{number}")
        injected, damage = _one(fault, Scene(study, cluster, rng, daemon), wanted)
        row = row.plus(injected, damage)
        print(f"  {fault.name} {row.injected}/{plan.injections}: {damage}", file=sys.stderr)
        if not damage.completed:
            print(study.log(), file=sys.stderr)
        in_vain = 0 if injected else in_vain + 1
        if in_vain == _TRIES:
            raise RuntimeError(f"{fault.name}: none of {_TRIES} studies met it")
    return row


def _one(fault: Fault, scene: Scene, wanted: int) -> tuple[int, Damage]:
    """How often a study met the fault, and what that cost."""
    study, daemon = scene.study, scene.daemon
    injected = 0
    with fault.around(scene):
        study.start()
        try:
            with contextlib.suppress(NobodyThere):
                while injected < wanted:
                    fault.inject(scene)
                    injected += 1
            completed = study.wait()
        finally:
            study.kill()
        damage = assess(study, scene.cluster, completed, lambda: 0 if daemon is None else len(daemon.containers()))
    return injected, damage


def _measure_all(faults: list[Fault], plan: Plan, folder: Path, *, inside: bool) -> list[Row]:
    """Those that this machine can do; ``inside``: this process is in the hub of namespaces already."""
    reasons = {fault.name: fault.unavailable() for fault in faults}
    able = [fault for fault in faults if not reasons[fault.name]]
    rows = [Row(name, unavailable=reason) for name, reason in reasons.items() if reason]
    for fault in able:
        try:
            rows.append(_measure_one(fault, plan, folder, inside=inside))
        except Exception:  # noqa: BLE001  # one kind that goes wrong must not cost the others' figures
            traceback.print_exc()
            rows.append(Row(fault.name, injected=1))
    return rows


def _measure_one(fault: Fault, plan: Plan, folder: Path, *, inside: bool) -> Row:
    """On a cluster of its own."""
    if fault.in_containers:
        with dockerd() as daemon, _environment("DOCKER_HOST", daemon.host), raylets([NODE] * _NODES) as cluster:
            return measure(fault, plan, folder, cluster, daemon)
    if fault.in_namespaces and not inside:
        return _measure_in_namespaces(fault, plan, folder)
    with (namespaced_raylets if inside else raylets)([NODE] * _NODES) as cluster:
        return measure(fault, plan, folder, cluster)


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


def _measure_in_namespaces(fault: Fault, plan: Plan, folder: Path) -> Row:
    """The same command once more, in the hub."""
    figures = {"--injections": plan.injections, "--per-study": plan.per_study, "--seed": plan.seed, "--keep": folder}
    words = ["--only", fault.name, *(str(word) for pair in figures.items() for word in pair)]
    with namespaces(_NODES) as hub:
        command = ["ip", "netns", "exec", hub, sys.executable, "-m", "benchmarks.chaos", *words, "--json", "--inside"]
        answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return Row(**json.loads(answer.stdout)["rows"][0])


def _print_table(rows: list[Row]) -> None:
    print(f"{'fault':<22}" + "".join(f"  {title}" for title in _COLUMNS.values()))
    for row in rows:
        if row.unavailable:
            print(f"{row.fault:<22}  unavailable: {row.unavailable}")
        else:
            figures = (f"{getattr(row, name):>{len(title) + 2}}" for name, title in _COLUMNS.items())
            print(f"{row.fault:<22}" + "".join(figures))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one injection of each kind")
    parser.add_argument("--injections", type=int, default=20, metavar="N", help="of each kind (default 20)")
    parser.add_argument("--per-study", type=int, default=5, metavar="K", help="so many into one study (default 5)")
    parser.add_argument("--only", action="append", choices=[fault.name for fault in FAULTS], help="this kind alone")
    parser.add_argument("--seed", type=int, default=0, help="of moments and victims")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--keep", type=Path, help="a folder that keeps the studies")
    given = parser.parse_args()
    if not 1 <= given.per_study <= MOST_INJECTIONS:
        parser.error(f"--per-study: 1 to {MOST_INJECTIONS}")
    plan = Plan(1 if given.quick else given.injections, given.per_study, given.seed)
    chosen = [fault for fault in FAULTS if not given.only or fault.name in given.only]
    with tempfile.TemporaryDirectory(prefix="chaos-") as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rows = _measure_all(chosen, plan, folder, inside=given.inside)
    if given.json:
        document: dict[str, Any] = {"seed": given.seed, "rows": [asdict(row) for row in rows]}
        print(json.dumps(document, indent=2))
    else:
        _print_table(rows)
    return 0 if all(row.is_good for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
