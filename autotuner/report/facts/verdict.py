"""Verdict: what the study found, in the words that terminal and report share. It claims no more than was measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from autotuner.metrics.load_level import LoadLevel
from autotuner.report.facts.disturbed_lines import disturbed_lines
from autotuner.report.facts.drift_lines import drift_lines
from autotuner.report.facts.finalists import finalists_lines, gain_text
from autotuner.report.facts.noise_table import noise_lines
from autotuner.report.facts.put_back_lines import put_back_lines
from autotuner.report.facts.unfinished import cut_trials, left_out_lines, unfinished_lines
from autotuner.report.labels import metric_label, metric_unit
from autotuner.report.text import number, percent
from autotuner.results.improvement import Improvement, Outcome
from autotuner.results.points import TrialPoint
from autotuner.results.records import Phase, TrialRecord, TrialState
from autotuner.results.replayed import replayed_text
from autotuner.results.result import StudyResults
from autotuner.results.standing import Standing
from autotuner.scoring.score import Violation

_MOST_FAILURES = 5
_STANDS = {Standing.INTERRUPTED: "Interrupted", Standing.DRIVER_DEAD: "Its driver died", Standing.RUNNING: "Running,"}


class Tone(StrEnum):
    GOOD = "good"
    NEUTRAL = "neutral"
    BAD = "bad"


@dataclass(frozen=True)
class Verdict:
    """``headline`` is one sentence; ``details`` say what it rests on."""

    tone: Tone
    headline: str
    details: tuple[str, ...] = ()


def verdict(results: StudyResults) -> Verdict:
    """The study's verdict; of one that did not come to its end, the verdict so far."""
    found = _verdict(results)
    beside = (*drift_lines(results), *disturbed_lines(results), *left_out_lines(results))
    found = replace(found, details=(*found.details, *put_back_lines(results), *beside))
    if replayed := replayed_text(results.study):
        told = f"{replayed[:1].upper()}{replayed[1:]}."
        found = replace(found, headline=f"Replayed. {found.headline}", details=(told, *found.details))
    if results.standing is Standing.COMPLETED:
        return found
    stands = _STANDS.get(results.standing, "Not ended")
    ended = sum(t.state.is_terminal and t.phase.explores for t in results.trial_records)
    so_far = f"{stands} after {ended} of {results.study.search.trials} trials. So far: {found.headline}"
    return Verdict(Tone.NEUTRAL, so_far, found.details)


def _verdict(results: StudyResults) -> Verdict:
    best, improvement = results.best, results.improvement
    if best is None or improvement is None:
        return _nothing_feasible(results)
    if not best.slo_met and results.study.search.select == "slo_met":
        return _no_slo_met(results, best)
    where = _where(results, best)
    if _nothing_else_was_tried(results, best):
        return Verdict(
            Tone.NEUTRAL,
            _sentence(f"{_only(results)}: nothing was compared with it"),
            (_measured(results, best), *_violated(results, best)),
        )
    if results.baseline is not None and best.trial_id == results.baseline.trial_id:
        return Verdict(Tone.NEUTRAL, "Nothing that was tried beats the default: keep it.", where)
    gain = gain_text(improvement.ratio, improvement.ci95)
    figure = f"{metric_label(results, improvement.metric)} ({improvement.scope}) {gain}"
    changes = f": {figure}" if gain else ""
    if improvement.recommended and _excludes_no_gain(improvement):
        return Verdict(
            Tone.GOOD,
            f"Recommended: trial {best.trial_id} beats the default{changes}.",
            (*where, _basis(improvement), *_spread(results, improvement), *_default(results)),
        )
    if improvement.recommended:
        gained = (f"{figure}.",) if gain else ()
        return Verdict(
            Tone.GOOD,
            f"Recommended: trial {best.trial_id}: {improvement.reason}.",
            (*where, _basis(improvement), *gained, *_spread(results, improvement), *_default(results)),
        )
    if improvement.outcome is Outcome.UNCONFIRMED:
        return Verdict(
            Tone.NEUTRAL,
            f"Not confirmed: trial {best.trial_id} {_why_it(results, best)}{changes}.",
            (*where, f"{_sentence(improvement.reason)} The best of many is partly luck.", *_default(results)),
        )
    tie = ", a tie" if improvement.outcome is Outcome.TIE else ""
    return Verdict(
        Tone.NEUTRAL,
        f"Not recommended over the default{tie}: trial {best.trial_id} {_why_it(results, best)}, but was not proven "
        f"better{changes}.",
        (*where, _basis(improvement), *_spread(results, improvement), *_default(results)),
    )


def _why_it(results: StudyResults, best: TrialPoint) -> str:
    """Why this one is the best: the search's word, or that of the finalists' fresh runs."""
    finals = results.finals
    is_searched = finals is None or finals.candidates[0] == best.trial_id
    return "scored best in the search" if is_searched else "was chosen among the finalists"


def _default(results: StudyResults) -> tuple[str, ...]:
    """Which default the best is compared with, where it is not the first one, or did not come to its end."""
    defaults = [trial for trial in results.trial_records if trial.phase is Phase.BASELINE]
    compared = next((d for d in defaults if results.baseline and d.trial_id == results.baseline.trial_id), None)
    if compared is None:
        return ()
    lost = [d for d in defaults if d.state is not TrialState.COMPLETED and d.failure is not None]
    causes = [f"{_named(d)}, failed: {d.failure}: {d.message}" for d in lost]
    if compared in lost:
        again = " It was measured once more for the confirmation." if _is_confirmed(results, compared) else ""
        return tuple(f"{_sentence(cause)}{again}" for cause in causes[:1])
    if compared is defaults[0]:
        return ()
    return (f"Compared with {_named(compared)}: {'; '.join(causes)}.",)


