"""Prompts: pure functions of seed, level and index.

In a cold workload every prompt starts (after the shared prefix) with its number in the level and a
mark of level and seed, so that no two are alike and no cache finds a common start worth keeping.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from random import Random

from autotuner.benchmark.mix import Mix
from autotuner.benchmark.sizing import WORDS, Sizing, TokenIdSizing

_INDEX_SPAN = 2**24  # indices of a level that get different digits
_MARK_SPAN = 2**32


@dataclass(frozen=True)
class Prompt:
    """What one request asks: token ids, text or chat messages, and so many output tokens."""

    content: list[int] | str | tuple[tuple[str, str], ...]
    output_tokens: int


@dataclass(frozen=True)
class PromptWriter:
    """Writes the prompts of a workload.

    ``cold``: no prompt is sent twice. Otherwise (warm) a prompt depends on its index alone, so that
    later levels repeat the prompts of earlier ones, and warm-up those measured next.
    """

    mix: Mix
    sizing: Sizing
    seed: int
    cold: bool = True
    shared_prefix_tokens: int = 0

    def measured(self, level: str, index: int) -> Prompt:
        return self._prompt(level if self.cold else "", index)

    def warmup(self, level: str, first_index: int, slot: int) -> Prompt:
        """A warm-up prompt of the run of ``level`` whose measured prompts begin at ``first_index``."""
        if self.cold:
            return self._prompt(f"{level} warm-up before {first_index}", slot)
        return self._prompt("", first_index + slot)

    def _prompt(self, name: str, index: int) -> Prompt:
        key = f"{self.seed}/{name}/{index}"
        rng = Random(key)  # noqa: S311
        shape = self.mix.shape(rng, index)
        if shape.content is not None:
            return Prompt(self._own(shape.content, f"{self.seed}/{name}", index), shape.output_tokens)
        total = self.sizing.units(shape.input_tokens)
        prefix = self._prefix(min(self._prefix_units(), total - 1))
        marks = self._digits(f"{self.seed}/{name}", index) if self.cold else []
        own = marks[: total - len(prefix)]
        rest = rng.choices(range(self.sizing.alphabet), k=total - len(prefix) - len(own))
        return Prompt(self._render([*prefix, *own, *rest]), shape.output_tokens)

    def _prefix_units(self) -> int:
        if self.shared_prefix_tokens == 0:
            return 0
        return self.sizing.units(self.shared_prefix_tokens)

    def _prefix(self, units: int) -> list[int]:
        return Random(f"{self.seed} prefix").choices(range(self.sizing.alphabet), k=units)  # noqa: S311

    def _digits(self, name: str, index: int) -> list[int]:
        mark = int.from_bytes(blake2b(name.encode(), digest_size=4).digest(), "big")
        base = self.sizing.alphabet
        return _digits(index % _INDEX_SPAN, base, _INDEX_SPAN) + _digits(mark, base, _MARK_SPAN)

    def _render(self, units: Sequence[int]) -> list[int] | str:
        if isinstance(self.sizing, TokenIdSizing):
            first = self.sizing.first
            return [first + unit for unit in units]
        return " ".join([WORDS[unit] for unit in units])

    def _own(
        self, content: str | tuple[tuple[str, str], ...], name: str, index: int
    ) -> str | tuple[tuple[str, str], ...]:
        """A dataset's prompt, in a cold workload with a short mark before it and after the shared prefix."""
        lead = []
        if self.shared_prefix_tokens:
            lead.append(" ".join(WORDS[unit % len(WORDS)] for unit in self._prefix(self._prefix_units())))
        if self.cold:
            lead.append(f"[{blake2b(f'{name}/{index}'.encode(), digest_size=6).hexdigest()}]")
        if not lead:
            return content
        if isinstance(content, str):
            return " ".join([*lead, content])
        (role, text), *others = content
        return ((role, " ".join([*lead, text])), *others)


def _digits(number: int, base: int, span: int) -> list[int]:
    """``number`` in ``base``, lowest digit first, as many digits as ``span`` needs."""
    digits = []
    while span > 1:
        digits.append(number % base)
        number //= base
        span = -(-span // base)
    return digits
