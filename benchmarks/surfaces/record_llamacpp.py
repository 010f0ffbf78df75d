"""Records the surface of llama.cpp on this machine's CPU: ``python -m benchmarks.surfaces.record_llamacpp --work DIR``.

A tiny model of random weights (examples/laptop/make_model.py), 576 Configs of 8 flags, 4 load levels: an hour or more
on two cores, which are to do nothing else meanwhile (one serves, one sends). Started again with the same DIR it goes on
where it ended.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.surfaces.recording import Recording, parse, record, tell

ROOT = Path(__file__).parents[2]
NAME = "llamacpp-cpu"
CONFIGS = 576
_SPACE: dict[str, Any] = {
    "parameters": {
        "parallel": [2, 6, 16],
        "batch-size": [32, 128, 2048],
        "ubatch-size": [16, 64, 512],
        "flash-attn": ["on", "off"],
        "cache-type-k": ["f16", "q8_0"],
        "cache-type-v": ["f16", "q8_0"],  # without flash attention the server refuses the second
        "cont-batching": [True, False],
        "kv-unified": [True, False],
    },
    "constraints": ["ubatch_size <= batch_size"],  # the server would lower it silently: the same Config twice
}


def llamacpp(model: Path) -> Recording:
    study = {
        "name": NAME,
        "model": {"id": str(model), "served_name": "tiny"},
        "engine": {"name": "llamacpp", "args": {"ctx-size": 4096, "threads": 1}},
        "space": _SPACE,
        "workload": {
            "scenario": "D(96,16)",
            "shared_prefix_tokens": 32,
            "load": {"concurrency": [1, 4, 8, 16]},
            "requests": {"per_slot": 8, "min": 32},
        },
        "timeouts": {"start_s": 60, "request_s": 30, "rung_s": 120},
        "slo": {"ttft": {"p90": "150ms"}, "tpot": {"mean": "8ms"}},
        "objective": "throughput",
    }
    told = "Real: llama.cpp on a CPU, a tiny model of random weights (benchmarks/surfaces/record_llamacpp.py)."
    return Recording(NAME, told, study, CONFIGS)


def main() -> None:
    given = parse("python -m benchmarks.surfaces.record_llamacpp", __doc__)
    work: Path = given.work.resolve()
    model = work / "tiny.gguf"
    if not model.exists():
        work.mkdir(parents=True, exist_ok=True)
        script = ROOT / "examples" / "laptop" / "make_model.py"
        subprocess.run([sys.executable, str(script), "--out", str(model)], check=True, stdout=sys.stderr)
    out = given.out or Path(__file__).parent / NAME
    tell(record(llamacpp(model), work, out, given.configs))


if __name__ == "__main__":
    main()
