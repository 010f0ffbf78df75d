"""What a model and its GPUs ask of every Config, as constraints in the study's own language.

So they are counted, sampled and vectorised like the user's, and told with a reason. Every rule is a limit that the
engine itself has or that memory sets; figures are the least, so that nothing that would run is refused.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autotuner.models.facts import ModelFacts
from autotuner.space._memory_rules import MemoryRules
from autotuner.space._nodes import Value
from autotuner.space._terms import Terms
from autotuner.space.expression import Constraint, Expression, identifier
from autotuner.space.parallelism import PARALLELISM_NAMES
from autotuner.space.parameters import Choice, IntRange, Parameter
from autotuner.space.quantization import AUTO, QUANTIZATION_NAMES
from autotuner.space.server_traits import ServerTraits

KEY = "model.id"
_WIDE = 64  # values of a range up to which all of them are looked at
_MOST_CASES = 20_000


@dataclass(frozen=True)
class Known:
    """What is known of the servers that a space makes, by the identifiers of expressions.

    ``values``: all that a name can be, of a wide range its ends; one for what is fixed. ``concepts``: concept →
    identifier of the engine's flag (``max_model_len`` → ``context_length``). ``gpu_memory_gib`` is that of the
    largest GPU the study may use, ``None`` where that is not known or a server has none. ``request_tokens``: input
    and output of the longest request that is sure to be sent. ``variants``: value of quant.gemm → facts of that
    checkpoint.
    """

    values: Mapping[str, Sequence[Value]]
    concepts: Mapping[str, str] = field(default_factory=dict)
    gpu_memory_gib: float | None = None
    request_tokens: int | None = None
    variants: Mapping[str, ModelFacts | None] = field(default_factory=dict)


def possible_values(parameters: Iterable[Parameter], fixed: Mapping[str, Any]) -> dict[str, tuple[Value, ...]]:
    """What every name can be: those of the space, and fixed ones. A parameter may have null among its values."""
    found: dict[str, tuple[Value, ...]] = dict.fromkeys(PARALLELISM_NAMES, (1,))
    found |= dict.fromkeys(QUANTIZATION_NAMES, (AUTO,))
    for name, value in fixed.items():
        if value is None or isinstance(value, bool | int | float | str):
            found[identifier(name)] = (value,)
    for parameter in parameters:
        if isinstance(parameter, Choice):
            seen = tuple(parameter.in_expressions(value) for value in parameter.options)
        elif isinstance(parameter, IntRange) and parameter.size < _WIDE:
            seen = tuple(parameter.values())
        else:
            seen = (parameter.low, parameter.high)
        found[parameter.identifier] = seen
    return found


def model_rules(
    facts: ModelFacts | None,
    known: Known,
    traits: ServerTraits | None = None,
    *,
    when: str = "",
    more: Iterable[Constraint] = (),
) -> list[Constraint]:
    """The rules that some Config of the space may break, the simplest first, with those of ``more``.

    Where nothing is known of the model (``facts`` is ``None``) those of the requests alone.
    ``when`` is an expression under which they hold, for a space of several engines: ``engine == 'vllm'``.
    """
    traits = traits or ServerTraits()
    terms = Terms(known.values, known.concepts)
    rules = [*_rooms(known, traits), *more]
    if facts is not None:
        memory = MemoryRules(facts, terms, traits, known.gpu_memory_gib, known.request_tokens, known.variants)
        shapes = [*_divisions(facts, traits, terms), *_blocks(facts, terms, traits), *_positions(facts, known, traits)]
        rules = [*shapes, *rules, *memory.rules()]
    kept = [rule for rule in rules if _can_fail(rule.text, known.values)]
    if not when:
        return kept
    return [Constraint(f"not ({when}) or ({rule.text})", rule.key, rule.reason) for rule in kept]


# ── shapes ────────────────────────────────────────────────────────────────────────────────────


def _divisions(facts: ModelFacts, traits: ServerTraits, terms: Terms) -> Iterator[Constraint]:
    tp = traits.attention_tp or ("tp / dp" if traits.dp_inside_tp and terms.fixed("dp") != 1 else "tp")
    if facts.attention_heads:
        reason = f"{tp} must divide the model's {facts.attention_heads} attention heads"
        yield _rule(f"{facts.attention_heads} % {_grouped(tp)} == 0", reason)
    if facts.kv_heads and not facts.is_mla:
        heads = facts.kv_heads
        reason = f"{tp} must divide the model's {heads} KV heads, or be a multiple of them"
        yield _rule(f"{heads} % {_grouped(tp)} == 0 or {_grouped(tp)} % {heads} == 0", reason)
        group = (facts.attention_heads or heads) // heads
        reason = f"dcp is at most tp / {heads}, the copies that there are of a KV head, and divides {group}"
        yield _rule(f"dcp == 1 or dcp * {heads} <= tp and {group} % dcp == 0", reason)
        if traits.cp_needs_mla and heads > 1:
            yield _rule("cp == 1", "its context parallelism is of models with latent attention (MLA) alone")
    if facts.layers:
        yield _rule(f"pp <= {facts.layers}", f"the model has {facts.layers} layers: a pipeline stage needs one")
    for name in ("ep", "moe_ep"):
        if facts.is_moe and traits.even_experts:
            reason = f"{name} must divide the model's {facts.experts} experts"
            yield _rule(f"{facts.experts} % {name} == 0", reason)
        elif facts.is_moe:
            yield _rule(f"{name} <= {facts.experts}", f"the model has {facts.experts} experts")
        else:
            yield _rule(f"{name} == 1", "the model has no experts that could be spread")


def _blocks(facts: ModelFacts, terms: Terms, traits: ServerTraits) -> Iterator[Constraint]:
    """Weights with a scale for each block are cut between blocks."""
    own = facts.weight_format
    if own is None or own.block is None or not traits.whole_blocks:
        return
    block = own.block
    if facts.is_moe and facts.expert_intermediate_size:
        width = facts.expert_intermediate_size
        cut = f"{width} * ep / tp" if traits.dp_inside_tp else f"{width} / {terms.product('tp', 'dp', 'cp') or 1}"
        text = f"{cut} % {block} == 0"
        reason = f"the experts' {width} rows are cut into whole blocks of {block}: fewer ranks, or expert parallelism"
        yield _rule(text if traits.dp_inside_tp else f"ep > 1 or {text}", reason)
    elif facts.intermediate_size and not facts.is_moe:
        width = facts.intermediate_size
        yield _rule(f"{width} / tp % {block} == 0", f"the MLP's {width} rows are cut into whole blocks of {block}")


# ── lengths ───────────────────────────────────────────────────────────────────────────────────


def _positions(facts: ModelFacts, known: Known, traits: ServerTraits) -> Iterator[Constraint]:
    length = known.concepts.get("max_model_len")
    if facts.positions is None or not traits.limits_positions:
        return
    if length is not None:
        reason = f"the model is made for {facts.positions} tokens of context"
        yield _rule(f"{length} <= {facts.positions}", reason)
    if known.request_tokens is not None and known.request_tokens > facts.positions:
        reason = f"{_asked(known.request_tokens)}; the model is made for {facts.positions}"
        yield _rule(f"{known.request_tokens} <= {facts.positions}", reason)


def _rooms(known: Known, traits: ServerTraits) -> Iterator[Constraint]:
    """What a server is told of lengths must have room for the requests, whatever its model."""
    tokens, length = known.request_tokens, known.concepts.get("max_model_len")
    if tokens is None:
        return
    if traits.request_room is not None:
        yield _rule(traits.request_room.format(tokens=tokens), f"{_asked(tokens)}: that is more than one slot holds")
    elif length is not None:
        text = f"{length} >= {tokens}"
        as_long_as_possible = any(isinstance(v, int) and v <= 0 for v in known.values.get(length, ()))  # 0 and -1
        yield _rule(f"{length} <= 0 or {text}" if as_long_as_possible else text, _asked(tokens))


def _asked(tokens: int) -> str:
    return f"a request of the workload has {tokens} tokens, input and output together"


def _rule(text: str, reason: str) -> Constraint:
    return Constraint(text, KEY, reason)


def _grouped(text: str) -> str:
    return text if text.isidentifier() else f"({text})"


# ── which rules matter ────────────────────────────────────────────────────────────────────────


def _can_fail(text: str, values: Mapping[str, Sequence[Value]]) -> bool:
    """Whether some combination of the names' values breaks the rule; every rule here is monotonic in wide ranges."""
    expression = Expression.parse(text, KEY)
    names = [name for name in expression.names if name in values]
    if len(names) < len(expression.names):
        return False  # a name that this engine does not have
    if math.prod(len(values[name]) for name in names) > _MOST_CASES:
        return True
    cases = itertools.product(*(values[name] for name in names))
    return any(expression.truth(dict(zip(names, case, strict=True))) is False for case in cases)
