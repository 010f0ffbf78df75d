"""The facts at the head of the report and of the closing table, and the best Config beside the default's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from autotuner.engines.in_effect import InEffect, setting_in_effect
from autotuner.report.facts.champion import champion, champion_name
from autotuner.report.facts.evidence import BothEvidence, Evidence, find_evidence
from autotuner.report.facts.flag_words import worth_texts
from autotuner.report.facts.measured import is_kept_throughout, kept_up_to
from autotuner.report.facts.spending import GPU_TIME, WALL_CLOCK, lives_text, resource
from autotuner.report.labels import metric_label, metric_unit
from autotuner.report.text import duration, number, value_text
from autotuner.results.points import TrialPoint
from autotuner.results.result import StudyResults
from autotuner.results.scope import levels_text
from autotuner.space.config import Config

BUILT_IN = " (built in)"  # the server's own default, that no Config and no study has set


@dataclass(frozen=True)
class Fact:
    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class PairRow:
    """A parameter of the best beside the default's; ``differs`` marks one that is not equal, ``worth`` says what that
    is worth, where it is told."""

    name: str
    best: str
    default: str
    differs: bool = False
    worth: str = ""


def facts(results: StudyResults) -> tuple[Fact, ...]:
    """What was tried and what it cost."""
    counts = results.summary["trials"]
    account = results.account
    resource_name, held_s = resource(account)
    held = "GPUs" if resource_name == GPU_TIME else "cores"
    tried = f"{counts['completed']} completed, {counts['stopped']} stopped early, {counts['failed']} failed"
    found = [
        Fact("Trials", str(counts["total"]), tried),
        Fact(_capitalised(WALL_CLOCK), duration(account.wall_clock_s), lives_text(account)),
        Fact(resource_name, duration(held_s), f"{held} × time reserved, confirmations included"),
    ]
    found += [Fact("Node in quarantine", sick.node, sick.reason) for sick in results.quarantines]
    return (*_champion_facts(results), *_kept_facts(results), *found)


def _champion_facts(results: StudyResults) -> Iterator[Fact]:
    """Which trial it is, and its objective: as the search measured it, and as confirmation did."""
    best, default = champion(results), results.baseline
    if best is None:
        return
    yield Fact(f"{champion_name(results).capitalize()} trial", best.trial_id, f"scored at: {best.scope or '–'}")
    yield from _changed_fact(results, best)
    label, unit = metric_label(results, results.objective.column), metric_unit(results.objective.column)
    against = ""
    if default is not None and default.value is not None and default.trial_id != best.trial_id:
        where = f" ({default.scope})" if default.scope != best.scope else ""
        against = f"; default {number(default.value)}{where}"
    yield Fact(f"{label}, {best.scope}, in the search", number(best.value), f"{unit}, trial {best.trial_id}{against}")
    improvement = results.improvement
    if improvement is not None and improvement.rounds and improvement.best_value is not None:
        rounds = f"geometric mean of {improvement.rounds} rounds" if improvement.rounds > 1 else "one round"
        yield Fact(
            f"{label}, {improvement.scope}, in confirmation",
            number(improvement.best_value),
            f"{unit}, {rounds}; default {number(improvement.baseline_value)}",
        )


def _changed_fact(results: StudyResults, best: TrialPoint) -> Iterator[Fact]:
    """That its servers ran with less memory than was asked for."""
    changed = next((t.changed_at_start for t in results.trial_records if t.trial_id == best.trial_id), "")
    if changed:
        yield Fact("Changed at its start", changed, "there was no memory for what was asked for")


def _kept_facts(results: StudyResults) -> Iterator[Fact]:
    """Up to which load one server keeps the SLOs."""
    found = find_evidence(results)
    if found is None or not results.study.slo.terms():
        return
    notes = [f"{found.best.who}{_what_it_rests_on(found.best, found)}"]
    if found.default is not None:
        notes.append(f"default: {kept_up_to(found.default)}{_what_it_rests_on(found.default, found)}")
    yield Fact("Load up to which one server keeps the SLOs", kept_up_to(found.best), "; ".join(notes))


def _what_it_rests_on(side: Evidence, found: BothEvidence) -> str:
    """Whether more load might be kept as well, and which lower levels nothing is known of."""
    highest = ", the highest measured" if is_kept_throughout(side) else ""
    skipped = side.skipped(found.levels)
    return f"{highest}, {levels_text(skipped)} not measured" if skipped else highest


def config_rows(results: StudyResults) -> tuple[PairRow, ...]:
    """Every parameter of the best (or closest) beside the default's; what one leaves out, as the server has it."""
    best, default = champion(results), results.baseline
    if best is None:
        return ()
    rows, worths = [], worth_texts(results)
    for name in sorted({*best.config, *(default.config if default is not None else {})}):
        ours, theirs = (_in_effect(results, point, name) for point in (best, default))
        differs = (ours and ours.word) != (theirs and theirs.word)
        rows.append(PairRow(name, _shown(ours), _shown(theirs), differs, worths.get(name, "")))
    return tuple(rows)


def _in_effect(results: StudyResults, point: TrialPoint | None, name: str) -> InEffect | None:
    return None if point is None else setting_in_effect(results.study, Config(point.config), name)


def _shown(setting: InEffect | None) -> str:
    if setting is None:
        return "–"
    return f"{value_text(setting.value)}{BUILT_IN if setting.is_built_in else ''}"


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]
