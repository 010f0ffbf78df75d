"""What the answers of a load point were like, beside how long they took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from autotuner.metrics.request import RequestError, RequestRecord, TokensBy

# An answer that came at once after a long silence: so few chunks for its tokens, in so small a part of its time.
_BURST_TOKENS = 8
_BURST_TOKENS_PER_CHUNK = 4
_BURST_SHARE_OF_TIME = 0.1
_CAUSES = 2
_DETAIL_CHARS = 120
_FEW = 0.05  # so few answers change no figure by much


@dataclass(frozen=True)
class Answers:
    """The measured requests of a load point: ``good`` and ``failed`` ones, and ``forced``, the answered ones of a
    forced length.
    """

    good: tuple[RequestRecord, ...]
    failed: tuple[RequestRecord, ...]
    forced: tuple[RequestRecord, ...]

    @staticmethod
    def of(records: Sequence[RequestRecord]) -> Answers:
        measured = [r for r in records if not r.warmup]
        answered = (None, RequestError.WRONG_LENGTH, RequestError.EMPTY)
        return Answers(
            good=tuple(r for r in measured if r.ok),
            failed=tuple(r for r in measured if r.error not in (None, RequestError.CANCELLED)),
            forced=tuple(r for r in measured if r.error in answered and r.expected_output_tokens is not None),
        )

    @property
    def tokens_by(self) -> TokensBy | None:
        """The least sure way in which a good request's tokens were counted."""
        ways = {r.tokens_by for r in self.good if r.tokens_by is not None}
        return max(ways, key=[*TokensBy].index, default=None)

    def metrics(self) -> dict[str, float]:
        found = {}
        if self.good:
            found["output_tokens_mean"] = fmean(r.output_tokens or 0 for r in self.good)
        forced = sum(r.expected_output_tokens or 0 for r in self.forced)
        if forced:
            found["output_share"] = sum(r.output_tokens or 0 for r in self.forced) / forced
        reasoned = [r.reasoning_tokens for r in self.good if r.reasoning_tokens is not None]
        if reasoned:
            found["reasoning_tokens_mean"] = fmean(reasoned)
        return found

    def notes(self) -> Iterator[str]:
        """Sentences on what the figures are not, where they may be taken for more than they are."""
        total = len(self.good)
        causes = Counter(_cause(r) for r in self.failed)
        if causes:
            told = "; ".join(f"{count} × {cause}" for cause, count in causes.most_common(_CAUSES))
            yield f"{len(self.failed)} of {total + len(self.failed)} requests failed: {told}"
        if self.tokens_by not in (None, TokensBy.USAGE):
            yield f"output tokens are counted {self.tokens_by.words}"
        free = [
            (r.output_tokens or 0, r.asked_output_tokens)
            for r in self.good
            if r.expected_output_tokens is None and r.asked_output_tokens
        ]
        if any(got < asked for got, asked in free):
            mean, wanted = fmean(got for got, _ in free), fmean(asked for _, asked in free)
            yield f"the length of answers is the server's own: {mean:.1f} tokens on average of {wanted:.1f} asked for"
        at_once = [r for r in self.good if r.token_gap_s is None and (r.output_tokens or 0) > 1]
        if len(at_once) > _FEW * total:
            yield (
                f"{len(at_once)} of {total} answers came at once, in one chunk or faster than anything makes tokens:"
                " they have no TPOT, and their TTFT is not the first token's"
            )
        unseen = [r for r in self.good if r.unseen_tokens]
        if unseen:
            tokens = fmean(r.unseen_tokens for r in unseen)
            yield (
                f"{len(unseen)} of {total} answers reasoned unseen ({tokens:.0f} tokens on average): their TTFT is the"
                " first visible token's, their TPOT that of the visible ones"
            )
        shown = [r for r in self.good if _reasoning_shown(r)]
        if shown:
            yield f"{len(shown)} of {total} answers began with reasoning: ttft_visible is the first token after it"
        unanswered = [r for r in shown if r.first_visible_s is None]
        if unanswered:
            yield f"{len(unanswered)} of {total} answers were reasoning alone, and have no first visible token"
        bursts = [r for r in self.good if r.token_gap_s is not None and not r.unseen_tokens and _is_burst(r)]
        if len(bursts) > _FEW * total:
            yield (
                f"{len(bursts)} of {total} answers came in few chunks after a long silence: if that was reasoning that"
                " is not shown, their TTFT is the first visible token's, and their TPOT too small"
            )


def _cause(record: RequestRecord) -> str:
    """Why it failed, in the server's own words where it had any."""
    return " ".join(str(part) for part in (record.error, record.status, record.detail[:_DETAIL_CHARS]) if part)


def _reasoning_shown(record: RequestRecord) -> bool:
    if record.first_visible_s is None:
        return bool(record.reasoning_tokens) and bool(record.chunk_s)
    return record.first_token_s is not None and record.first_visible_s > record.first_token_s


def _is_burst(record: RequestRecord) -> bool:
    tokens, chunks = record.output_tokens or 0, len(record.chunk_s)
    if tokens < _BURST_TOKENS or not chunks or tokens < _BURST_TOKENS_PER_CHUNK * chunks:
        return False
    stream_s = record.chunk_s[-1] - record.chunk_s[0]
    return stream_s < _BURST_SHARE_OF_TIME * (record.end_s - record.sent_s)
