"""Sizing: what prompts are made of, so that they have a wanted number of tokens."""

from __future__ import annotations

from dataclasses import dataclass

# Common English words of four letters: with a space before it, each is one token in the usual
# byte-pair vocabularies and five in a byte-level one.
_WORDS = """
able acid aged also area army away baby back ball band bank base bath bear beat been beer bell belt
    best bill bird blow blue boat body bomb bond bone book born boss both bowl bulk burn bush busy call
    calm came camp card care case cash cast cell chat chip city club coal coat code cold come cook cool
    cope copy core cost crew crop dark data date dawn days dead deal dean dear debt deep deny desk dial
    diet disc disk does done door dose down draw drew drop drug dual duke dust duty each earn ease east
    easy edge else even ever evil exit face fact fail fair fall farm fast fate fear feed feel feet fell
    felt file fill film find fine fire firm fish five flat flow food foot ford form fort four free from
    fuel full fund gain game gate gave gear gene gift girl give glad goal goes gold golf gone good gray
    grew grey grow gulf hair half hall hand hang hard harm hate have head hear heat held help here hero
    high hill hire hold hole holy home hope host hour huge hung hunt hurt idea inch into iron item join
    jump jury just keen keep kept kick kind king knee knew know lack lady laid lake land lane last late
    lead left less life lift like line link list live load loan lock logo long look lord lose loss lost
    love luck made mail main make male many mark mass mean meat meet menu"""
WORDS = tuple(_WORDS.split())


@dataclass(frozen=True)
class TokenIdSizing:
    """Prompts are lists of token ids in [first, end); the server adds ``added_tokens`` of its own."""

    first: int
    end: int
    added_tokens: int = 0

    @property
    def alphabet(self) -> int:
        return self.end - self.first

    def units(self, tokens: int) -> int:
        """How many make a prompt of so many tokens, with what the server adds."""
        return max(1, tokens - self.added_tokens)

    def span(self, tokens: int) -> int:
        """How many make so many tokens within a prompt."""
        return tokens


@dataclass(frozen=True)
class TextSizing:
    """Prompts are words: tokens = added_tokens + words × tokens_per_word, as the server's usage says."""

    tokens_per_word: float = 1.0
    added_tokens: float = 0.0

    @property
    def alphabet(self) -> int:
        return len(WORDS)

    def units(self, tokens: int) -> int:
        return max(1, round((tokens - self.added_tokens) / self.tokens_per_word))

    def span(self, tokens: int) -> int:
        return max(1, round(tokens / self.tokens_per_word))


Sizing = TokenIdSizing | TextSizing
