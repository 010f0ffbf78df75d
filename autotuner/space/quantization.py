"""Quantization: numbers' formats of one server, in names that mean the same on every engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

AUTO = "auto"  # the engine's own choice
PREFIX = "quant."  # of the names in a Config


@dataclass(frozen=True)
class Quantization:
    """Formats of weights and matrix products, KV cache, attention and experts; ``auto`` is the engine's own choice."""

    gemm: str = AUTO
    kv_cache: str = AUTO
    attention: str = AUTO
    moe: str = AUTO

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Quantization:
        """What a Config's values (``quant.gemm`` …) say, ``auto`` where they say nothing."""
        told = {name: values.get(PREFIX + name) for name in QUANTIZATION_FIELDS}
        return cls(**{name: value for name, value in told.items() if value is not None})

    def as_dict(self) -> dict[str, str]:
        """By Config names."""
        return {PREFIX + name: getattr(self, name) for name in QUANTIZATION_FIELDS}


QUANTIZATION_FIELDS: tuple[str, ...] = tuple(field.name for field in fields(Quantization))
QUANTIZATION_NAMES: tuple[str, ...] = tuple(PREFIX + name for name in QUANTIZATION_FIELDS)

QUANTIZATION_PRESETS: Mapping[str, Quantization] = MappingProxyType(
    {
        "default": Quantization(),
        "kv-cache-fp8": Quantization(kv_cache="fp8"),
        "dynamic-fp8": Quantization(gemm="fp8", kv_cache="fp8"),
        "bf16-stable": Quantization(gemm="bfloat16", kv_cache="bfloat16"),
        "aggressive-moe": Quantization(gemm="fp8", kv_cache="fp8", moe="fp8"),
    }
)
