"""Writes the model that `real-vllm-cpu` serves: a Llama of random weights in a Hugging Face folder, some 20 MB.

    PYTHON_OF_VLLM scripts/real_vllm_cpu.py FOLDER

Its answers are noise, yet what vLLM does for it is real: attention, KV cache, batching, prefix caching. The files
are the same on every machine and in every run. Needs safetensors, tokenizers and torch, which vLLM brings along.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

CONTEXT_TOKENS = 2048
LAYERS, WIDTH, HEADS, KV_HEADS, FEED_FORWARD = 6, 384, 6, 2, 1024
HEAD_WIDTH = WIDTH // HEADS
SPECIAL_TOKENS = ("<s>", "</s>", "<unk>")
SEED = 20240101

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


def tensors(vocabulary_size: int) -> Iterator[tuple[str, torch.Tensor]]:
    """Every weight as (name, values), by the names of transformers' Llama; norms are one."""
    generator = torch.Generator().manual_seed(SEED)

    def matrix(rows: int, columns: int) -> torch.Tensor:
        values = torch.randn(rows, columns, generator=generator) / columns**0.5
        return values.to(torch.bfloat16)

    norm = torch.ones(WIDTH, dtype=torch.bfloat16)
    yield "model.embed_tokens.weight", matrix(vocabulary_size, WIDTH)
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}"
        yield f"{prefix}.input_layernorm.weight", norm.clone()
        yield f"{prefix}.self_attn.q_proj.weight", matrix(HEADS * HEAD_WIDTH, WIDTH)
        yield f"{prefix}.self_attn.k_proj.weight", matrix(KV_HEADS * HEAD_WIDTH, WIDTH)
        yield f"{prefix}.self_attn.v_proj.weight", matrix(KV_HEADS * HEAD_WIDTH, WIDTH)
        yield f"{prefix}.self_attn.o_proj.weight", matrix(WIDTH, HEADS * HEAD_WIDTH)
        yield f"{prefix}.post_attention_layernorm.weight", norm.clone()
        yield f"{prefix}.mlp.gate_proj.weight", matrix(FEED_FORWARD, WIDTH)
        yield f"{prefix}.mlp.up_proj.weight", matrix(FEED_FORWARD, WIDTH)
        yield f"{prefix}.mlp.down_proj.weight", matrix(WIDTH, FEED_FORWARD)
    yield "model.norm.weight", norm.clone()
    yield "lm_head.weight", matrix(vocabulary_size, WIDTH)


def write_tokenizer(folder: Path) -> int:
    """A byte-level vocabulary of 3 special tokens and 256 bytes; returns its size."""
    words = [*SPECIAL_TOKENS, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={word: number for number, word in enumerate(words)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    tokenizer.save(str(folder / "tokenizer.json"))
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            **dict(zip(("bos_token", "eos_token", "unk_token"), SPECIAL_TOKENS, strict=True)),
            "model_max_length": CONTEXT_TOKENS,
            "chat_template": CHAT_TEMPLATE,
        },
    )
    return len(words)


def write_model(folder: Path) -> None:
    """Writes the whole folder; `config.json` comes last, so that a folder that has one is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary_size = write_tokenizer(folder)
    save_file(dict(tensors(vocabulary_size)), folder / "model.safetensors", metadata={"format": "pt"})
    _write_json(
        folder / "config.json",
        {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "dtype": "bfloat16",
            "hidden_size": WIDTH,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "num_key_value_heads": KV_HEADS,
            "head_dim": HEAD_WIDTH,
            "intermediate_size": FEED_FORWARD,
            "vocab_size": vocabulary_size,
            "max_position_embeddings": CONTEXT_TOKENS,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "hidden_act": "silu",
            "tie_word_embeddings": False,
            "bos_token_id": 0,
            "eos_token_id": 1,
        },
    )


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the tiny random-weight Llama that real-vllm-cpu serves.")
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    write_model(folder)
    print(f"wrote {folder} ({sum(file.stat().st_size for file in folder.iterdir()) / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