def _named(default: TrialRecord) -> str:
    where = f" on {default.accelerator}" if default.accelerator else ""
    return f"trial {default.trial_id}, the default{where}"


def _is_confirmed(results: StudyResults, default: TrialRecord) -> bool:
    return any(t.trial_id.startswith(f"{default.trial_id}-c") for t in results.trial_records)


def _excludes_no_gain(improvement: Improvement) -> bool:
    return improvement.ci95 is not None and not improvement.ci95[0] <= 1 <= improvement.ci95[1]


def _violations(results: StudyResults, point: TrialPoint) -> Iterator[str]:
    """By how much its trial was over the SLOs in the search, at each load level that the point is of."""
    rungs = results.rung_records.get(point.trial_id, ())
    for measured in rungs[-1].score.points if rungs else ():
        if measured.objective == results.objective.name and point.level in (None, measured.level.value):
            yield from (_violation_text(violation, measured.level) for violation in measured.violations)


def _violation_text(violation: Violation, level: LoadLevel) -> str:
    return (
        f"{violation.metric} {number(violation.value)} over {number(violation.threshold)} at {level} "
        f"({percent(1 + violation.ratio)}, {violation.tier})"
    )


def _basis(improvement: Improvement) -> str:
    many = improvement.rounds > 1
    rounds = f"{improvement.rounds} confirmation rounds, each" if many else "1 confirmation round,"
    return f"{rounds} with both launched afresh: {improvement.reason}."


def _spread(results: StudyResults, improvement: Improvement) -> Iterator[str]:
    """How finalists came out, and by how much runs of one Config differ."""
    yield from finalists_lines(improvement)
    yield from noise_lines(results)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _nothing_else_was_tried(results: StudyResults, point: TrialPoint) -> bool:
    """Whether there is the default alone: no other Config was measured, or failed by itself."""
    others = [t for t in results.trial_records if t.phase.explores and t.trial_id != point.trial_id]
    is_default = results.baseline is not None and point.trial_id == results.baseline.trial_id
    return is_default and not any(
        results.rung_records.get(t.trial_id) or (t.failure is not None and t.failure.blames_config) for t in others
    )


def _only(results: StudyResults) -> str:
    what = "the running server" if results.study.launcher.kind == "endpoint" else "the default"
    return f"only {what} was measured"


def _measured(results: StudyResults, point: TrialPoint) -> str:
    column = results.objective.column
    unit = metric_unit(column)
    met = ", within the SLOs" if point.slo_met and results.study.slo.terms() else ""
    figure = f"{number(point.value)}{f' {unit}' if unit else ''}"
    return f"{metric_label(results, column)} ({point.scope}): {figure}{met}."


def _no_slo_met(results: StudyResults, best: TrialPoint) -> Verdict:
    closest = results.closest or best
    if _nothing_else_was_tried(results, closest):
        headline = f"No Config meets the SLOs: {_only(results)}{_at(closest)}."
        return Verdict(Tone.BAD, headline, tuple(_violations(results, closest)))
    return Verdict(
        Tone.BAD,
        f"No Config meets the SLOs. Trial {closest.trial_id} came closest{_at(closest)}.",
        tuple(_violations(results, closest)),
    )


def _nothing_feasible(results: StudyResults) -> Verdict:
    if not results.trial_records:
        return Verdict(Tone.BAD, "No trial has started.")
    closest = results.closest
    if cut_trials(results):
        why = f" ({results.stop_reason})" if results.stop_reason else ""
        details = (*unfinished_lines(results), *_failures(results))
        return Verdict(Tone.BAD, f"No trial came to its end before the study did{why}.", details)
    if closest is None:
        return Verdict(Tone.BAD, "No Config is feasible: no trial came to its end.", tuple(_failures(results)))
    details = (*_violations(results, closest), *((closest.reason,) if closest.reason else ()))
    if _nothing_else_was_tried(results, closest):
        return Verdict(Tone.BAD, f"No Config is feasible: {_only(results)}{_at(closest)}.", details)
    return Verdict(Tone.BAD, f"No Config is feasible. Trial {closest.trial_id} came closest{_at(closest)}.", details)


def _failures(results: StudyResults) -> Iterator[str]:
    """What failed in the first few trials; the report has them all, and the ends of their logs."""
    failed = [trial for trial in results.trial_records if trial.failure is not None]
    for trial in failed[:_MOST_FAILURES]:
        yield f"Trial {trial.trial_id}: {trial.failure}: {trial.message}"
    if len(failed) > _MOST_FAILURES:
        yield f"… and {len(failed) - _MOST_FAILURES} more."


def _at(point: TrialPoint) -> str:
    return f" ({point.scope}, in the search)" if point.scope else ""


def _where(results: StudyResults, best: TrialPoint) -> tuple[str, ...]:
    level = () if best.level is None else (f"In the search its best load point was {best.scope}.",)
    return (*level, *_violated(results, best))


def _violated(results: StudyResults, best: TrialPoint) -> Iterator[str]:
    yield from (f"It violated an SLO in the search: {text}." for text in _violations(results, best))
