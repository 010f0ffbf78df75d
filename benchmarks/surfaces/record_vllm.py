"""Records the surface of a real vLLM on this machine's CPU: ``python -m benchmarks.surfaces.record_vllm --work DIR``.

`scripts/real-vllm-cpu` makes vLLM's own Python environment (3.5 GB, once) and a tiny model in DIR. 80 Configs of 4
flags, 4 load levels: an hour or more on two cores, which are to do nothing else meanwhile. Started again with the same
DIR it goes on where it ended.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from benchmarks.surfaces.recording import Recording, parse, record, tell

SCRIPT = Path(__file__).parents[2] / "scripts" / "real-vllm-cpu"
NAME = "vllm-cpu"
CONFIGS = 80
_SPACE: dict[str, Any] = {
    "parameters": {
        "max-num-seqs": [2, 4, 8, 16, 32],
        "max-num-batched-tokens": [64, 128, 512, 2048],
        "enable-prefix-caching": [True, False],
        "dtype": ["bfloat16", "float32"],
    },
}


def prepare(folder: Path) -> dict[str, Any]:
    """vLLM's environment and model in ``folder``; returns the script's own study, which says how they are started."""
    nothing_is_run = {**os.environ, "AUTOTUNER": "true"}  # the script then only prepares
    subprocess.run([str(SCRIPT), str(folder)], check=True, env=nothing_is_run, stdout=sys.stderr)
    study: dict[str, Any] = yaml.safe_load((folder / "study.yaml").read_text(encoding="utf-8"))
    return study


def vllm(folder: Path, prepared: dict[str, Any]) -> Recording:
    """What was prepared, over more Configs and load levels, and without its search."""
    study = {key: value for key, value in prepared.items() if key not in ("search", "fidelity")}
    study["model"] = {**study["model"], "id": str(folder / study["model"]["id"])}
    study["space"] = _SPACE
    study["workload"] = {
        **study["workload"],
        "load": {"concurrency": [2, 4, 16, 32]},
        "requests": {"per_slot": 4, "min": 32},
    }
    told = "Real: vLLM on a CPU, a tiny model of random weights (benchmarks/surfaces/record_vllm.py)."
    return Recording(NAME, told, study, CONFIGS)


def main() -> None:
    given = parse("python -m benchmarks.surfaces.record_vllm", __doc__)
    work: Path = given.work.resolve()
    out = given.out or Path(__file__).parent / NAME
    tell(record(vllm(work, prepare(work)), work, out, given.configs))


if __name__ == "__main__":
    main()
