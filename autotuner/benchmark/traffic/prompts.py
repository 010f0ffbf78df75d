"""Prompts: pure functions of seed, level and index.

What prompts share is the workload's own: the shared prefix, and whatever a dataset's prompts begin with alike.
In a cold workload no whole prompt is sent twice. Drawn prompts begin (after the shared prefix) with their number in
the level and a mark of level and seed, those of a trace that says what its prompts share end with them; a dataset's
prompts go on from level to level, and one that was sent before differs at its end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from random import Random

from autotuner.benchmark.traffic.mix import Mix
from autotuner.benchmark.traffic.scenario import BLOCK_TOKENS
from autotuner.benchmark.traffic.sizing import WORDS, Sizing, TokenIdSizing

_INDEX_SPAN = 2**24  # indices of a level that get different digits
_MARK_SPAN = 2**32


@dataclass(frozen=True)
class Prompt:
    """What one request asks: token ids, text or chat messages, and so many output tokens."""

    content: list[int] | str | tuple[tuple[str, str], ...]
    output_tokens: int


@dataclass(frozen=True)
class Span:
    """The prompts of a dataset that are one load level's: so many of them, from position ``first`` on."""

    first: int
    count: int


@dataclass(frozen=True)
class PromptWriter:
    """Writes the prompts of a workload.

    ``cold``: no whole prompt is sent twice. Otherwise (warm) a prompt depends on its index alone, so that
    later levels repeat the prompts of earlier ones, and warm-up those measured next. ``spans`` are the levels' shares
    of a dataset, by their names.
    """

    mix: Mix
    sizing: Sizing
    seed: int
    cold: bool = True
    shared_prefix_tokens: int = 0
    spans: Mapping[str, Span] = field(default_factory=dict)

    def measured(self, level: str, index: int) -> Prompt:
        if not self.cold:
            return self._prompt("", index, index)
        span = self.spans.get(level, Span(0, 0))
        position = span.first + index
        is_new = index < span.count and position < (self.mix.prompts or 0)
        return self._prompt(level, index, position, is_new=is_new)

    def warmup(self, level: str, first_index: int, slot: int) -> Prompt:
        """A warm-up prompt of the run of ``level`` whose measured prompts begin at ``first_index``.

        In a cold workload a dataset's are those before the measured ones.
        """
        if not self.cold:
            return self._prompt("", first_index + slot, first_index + slot)
        position = self.spans.get(level, Span(0, 0)).first + first_index - 1 - slot
        return self._prompt(f"{level} warm-up before {first_index}", slot, position)

    def _prompt(self, name: str, index: int, position: int, *, is_new: bool = False) -> Prompt:
        key = f"{self.seed}/{name}/{index}"
        rng = Random(key)  # noqa: S311
        shape = self.mix.shape(rng, index, position)
        if shape.content is not None:
            mark = "" if not self.cold or (is_new and not shape.repeated) else _mark(key)
            return Prompt(self._own(shape.content, mark), shape.output_tokens)
        total = self.sizing.units(shape.input_tokens)
        prefix = self._prefix(min(self._prefix_units(), total - 1))
        free = total - len(prefix)
        shared = self._blocks(shape.blocks, free)
        own = (self._digits(f"{self.seed}/{name}", index) if self.cold else [])[:free]
        rest = rng.choices(range(self.sizing.alphabet), k=max(0, free - len(shared) - len(own)))
        units = [*prefix, *shared[: free - len(own)], *rest, *own] if shared else [*prefix, *own, *rest]
        return Prompt(self._render(units), shape.output_tokens)

    def _prefix_units(self) -> int:
        if self.shared_prefix_tokens == 0:
            return 0
        return self.sizing.units(self.shared_prefix_tokens)

    def _prefix(self, units: int) -> list[int]:
        return Random(f"{self.seed} prefix").choices(range(self.sizing.alphabet), k=units)  # noqa: S311

    def _blocks(self, ids: Sequence[int], most: int) -> list[int]:
        """The units of a prompt's blocks, each the same wherever its id stands; ``most`` of them at most."""
        units: list[int] = []
        for block in ids:
            if len(units) >= most:
                break
            rng = Random(f"{self.seed} block {block}")  # noqa: S311
            units += rng.choices(range(self.sizing.alphabet), k=self.sizing.span(BLOCK_TOKENS))
        return units[:most]

    def _digits(self, name: str, index: int) -> list[int]:
        mark = int.from_bytes(blake2b(name.encode(), digest_size=4).digest(), "big")
        base = self.sizing.alphabet
        return _digits(index % _INDEX_SPAN, base, _INDEX_SPAN) + _digits(mark, base, _MARK_SPAN)

    def _render(self, units: Sequence[int]) -> list[int] | str:
        if isinstance(self.sizing, TokenIdSizing):
            first = self.sizing.first
            return [first + unit for unit in units]
        return " ".join([WORDS[unit] for unit in units])

    def _own(self, content: str | tuple[tuple[str, str], ...], mark: str) -> str | tuple[tuple[str, str], ...]:
        """A dataset's prompt after the shared prefix, with a mark at its end where it has one."""
        lead = ""
        if self.shared_prefix_tokens:
            lead = " ".join(WORDS[unit % len(WORDS)] for unit in self._prefix(self._prefix_units())) + " "
        end = f" {mark}" if mark else ""
        if isinstance(content, str):
            return f"{lead}{content}{end}"
        texts = [text for _, text in content]
        texts[0] = lead + texts[0]
        texts[-1] += end
        return tuple((role, text) for (role, _), text in zip(content, texts, strict=True))


def _mark(key: str) -> str:
    return f"[{blake2b(key.encode(), digest_size=6).hexdigest()}]"


def _digits(number: int, base: int, span: int) -> list[int]:
    """``number`` in ``base``, lowest digit first, as many digits as ``span`` needs."""
    digits = []
    while span > 1:
        digits.append(number % base)
        number //= base
        span = -(-span // base)
    return digits
