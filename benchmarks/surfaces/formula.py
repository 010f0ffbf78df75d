"""Makes the simulated surfaces: ``python -m benchmarks.surfaces.formula`` writes their tables anew.

A closed form of a server with continuous batching, so that a search meets what it meets on a GPU: sizes of 1 to 8 GPUs,
minutes of start-up, Configs that do not fit, flags that matter little, and flags that help one metric and harm another.
It predicts no real server. For one of ``tp`` GPUs, with c requests in flight of I tokens in and O out:

    n    requests that run: the least of c, max-num-seqs, and the KV cache's tokens / (I + O / 2)
    d(n) a decoding step:   overhead + all-reduce(tp) + (weights + n (I + O / 2) KV bytes) / (tp × bandwidth)
    p    a prefill:         I (1 − prefix hits) / (tp × prefill rate) + overhead × chunks of max-num-batched-tokens
    X    requests a second: n / (O d(n) + n p)                          (each waits for the prefills of the others)
    TPOT = d(n) + n p / O, and more where a chunk is long beside a step (a step waits for a whole chunk)
    TTFT = chunks × (d(n) + tokens of a chunk / prefill rate) + (c − n) / X, its 90th percentile 1.4 times as much

KV cache: utilisation × memory − weights − what max-num-batched-tokens and CUDA graphs take; where nothing is left the
server does not start. Above 0.96 of the memory it starts, and dies under the heaviest load.
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

FOLDER = Path(__file__).parent
_GIB = 2**30
_OVERHEAD_S, _EAGER_OVERHEAD_S = 0.003, 0.012
_CHUNK_OVERHEAD_S = 0.002
_TTFT_P90 = 1.4
_SPACE: dict[str, tuple[Any, ...]] = {
    "tp": (1, 2, 4, 8),
    "quant.kv_cache": ("auto", "fp8"),
    "max-num-seqs": (8, 16, 32, 64, 128, 256, 512, 1024),
    "max-num-batched-tokens": (512, 1024, 2048, 4096, 8192, 16384),
    "gpu-memory-utilization": (0.80, 0.85, 0.88, 0.90, 0.92, 0.94, 0.96, 0.98),
    "enable-prefix-caching": (True, False),
    "enforce-eager": (True, False),
}
# What vLLM takes where it is told nothing; such a Config has empty cells.
_DEFAULTS = {
    "max-num-seqs": 256,
    "max-num-batched-tokens": 8192,
    "gpu-memory-utilization": 0.92,
    "enable-prefix-caching": True,
    "enforce-eager": False,
}


@dataclass(frozen=True)
class Scene:
    """A model on a GPU under a workload. Bytes, bytes/s, tokens/s of prefill on one GPU.

    ``noise`` is the spread of each metric between ``repeats``, as a share.
    """

    name: str
    weights: float
    kv_bytes: float
    layers: int
    memory: float
    bandwidth: float
    prefill_per_s: float
    tokens_in: int
    tokens_out: int
    prefix_share: float
    levels: tuple[int, ...]
    noise: float = 0.0
    repeats: int = 1


SCENES = (
    Scene("dense-8b", 16 * _GIB, 131_072, 32, 80 * _GIB, 3.3e12, 24_000, 1000, 200, 0.0, (1, 16, 64, 256)),
    Scene("dense-70b", 140 * _GIB, 327_680, 80, 80 * _GIB, 3.3e12, 3_000, 3000, 400, 0.3, (1, 8, 32, 128)),
    Scene("noisy-32b", 65 * _GIB, 262_144, 64, 80 * _GIB, 3.3e12, 7_000, 500, 800, 0.6, (4, 16, 64), 0.03, 2),
)


def rows(scene: Scene) -> Iterator[dict[str, Any]]:
    """Every Config of the space, and the default of each size and KV format."""
    rng = random.Random(scene.name)
    for values in itertools.product(*_SPACE.values()):
        yield from _launches(scene, dict(zip(_SPACE, values, strict=True)), rng)
    for tp, kv in itertools.product(_SPACE["tp"], _SPACE["quant.kv_cache"]):
        yield from _launches(scene, {"tp": tp, "quant.kv_cache": kv}, rng)


def _launches(scene: Scene, config: dict[str, Any], rng: random.Random) -> Iterator[dict[str, Any]]:
    known = {**_DEFAULTS, **config}
    cells: dict[str, Any] = {f"config.{name}": config.get(name) for name in _SPACE}
    kv_tokens = _kv_tokens(scene, known)
    noise = {level: rng.gauss(0, scene.noise) for level in scene.levels}
    for repeat in range(scene.repeats):
        own = {**cells, "repeat": repeat, "startup_s": round(_startup_s(scene, known), 1), "gpus": known["tp"]}
        own["load_kind"] = "concurrency"
        if kv_tokens < scene.tokens_in + scene.tokens_out:
            yield {**own, "level": None, "status": "failed", "failure": "OUT_OF_MEMORY_AT_START"}
            continue
        for level in scene.levels:
            if known["gpu-memory-utilization"] > 0.96 and level == scene.levels[-1] and known["max-num-seqs"] >= 512:
                yield {**own, "level": level, "status": "failed", "failure": "OUT_OF_MEMORY_UNDER_LOAD"}
                continue
            slower = 1 + noise[level] * (1 if repeat % 2 else -1)  # in turn: repeats do not move the mean
            metrics = _metrics(scene, known, kv_tokens, level)
            yield {**own, "level": level, "status": "ok", **_slowed(metrics, slower)}


def _slowed(metrics: dict[str, float], factor: float) -> dict[str, float]:
    """Times as much longer, rates as much lower; to five digits: tables of 50,000 rows are kept in the repository."""
    return {n: float(f"{v * factor if n.endswith('_ms') else v / factor:.5g}") for n, v in metrics.items()}


def _kv_tokens(scene: Scene, known: dict[str, Any]) -> float:
    graphs = 0.0 if known["enforce-eager"] else 1.5 * _GIB
    activations = known["max-num-batched-tokens"] * scene.layers * 4096.0
    room = known["gpu-memory-utilization"] * scene.memory - scene.weights / known["tp"] - graphs - activations
    return float(known["tp"] * room / _kv_bytes(scene, known))


def _kv_bytes(scene: Scene, known: dict[str, Any]) -> float:
    return scene.kv_bytes * (0.5 if known["quant.kv_cache"] == "fp8" else 1.0)


def _startup_s(scene: Scene, known: dict[str, Any]) -> float:
    """Reading the weights, compiling, and a CUDA graph a batch size."""
    loading: float = 30 + scene.weights / known["tp"] / 1.5e9
    return loading if known["enforce-eager"] else loading + 45 + 6 * math.log2(known["max-num-seqs"])


def _metrics(scene: Scene, known: dict[str, Any], kv_tokens: float, level: int) -> dict[str, float]:
    tp, chunk = known["tp"], known["max-num-batched-tokens"]
    context = scene.tokens_in + scene.tokens_out / 2
    running = max(1.0, min(level, known["max-num-seqs"], kv_tokens / context))
    overhead = _EAGER_OVERHEAD_S if known["enforce-eager"] else _OVERHEAD_S
    if known["quant.kv_cache"] == "fp8":
        overhead += 0.0004  # converting
    reduce_s = 8e-6 * scene.layers * math.log2(tp) * (1 + running / 64)
    moved = scene.weights + running * context * _kv_bytes(scene, known)
    step_s = overhead + reduce_s + moved / (tp * scene.bandwidth)
    hits = scene.prefix_share * min(1.0, kv_tokens / (4 * context * running)) if known["enable-prefix-caching"] else 0.0
    prompt = scene.tokens_in * (1 - hits) + (2 if known["enable-prefix-caching"] else 0)
    rate = scene.prefill_per_s * tp**0.85
    chunks = max(1, math.ceil(prompt / chunk))
    prefill_s = prompt / rate + chunks * _CHUNK_OVERHEAD_S
    request_s = scene.tokens_out * step_s + running * prefill_s
    per_s = running / request_s
    stall_s = 0.15 * running / scene.tokens_out * min(chunk, prompt) / rate
    ttft_s = chunks * (step_s + min(chunk, prompt) / rate) + (level - running) / per_s
    tpot_s = step_s + running * prefill_s / scene.tokens_out + stall_s
    return {
        "requests_per_s": per_s,
        "output_tokens_per_s": per_s * scene.tokens_out,
        "ttft_p90_ms": 1000 * _TTFT_P90 * ttft_s,
        "tpot_mean_ms": 1000 * tpot_s,
        "e2e_mean_ms": 1000 * (ttft_s + tpot_s * scene.tokens_out),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FOLDER, help="the folder of the surfaces (default: this one)")
    out: Path = parser.parse_args().out
    for scene in SCENES:
        path = out / scene.name / "table.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        found = list(rows(scene))
        columns = dict.fromkeys(name for row in found for name in row)
        table = pa.Table.from_pylist([{name: row.get(name) for name in columns} for row in found])
        parquet.write_table(table, path, compression="zstd", compression_level=19)
        print(f"{path}: {len(found)} rows, {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
