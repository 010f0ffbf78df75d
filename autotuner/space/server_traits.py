"""ServerTraits: how an engine lays a model over GPUs, as far as rules about models need it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ServerTraits:
    """The defaults hold for any engine: they ask the least.

    ``attention_tp``: expression of the ranks that share the attention heads, by default ``tp``, or ``tp / dp`` with
    ``dp_inside_tp``: data parallelism is of the attention alone, inside the tp ranks (SGLang).
    ``even_experts``: every rank gets as many experts. ``whole_blocks``: a checkpoint with a scale for each block of
    weights is cut between blocks only. ``limits_positions``: a longer context than the model is made for is refused,
    or silently cut. ``request_room``: expression that holds where a request of ``{tokens}`` tokens has room, if that
    is not max_model_len by itself. ``gpu_only``: weights and KV cache must be in GPU memory. ``fraction_of``: whether
    the flag of the concept gpu_memory_fraction bounds all that a server takes of a GPU, or how much the KV cache takes
    of what is left beside weights. ``holds_longest``: the server starts only if one request of max_model_len fits.
    ``cp_splits``: what the ranks of context parallelism share out, all weights and the KV cache, or the experts alone.
    ``cp_needs_mla``: context parallelism is of latent attention alone.
    """

    attention_tp: str | None = None
    dp_inside_tp: bool = False
    even_experts: bool = False
    whole_blocks: bool = False
    limits_positions: bool = True
    request_room: str | None = None
    gpu_only: bool = True
    fraction_of: Literal["gpu", "rest"] = "gpu"
    holds_longest: bool = False
    cp_splits: Literal["all", "experts"] = "all"
    cp_needs_mla: bool = False
