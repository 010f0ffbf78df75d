"""Writes the tiny model of the laptop study: random weights, a byte-level tokenizer, about 7 MB.

Its answers are noise, yet the work an engine does for it is real: attention, KV cache, batching. The
file is the same on every machine and in every run.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

CONTEXT_TOKENS = 32768
LAYERS, WIDTH, HEADS, KV_HEADS, FEED_FORWARD = 4, 256, 4, 4, 640
HEAD_WIDTH = WIDTH // HEADS
SPECIAL_TOKENS = ("<s>", "</s>", "<unk>")
SEED = 20240101

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


def byte_tokens() -> list[str]:
    """The 256 bytes, each as the printable character that byte-level BPE writes for it (GPT-2's table)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    spare = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]


def tensors(vocabulary_size: int) -> Iterator[tuple[str, NDArray[np.float16 | np.float32]]]:
    """Every weight as (name, values): small random matrices, norms of one."""
    generator = np.random.default_rng(SEED)

    def matrix(rows: int, columns: int) -> NDArray[np.float16]:
        values: NDArray[np.float64] = generator.standard_normal((rows, columns)) / np.sqrt(columns)
        return values.astype(np.float16)

    norm = np.ones(WIDTH, dtype=np.float32)
    yield "token_embd.weight", matrix(vocabulary_size, WIDTH)
    for layer in range(LAYERS):
        prefix = f"blk.{layer}."
        yield prefix + "attn_norm.weight", norm
        yield prefix + "attn_q.weight", matrix(HEADS * HEAD_WIDTH, WIDTH)
        yield prefix + "attn_k.weight", matrix(KV_HEADS * HEAD_WIDTH, WIDTH)
        yield prefix + "attn_v.weight", matrix(KV_HEADS * HEAD_WIDTH, WIDTH)
        yield prefix + "attn_output.weight", matrix(WIDTH, HEADS * HEAD_WIDTH)
        yield prefix + "ffn_norm.weight", norm
        yield prefix + "ffn_gate.weight", matrix(FEED_FORWARD, WIDTH)
        yield prefix + "ffn_up.weight", matrix(FEED_FORWARD, WIDTH)
        yield prefix + "ffn_down.weight", matrix(WIDTH, FEED_FORWARD)
    yield "output_norm.weight", norm
    yield "output.weight", matrix(vocabulary_size, WIDTH)


def add_tokenizer(writer: gguf.GGUFWriter) -> int:
    """Adds a vocabulary of 3 special tokens and 256 bytes; returns its size."""
    tokens = [*SPECIAL_TOKENS, *byte_tokens()]
    types = [gguf.TokenType.CONTROL] * len(SPECIAL_TOKENS) + [gguf.TokenType.NORMAL] * 256
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    # The loader wants at least one merge; two spaces never meet in the random prompts.
    writer.add_token_merges(["Ġ Ġ"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_unk_token_id(2)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)
    return len(tokens)


def write_model(path: Path) -> None:
    """Writes the model to ``path``; a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    writer = gguf.GGUFWriter(str(partial), "llama")
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT_TOKENS)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HEAD_WIDTH)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    vocabulary_size = add_tokenizer(writer)
    writer.add_vocab_size(vocabulary_size)
    for name, values in tensors(vocabulary_size):
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the tiny random-weight GGUF model of the laptop study.")
    parser.add_argument("--out", type=Path, default=Path("models/tiny.gguf"))
    path: Path = parser.parse_args().out
    write_model(path)
    print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
