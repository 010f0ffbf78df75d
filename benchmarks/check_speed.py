"""How long it takes to import, to ask for help, to check large studies, and to render servers' argv and files.

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
from enum import StrEnum
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

MOST_ENGINE_CHECK_S = 3.0
LEAST_RENDERED_PER_S = 10_000
RENDERED = 5_000
# An engine of several hundred flags, normalised names, ten constraints: 4 × 2 × 2 × 5^4 × 5 × 2 = 100,000 points.
ENGINE_STUDY = """
name: check-engine
model: {id: org/model}
engine: {name: vllm}
workload: {scenario: "D(64,16)"}
hardware: {gpus_per_node: 8}
space:
  parallelism: {tp: [1, 2, 4, 8], pp: [1, 2]}
  quantization: {kv_cache: [auto, fp8]}
  parameters:
    max-num-seqs: [16, 32, 64, 128, 256]
    max-num-batched-tokens: [1024, 2048, 4096, 8192, 16384]
    max-model-len: [1024, 2048, 4096, 8192, 16384]
    block-size: [16, 32, 64, 128, 256]
    gpu-memory-utilization: {float: [0.8, 0.96], step: 0.04}
    enable-prefix-caching: [true, false]
  constraints:
    - "gpus <= 8"
    - "max_num_batched_tokens >= max_num_seqs"
    - "max_num_seqs * block_size <= 65536"
    - "max_model_len % block_size == 0"
    - "max_num_seqs <= 1024 / tp + 512"
    - "pp == 1 or max_num_batched_tokens <= 16384"
    - "tp >= 2 or gpu_memory_utilization >= 0.8"
    - "quant.kv_cache == 'auto' or block_size >= 16"
    - "log2(max_num_seqs) <= 8"
    - "enable_prefix_caching or block_size <= 256"
"""
# The same for the other engines, as far as they have it.
RENDERED_STUDIES = {
    "vllm": ENGINE_STUDY,
    "sglang": """
name: render-sglang
model: {id: org/model}
engine: {name: sglang}
workload: {scenario: "D(64,16)"}
hardware: {gpus_per_node: 8}
space:
  parallelism: {tp: [1, 2, 4, 8], pp: [1, 2]}
  quantization: {kv_cache: [auto, fp8]}
  parameters:
    max-running-requests: [16, 32, 64, 128, 256]
    chunked-prefill-size: [1024, 2048, 4096, 8192, 16384]
    context-length: [1024, 2048, 4096, 8192, 16384]
    schedule-policy: [lpm, fcfs, dfs-weight]
    mem-fraction-static: {float: [0.8, 0.96], step: 0.04}
    disable-radix-cache: [true, false]
    enable-mixed-chunk: [true, false]
  constraints: ["gpus <= 8"]
""",
    "trtllm": """
name: render-trtllm
model: {id: org/model}
engine: {name: trtllm}
workload: {scenario: "D(64,16)"}
hardware: {gpus_per_node: 8}
space:
  parallelism: {tp: [1, 2, 4, 8], pp: [1, 2]}
  quantization: {kv_cache: [auto, fp8]}
  parameters:
    max_batch_size: [16, 32, 64, 128, 256]
    max_num_tokens: [1024, 2048, 4096, 8192, 16384]
    max_seq_len: [1024, 2048, 4096, 8192, 16384]
    kv_cache_config.free_gpu_memory_fraction: {float: [0.8, 0.96], step: 0.04}
    kv_cache_config.enable_block_reuse: [true, false]
    cuda_graph_config.enable_padding: [true, false]
    scheduler_config.capacity_scheduler_policy: [GUARANTEED_NO_EVICT, MAX_UTILIZATION]
    stream_interval: [1, 4]
  constraints: ["gpus <= 8"]
""",
    "llamacpp": STUDY,
}
RENDER = "import sys, time; from itertools import islice; from autotuner.study import load_study; "
RENDER += "from autotuner.engines import build_space, one_engine; study = load_study(sys.argv[1]).study; "
RENDER += f"configs = list(islice(build_space(study).grid(), {RENDERED})); "
RENDER += "deploy = lambda config: (lambda e, s, c: e.deployment(s, c))(*one_engine(study, config)); "
RENDER += "deploy(configs[0]); began = time.perf_counter(); "
RENDER += "[(rank.argv, rank.files) for c in configs for group in deploy(c).groups for rank in group.ranks]; "
RENDER += "print(time.perf_counter() - began)"


class Over(StrEnum):
    """What a figure's seconds are counted from."""

    BARE_PYTHON = "above bare Python"
    START = "process start included"
    NOTHING = "process start apart"


@dataclass(frozen=True)
class Figure:
    what: str
    seconds: float
    bound_s: float
    over: Over

    @property
    def is_within(self) -> bool:
        return self.seconds < self.bound_s


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "study.yaml").write_text(STUDY)
        (folder / "engine.yaml").write_text(ENGINE_STUDY)
        (folder / "model.gguf").write_bytes(b"GGUF")
        study, engine_study = str(folder / "study.yaml"), str(folder / "engine.yaml")
        bare = _fastest_s(["-c", "pass"])
        command_line = ["-c", "from autotuner.cli.main import main; main()"]
        return [
            Figure(
                "import autotuner", _fastest_s(["-c", "import autotuner"]) - bare, MOST_OVER_PYTHON_S, Over.BARE_PYTHON
            ),
            Figure(
                "autotuner --help", _fastest_s([*command_line, "--help"]) - bare, MOST_OVER_PYTHON_S, Over.BARE_PYTHON
            ),
            Figure("load and count 10^6 points", _fastest_s(["-c", COUNT, study]), MOST_CHECK_S, Over.START),
            Figure(
                "autotuner check, 10^6 points", _fastest_s([*command_line, "check", study]), MOST_CHECK_S, Over.START
            ),
            Figure(
                "autotuner check, 10^5 Configs, 10 constraints",
                _fastest_s([*command_line, "check", engine_study]),
                MOST_ENGINE_CHECK_S,
                Over.START,
            ),
            *(_rendering(folder, engine, text) for engine, text in RENDERED_STUDIES.items()),
        ]


def _rendering(folder: Path, engine: str, study: str) -> Figure:
    """An engine's argv and files, without the start of the process."""
    path = folder / f"{engine}.yaml"
    path.write_text(study)
    seconds = min(float(_output(["-c", RENDER, str(path)])) for _ in range(RUNS))
    return Figure(f"{RENDERED:,} Configs rendered for {engine}", seconds, RENDERED / LEAST_RENDERED_PER_S, Over.NOTHING)


def _fastest_s(arguments: Sequence[str]) -> float:
    return min(_run_s(arguments) for _ in range(RUNS))


def _run_s(arguments: Sequence[str]) -> float:
    began = time.perf_counter()
    _output(arguments)
    return time.perf_counter() - began


def _output(arguments: Sequence[str]) -> str:
    ended = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        sys.exit(f"{' '.join(arguments)} ended with {ended.returncode}:\n{ended.stderr}")
    return ended.stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    figures = measure()
    within = all(figure.is_within for figure in figures)
    if arguments.json:
        print(json.dumps({"figures": [asdict(figure) for figure in figures], "within_bounds": within}))
        return 0 if within else 1
    print(f"{'':<46} {'seconds':>8} {'bound':>6}")
    for figure in figures:
        print(f"{figure.what:<46} {figure.seconds:8.3f} {figure.bound_s:6.1f}  {figure.over}")
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
