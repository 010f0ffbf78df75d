"""How long it takes to import, to ask for help, and to check a study of 10^6 raw points.

Each figure is the fastest of several runs, each a process of its own, start included.
Run it: ``python -m benchmarks.check_speed [--json]``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RUNS = 5
MOST_OVER_PYTHON_S = 0.4
MOST_CHECK_S = 2.0
COUNT = "import sys; from autotuner.study import load_study; from autotuner.engines import build_space; "
COUNT += "print(build_space(load_study(sys.argv[1]).study).count())"
# 8 parameters: 10 × 10 × 10 × 10 × 5 × 5 × 2 × 2 = 10^6 points.
STUDY = """
name: check-speed
model: {id: model.gguf}
engine: {name: llamacpp}
workload: {scenario: "D(64,16)"}
space:
  parameters:
    batch-size: {int: [64, 640], step: 64}
    ubatch-size: {int: [64, 640], step: 64}
    parallel: {int: [1, 10]}
    poll: {int: [0, 90], step: 10}
    cache-type-k: [f32, f16, q8_0, q4_0, q5_0]
    cache-type-v: [f32, f16, q8_0, q4_0, q5_0]
    cont-batching: [true, false]
    cache-prompt: [true, false]
  constraints: ["ubatch_size <= batch_size"]
"""


@dataclass(frozen=True)
class Figure:
    """``seconds`` over those of bare Python where ``over_python``."""

    what: str
    seconds: float
    bound_s: float
    over_python: bool

    @property
    def is_within(self) -> bool:
        return self.seconds < self.bound_s


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "study.yaml").write_text(STUDY)
        (folder / "model.gguf").write_bytes(b"GGUF")
        study = str(folder / "study.yaml")
        bare = _fastest_s(["-c", "pass"])
        command_line = ["-c", "from autotuner.cli.main import main; main()"]
        return [
            Figure("import autotuner", _fastest_s(["-c", "import autotuner"]) - bare, MOST_OVER_PYTHON_S, True),
            Figure("autotuner --help", _fastest_s([*command_line, "--help"]) - bare, MOST_OVER_PYTHON_S, True),
            Figure("load and count 10^6 points", _fastest_s(["-c", COUNT, study]), MOST_CHECK_S, False),
            Figure("autotuner check, 10^6 points", _fastest_s([*command_line, "check", study]), MOST_CHECK_S, False),
        ]


def _fastest_s(arguments: Sequence[str]) -> float:
    return min(_run_s(arguments) for _ in range(RUNS))


def _run_s(arguments: Sequence[str]) -> float:
    began = time.perf_counter()
    ended = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    if ended.returncode != 0:
        sys.exit(f"{' '.join(arguments)} ended with {ended.returncode}:\n{ended.stderr}")
    return took


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    figures = measure()
    within = all(figure.is_within for figure in figures)
    if arguments.json:
        print(json.dumps({"figures": [asdict(figure) for figure in figures], "within_bounds": within}))
        return 0 if within else 1
    print(f"{'':<30} {'seconds':>8} {'bound':>6}")
    for figure in figures:
        note = "above bare Python" if figure.over_python else "process start included"
        print(f"{figure.what:<30} {figure.seconds:8.3f} {figure.bound_s:6.1f}  {note}")
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
