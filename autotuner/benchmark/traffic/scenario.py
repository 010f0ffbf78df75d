"""How long prompts and answers are: D(in,out), N(mean,sd)/(mean,sd), U(min,max)/(min,max)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from random import Random
from typing import Protocol

from autotuner.errors import WorkloadError

MOST_TOKENS = 10**9
_NUMBER = r"\s*(\d+(?:\.\d+)?)\s*"
_PAIR = rf"\({_NUMBER},{_NUMBER}\)"
_FORMS = {
    "D": re.compile(rf"D\s*{_PAIR}"),
    "N": re.compile(rf"N\s*{_PAIR}\s*/\s*{_PAIR}"),
    "U": re.compile(rf"U\s*{_PAIR}\s*/\s*{_PAIR}"),
}
_RULES = {
    "D": "D(input tokens,output tokens)",
    "N": "N(mean,sd)/(mean,sd), input then output tokens",
    "U": "U(min,max)/(min,max), input then output tokens",
}


BLOCK_TOKENS = 512  # as Mooncake's traces have them


@dataclass(frozen=True)
class Shape:
    """One request's size in tokens, or with ``content`` the very prompt or messages to send.

    ``repeated``: the same content stands earlier in the workload's files. ``blocks`` are the ids of its prompt's
    blocks of ``BLOCK_TOKENS`` tokens: prompts whose ids begin alike begin alike.
    """

    input_tokens: int
    output_tokens: int
    content: str | tuple[tuple[str, str], ...] | None = None
    repeated: bool = False
    blocks: tuple[int, ...] = ()


class Source(Protocol):
    """Where request shapes come from. Pure: the same numbers and generator state, the same shape.

    ``index`` numbers the requests of a load level, ``position`` those of all levels together.
    """

    def shape(self, rng: Random, index: int, position: int) -> Shape: ...

    @property
    def most_output_tokens(self) -> int:
        """The output tokens of the longest answer that is as good as sure to be asked for."""
        ...


@dataclass(frozen=True)
class Fixed:
    input_tokens: int
    output_tokens: int

    def shape(self, rng: Random, index: int, position: int) -> Shape:
        return Shape(self.input_tokens, self.output_tokens)

    @property
    def most_output_tokens(self) -> int:
        return self.output_tokens


@dataclass(frozen=True)
class Normal:
    """Normally distributed lengths, rounded and at least 1."""

    input_mean: float
    input_sd: float
    output_mean: float
    output_sd: float

    def shape(self, rng: Random, index: int, position: int) -> Shape:
        return Shape(
            max(1, round(rng.gauss(self.input_mean, self.input_sd))),
            max(1, round(rng.gauss(self.output_mean, self.output_sd))),
        )

    @property
    def most_output_tokens(self) -> int:
        return max(1, math.ceil(self.output_mean + 2 * self.output_sd))  # one in forty is longer


@dataclass(frozen=True)
class Uniform:
    """Evenly distributed lengths, both bounds included."""

    input_min: int
    input_max: int
    output_min: int
    output_max: int

    @property
    def most_output_tokens(self) -> int:
        return self.output_max

    def shape(self, rng: Random, index: int, position: int) -> Shape:
        return Shape(rng.randint(self.input_min, self.input_max), rng.randint(self.output_min, self.output_max))


def parse_scenario(text: str, key: str = "workload.scenario") -> Fixed | Normal | Uniform:
    """Reads a scenario. Raises WorkloadError with ``key``, the text and the rule it breaks."""
    letter = text.strip()[:1].upper()
    form = _FORMS.get(letter)
    if form is None:
        raise _error(key, text, "one of " + "; ".join(_RULES.values()), "D(1000,200)")
    match = form.fullmatch(text.strip()[:1].upper() + text.strip()[1:])
    if match is None:
        raise _error(key, text, _RULES[letter], _nearest(letter, text))
    numbers = [float(n) for n in match.groups()]
    if max(numbers) > MOST_TOKENS:
        raise _error(key, text, f"token counts are at most {MOST_TOKENS:,}")
    if letter == "N":
        return _normal(key, text, numbers)
    if any(n != int(n) or n < 1 for n in numbers):
        raise _error(key, text, "token counts are whole numbers from 1")
    counts = [int(n) for n in numbers]
    if letter == "D":
        return Fixed(*counts)
    if counts[0] > counts[1] or counts[2] > counts[3]:
        raise _error(key, text, "min is at most max")
    return Uniform(*counts)


def _normal(key: str, text: str, numbers: list[float]) -> Normal:
    if numbers[0] < 1 or numbers[2] < 1:
        raise _error(key, text, "mean token counts are at least 1")
    return Normal(*numbers)


def _nearest(letter: str, text: str) -> str | None:
    """The scenario that the numbers in ``text`` would make, when there are as many as it takes."""
    numbers = re.findall(r"\d+(?:\.\d+)?", text)
    if letter == "D" and len(numbers) == 2:
        return "D({},{})".format(*numbers)
    if letter in "NU" and len(numbers) == 4:
        return "{}({},{})/({},{})".format(letter, *numbers)
    return None


def _error(key: str, value: object, rule: str, nearest: str | None = None) -> WorkloadError:
    hint = f"; did you mean {nearest}?" if nearest else ""
    return WorkloadError(
        f"{key}: {value!r} is not a scenario: {rule}{hint}", key=key, value=value, rule=rule, nearest=nearest
    )
