"""Weights and KV cache against GPU memory, as expressions in GiB."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from autotuner.models.facts import ModelFacts
from autotuner.space._nodes import Value
from autotuner.space._terms import Terms, divided, down, up
from autotuner.space.expression import Constraint
from autotuner.space.memory import GIB, LEAST_OVERHEAD_GIB, WeightBytes, kv_bits, kv_bytes_per_token, weight_bytes
from autotuner.space.quantization import AUTO, PREFIX
from autotuner.space.server_traits import ServerTraits

_KEY = "model.id"
_GEMM, _MOE, _KV = PREFIX + "gemm", PREFIX + "moe", PREFIX + "kv_cache"
_OFFLOADS = ("cpu_offload",)


@dataclass(frozen=True)
class _Savings:
    """Expressions in GiB, empty where nothing is saved."""

    by_gemm: str
    of_experts: str = ""


class MemoryRules:
    """Each part is written as small as it can be, each limit as large."""

    def __init__(
        self,
        facts: ModelFacts,
        terms: Terms,
        traits: ServerTraits,
        gpu_memory_gib: float | None,
        request_tokens: int | None,
        variants: Mapping[str, ModelFacts | None],
    ) -> None:
        self._facts, self._terms, self._traits = facts, terms, traits
        self._memory_gib, self._request_tokens, self._variants = gpu_memory_gib, request_tokens, variants

    def rules(self) -> Iterator[Constraint]:
        weights = weight_bytes(self._facts)
        if self._memory_gib is None or weights is None or not self._traits.gpu_only or self._offloads():
            return
        weights = self._base(weights)
        need = self._weights(weights)
        whole = self._traits.fraction_of == "gpu"
        limit = self._limit(with_fraction=whole)
        about = f"weights of {down(weights.total / GIB)} GiB"
        if PREFIX in need:
            about += ", or less where they are quantised,"
        of_gpu = f"a GPU of {self._memory_gib:g} GiB"
        yield Constraint(f"{need} <= {limit}", _KEY, f"{about} must fit into {of_gpu}")
        cache, tokens = self._cache()
        if cache is None:
            return
        reason = f"beside {about} {of_gpu} must hold the KV cache of one request of {tokens}"
        if whole:
            yield Constraint(f"{need} + {cache} <= {limit}", _KEY, reason)
        else:
            fraction = self._fraction()
            rest = f"({limit} - ({need}))" if fraction else f"{limit} - ({need})"
            yield Constraint(f"{cache} <= {rest}{fraction}", _KEY, reason)

    def _offloads(self) -> bool:
        """Weights may be in host memory."""
        names = [name for concept in _OFFLOADS if (name := self._terms.of_concept(concept)) is not None]
        return any(value not in (None, 0) for name in names for value in self._terms.values(name))

    def _limit(self, *, with_fraction: bool) -> str:
        memory = f"{self._memory_gib:g}"
        return f"{memory}{self._fraction() if with_fraction else ''} - {LEAST_OVERHEAD_GIB:g}"

    def _fraction(self) -> str:
        name = self._terms.of_concept("gpu_memory_fraction")
        if name is None:
            return ""
        if self._terms.is_searched(name):
            return f" * {name}"
        value = self._terms.fixed(name)
        return f" * {value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else ""

    # ── weights ──

    def _base(self, own: WeightBytes) -> WeightBytes:
        """Weights under the formats that are fixed."""
        gemm, moe = self._fixed(_GEMM), self._fixed(_MOE)
        found = own if gemm == moe == AUTO else self._in_format(own, gemm, moe)
        return WeightBytes(min(found.shared, own.shared), min(found.experts, own.experts))

    def _weights(self, base: WeightBytes) -> str:
        shared = ("tp", "pp") if self._traits.cp_splits == "experts" else ("tp", "pp", "cp")
        spread = ("tp", "pp", "cp") if self._traits.dp_inside_tp else ("tp", "pp", "cp", "dp")
        ranks, all_ranks = self._terms.product(*shared), self._terms.product(*spread)
        saved = self._savings(base)
        if not base.experts or ranks == all_ranks:
            return divided(_amount(base.total, saved.by_gemm, saved.of_experts), ranks)
        saved = self._savings(base, apart=True)
        of_experts = divided(_amount(base.experts, saved.of_experts), all_ranks)
        return f"{divided(_amount(base.shared, saved.by_gemm), ranks)} + {of_experts}"

    def _savings(self, base: WeightBytes, *, apart: bool = False) -> _Savings:
        """``by_gemm`` is of all weights while the format of the experts follows it, else of the others alone."""
        follows = self._fixed(_MOE) == AUTO
        by_gemm = {v: self._in_format(base, v, self._fixed(_MOE)) for v in self._formats(_GEMM)}
        if follows and not apart and not self._formats(_MOE):
            return _Savings(self._saving(_GEMM, {v: base.total - w.total for v, w in by_gemm.items()}))
        by_moe = {v: self._in_format(base, AUTO, v) for v in self._formats(_MOE)}
        of_experts = [
            self._saving(_GEMM, {v: base.experts - w.experts for v, w in by_gemm.items()}),
            self._saving(_MOE, {v: base.experts - w.experts for v, w in by_moe.items()}),
        ]
        told = [text for text in of_experts if text]
        return _Savings(
            self._saving(_GEMM, {v: base.shared - w.shared for v, w in by_gemm.items()}),
            f"max({', '.join(told)})" if len(told) > 1 else "".join(told),
        )

    def _in_format(self, base: WeightBytes, gemm: str, moe: str) -> WeightBytes:
        """Weights in these formats; where nothing is known of them, a quarter: 4 bits instead of 16."""
        variant = self._variants.get(gemm)
        found = weight_bytes(variant) if variant is not None else weight_bytes(self._facts, gemm, moe)
        if self._facts.weight_format is not None and gemm not in self._variants:
            return base  # quantised already: it stays as it is
        return found or WeightBytes(base.shared / 4, base.experts / 4)

    def _fixed(self, name: str) -> str:
        value = self._terms.fixed(name)
        return value if isinstance(value, str) else AUTO

    def _formats(self, name: str) -> list[str]:
        """Those that are chosen from."""
        return [value for value in self._terms.values(name) if isinstance(value, str) and value != AUTO]

    def _saving(self, name: str, saved: Mapping[str, float]) -> str:
        """What formats take off: ``63.8 * (quant.gemm == 'fp8')``."""
        groups: dict[str, list[Value]] = defaultdict(list)
        for value, amount in saved.items():
            if amount > 0:
                groups[up(amount / GIB)].append(value)
        return " + ".join(f"{amount} * ({_is_one_of(name, values)})" for amount, values in groups.items())

    # ── KV cache ──

    def _cache(self) -> tuple[str | None, str]:
        """GiB a GPU of one request, and how long that is, for people."""
        per_token = kv_bytes_per_token(self._facts, "bfloat16", growing_alone=True)
        tokens, told = self._tokens()
        if not per_token or tokens is None:
            return None, told
        per_gib = math.ceil(GIB / per_token)
        shrink = self._shrink()
        amount = f"{tokens} / {per_gib}" if not shrink else f"{tokens} / ({per_gib} * {shrink})"
        ranks = ("pp", "dcp") if self._traits.cp_splits == "experts" else ("pp", "dcp", "cp")
        split = [part for part in (self._head_split(), self._terms.product(*ranks)) if part]
        return divided(amount, split[0] if len(split) == 1 else f"({' * '.join(split)})" if split else ""), told

    def _tokens(self) -> tuple[str | None, str]:
        length = self._terms.of_concept("max_model_len")
        if self._traits.holds_longest and length is not None:
            if self._terms.is_searched(length):
                return length, f"{length} tokens"
            fixed = self._terms.fixed(length)
            positions = self._facts.default_positions if fixed is None else fixed
            if isinstance(positions, int) and not isinstance(positions, bool) and positions > 0:
                told = f"{positions} tokens" + (f" ({length} is not set)" if fixed is None else "")
                return str(positions), told
        tokens = self._request_tokens
        return (None, "") if tokens is None else (str(tokens), f"{tokens} tokens")

    def _head_split(self) -> str:
        """Ranks that share the KV heads."""
        heads = 1 if self._facts.is_mla else self._facts.kv_heads or 1
        tp = self._terms.product("tp")
        if heads == 1 or not tp:
            return ""
        return tp if self._terms.largest("tp") <= heads else f"min({tp}, {heads})"

    def _shrink(self) -> str:
        """How many times less than 16 bits a number takes, by whichever name says so."""
        base = kv_bits(self._facts)
        own = 16 / base
        named = self._terms.of_concept("kv_cache_dtype")
        for name in (_KV, named):
            if name is not None and self._terms.is_searched(name):
                return self._shrink_by(name, own)
        fixed = [self._terms.fixed(name) for name in (_KV, named) if name is not None]
        least = min([base, *(kv_bits(self._facts, str(value)) for value in fixed if value not in (None, AUTO))])
        return "" if least == 16 else f"{16 / least:g}"

    def _shrink_by(self, name: str, own: float) -> str:
        groups: dict[float, list[Value]] = defaultdict(list)
        for value in self._terms.values(name):
            times = own if value in (None, AUTO) else 16 / min(kv_bits(self._facts, str(value)), 16)
            if times > 1:
                groups[times].append(value)
        if not groups:
            return ""
        parts = [f"{times - 1:g} * ({_is_one_of(name, values)})" for times, values in groups.items()]
        return f"(1 + {' + '.join(part.removeprefix('1 * ') for part in parts)})"


def _amount(size: float, *savings: str) -> str:
    """``(131.4 - 63.8 * (quant.gemm == 'fp8'))``."""
    told = [f" - ({text})" if " + " in text else f" - {text}" for text in savings if text]
    return f"({down(size / GIB)}{''.join(told)})" if told else down(size / GIB)


def _is_one_of(name: str, values: Iterable[Value]) -> str:
    first, *others = ["null" if value is None else repr(value) for value in values]
    return f"{name} in [{', '.join([first, *others])}]" if others else f"{name} == {first}"
