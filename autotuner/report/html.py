"""report.html: one file that opens with no network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from autotuner.benchmark import levels, rungs_of
from autotuner.report.facts.champion import champion, champion_name
from autotuner.report.facts.drift_lines import references_table
from autotuner.report.facts.flag_words import WORTH
from autotuner.report.facts.importance import FEWEST_TRIALS, Importance, importance
from autotuner.report.facts.measured import Table, measured_table, slo_table
from autotuner.report.facts.noise_table import noise_table
from autotuner.report.facts.points import last_points
from autotuner.report.facts.scored_trials import ScoredTrial, ranked, scored_trials
from autotuner.report.facts.summary_facts import config_rows, facts
from autotuner.report.facts.time_spent import savings_lines, time_parts, time_spent
from autotuner.report.facts.told_by_servers import told_by_servers
from autotuner.report.facts.trial_rows import trial_table
from autotuner.report.facts.verdict import verdict
from autotuner.report.figures import (
    Figure,
    Marked,
    Spot,
    ToldTrial,
    confirmation_figure,
    importance_figure,
    latency_axes,
    load_search_figure,
    objective_axes,
    parallel_figure,
    pareto_figure,
    rungs_figure,
    telemetry_figure,
    time_figure,
    user_axes,
)
from autotuner.report.figures.confirmation import confirmation_values
from autotuner.report.figures.style import BEST, DEFAULT, MEETS
from autotuner.report.labels import metric_label
from autotuner.results.folder import resolved_yaml, write_text
from autotuner.results.preferred import Preferred
from autotuner.results.result import StudyResults
from autotuner.results.scope import scope_text
from autotuner.scoring.objective import Aggregate
from autotuner.scoring.preference import weights_text
from autotuner.study.model import FindMaxLoad


@dataclass(frozen=True)
class Section:
    """A heading, what to read in it, and a figure, or ``missing``: why there is none; below it tables, if any."""

    key: str
    title: str
    caption: str
    figure: Figure | None
    missing: str = "Nothing to draw yet."
    tables: tuple[Table, ...] = ()


def write_report(
    results: StudyResults, path: str | Path, *, note: str = "", preferred: Preferred | None = None
) -> Path:
    """Writes the report of a study, running or ended, whole or not at all; returns its path.

    ``note``: what a reader must know of all of it. ``preferred``: the point of the front to point out.
    """
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    write_text(place, render_report(results, note=note, preferred=preferred))
    return place


def render_report(results: StudyResults, *, note: str = "", preferred: Preferred | None = None) -> str:
    """The report as HTML. Everything that a study, a Config or a log says is escaped."""
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=PackageLoader("autotuner.report"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sections = _sections(results, preferred)
    pairs = config_rows(results)
    drawn = {s.key: s.figure for s in sections if s.figure is not None}
    return environment.get_template("report.html.j2").render(
        study=results.study,
        status=results.standing.value,
        stop_reason=results.stop_reason,
        note=note,
        verdict=verdict(results),
        facts=facts(results),
        best_name=champion_name(results),
        pairs=pairs,
        has_worth=any(row.worth for row in pairs),
        worth_heading=WORTH,
        measured=[table for table in (measured_table(results), slo_table(results)) if table is not None],
        sections=sections,
        time_parts=time_parts(results),
        savings=savings_lines(results),
        failures=results.failures,
        table=trial_table(results),
        study_yaml=resolved_yaml(results.study, results.study_id),
        figures=_script_json(_with_shared_texts(drawn)),
        plotly=Markup(get_plotlyjs()),  # noqa: S704 — the library itself
    )


def _front_sections(results: StudyResults, marked: Marked) -> list[Section]:
    slo, gpus = results.study.slo, _gpus(results)
    points, has_slo = last_points(results), bool(slo.terms())
    unit = "GPU" if gpus else "server replica (this study used no GPU)"
    return [
        Section(
            "pareto-user",
            "Throughput against speed per user",
            f"Each mark is one load level of one trial. Up is cheaper: more tokens per second per {unit}; right is "
            "faster for each user. Dashed red lines are SLOs; what lies left of one is too slow.",
            pareto_figure(points, user_axes(slo), gpus=gpus, has_slo=has_slo, marked=marked),
        ),
        Section(
            "pareto-ttft",
            "Throughput against time to first token",
            "Up is more output tokens per second, left answers sooner. What lies right of a dashed red line waits "
            "longer than the SLO; thresholds of other statistics than p99 are drawn too, with their name.",
            pareto_figure(points, latency_axes(slo), gpus=gpus, has_slo=has_slo, marked=marked),
        ),
    ]


def _objective_sections(results: StudyResults, marked: Marked, preferred: Preferred | None) -> list[Section]:
    """Of a study of several objectives: the first two, and what to choose between them."""
    if len(results.objectives) < 2:
        return []
    first, second = results.objectives[:2]
    at_knee = results.pareto[results.pareto["knee"].astype(bool)].to_dict("records")
    spots = [Spot("knee", str(row["trial_id"]), float(row["level"]), "diamond-open", MEETS) for row in at_knee]
    caption = f"Each mark is one load level of one trial: {first.name} upwards, {second.name} to the right. " + (
        "At the knee any gain costs more than it brings."
        if spots
        else "The front has no knee: what is gained in one objective is lost in another at the same rate."
    )
    if preferred is not None:
        name = f"preferred by {weights_text(preferred.weights)}"
        spots.append(Spot(name, preferred.trial_id, preferred.level, "square-open", BEST))
        at = f"trial {preferred.trial_id} at {preferred.load_kind} {preferred.level:g}"
        caption += f" Preferred is {at}: {preferred.reason}."
    figure = pareto_figure(
        last_points(results),
        objective_axes(results.objectives, results.study.slo),
        gpus=_gpus(results),
        has_slo=bool(results.study.slo.terms()),
        marked=marked,
        spots=spots,
    )
    return [Section("pareto-objectives", "What to choose between", caption, figure)]


def _sections(results: StudyResults, preferred: Preferred | None) -> list[Section]:
    best = champion(results)
    marked = Marked(
        best=best.trial_id if best else None,
        default=results.baseline.trial_id if results.baseline else None,
        best_name=champion_name(results),
    )
    trials = scored_trials(results)
    found = _importance(results, trials)
    objective = f"{results.objective.name}, {_scored_over(results)}"
    names = [p.name for p in found.parameters] if found else []
    return [
        *_objective_sections(results, marked, preferred),
        *_front_sections(results, marked),
        Section(
            "confirmation",
            "Default against best",
            "After the search finalists and default were launched afresh, in turn. Left: each round. Right: best / "
            "default with its 95 % interval; the dashed line is no change.",
            confirmation_figure(
                confirmation_values(results),
                results.improvement,
                metric=_objective_label(results),
            ),
            "No confirmation round has ended: the best is what one measurement of each Config says.",
            tuple(t for t in (noise_table(results), references_table(results)) if t is not None),
        ),
        _rungs_section(results, trials, objective, marked),
        Section(
            "importance",
            "Which parameters mattered",
            _importance_caption(found),
            importance_figure(found) if found else None,
            f"Too few trials to say: {len(trials)} have a score, at least {FEWEST_TRIALS} that differ are needed.",
        ),
        Section(
            "parallel",
            "All trials over their parameters",
            "Each line is a feasible trial: grey the worst scores, blue the middle, green the best, thick the very "
            "best. Scores of stopped trials are those of their last rung. The most important parameters come first.",
            parallel_figure(ranked(trials), _parallel_order(names, trials), objective=results.objective.name),
            "It takes two feasible trials.",
        ),
        _telemetry_section(results, marked),
        Section(
            "time",
            "Where the time went",
            "The bar: all GPU time (core time, where no GPU was reserved) by what it was used for. Below it: seconds "
            "that each trial held its place, confirmations included.",
            time_figure(time_spent(results.all_records)),
        ),
    ]


def _rungs_section(results: StudyResults, trials: tuple[ScoredTrial, ...], objective: str, marked: Marked) -> Section:
    """A load search has one rung: what is drawn of it are its load points."""
    if isinstance(results.study.workload.load, FindMaxLoad):
        return Section(
            "load-search",
            "Every trial's search for the largest load",
            "Each trial begins at the load that the best so far bears, goes to twice as much while every SLO surely "
            "holds and to half as much while not, then between the two. The highest round mark is what it bears.",
            load_search_figure(trials, marked=marked),
        )
    return Section(
        "rungs",
        "Every trial, rung by rung",
        f"Each rung adds load on the same live server; the trial scheduler stops poor trials at one. "
        f"{'Lower' if results.objective.direction.value == 'min' else 'Higher'} is better.",
        rungs_figure(trials, rungs=rungs_of(results.study), objective=objective, marked=marked),
    )


def _telemetry_section(results: StudyResults, marked: Marked) -> Section:
    named = {marked.default: ("default", DEFAULT), marked.best: (marked.best_name, BEST)}
    trials = [
        ToldTrial(name, colour, trial_id, told_by_servers(results, trial_id))
        for trial_id, (name, colour) in named.items()
        if trial_id is not None
    ]
    return Section(
        "telemetry",
        "What the servers told",
        "Requests being computed and waiting, and the share of the KV cache in use, while the load points ran, one "
        "after another: each begins at a dashed line, with its load level at the head. A queue that never "
        "empties, or a full KV cache, is where more load is lost.",
        telemetry_figure(trials),
        "Nothing was told: the engine has no such page, or the study leaves it off.",
    )


def _scored_over(results: StudyResults) -> str:
    """What the score of any trial is of."""
    if results.objective.aggregate is Aggregate.BEST:
        return "best load level"
    return scope_text(None, levels(results.study.workload))


def _objective_label(results: StudyResults) -> str:
    scope = results.improvement.scope if results.improvement is not None else ""
    return metric_label(results, results.objective.column) + (f" ({scope})" if scope else "")


def _importance(results: StudyResults, trials: Sequence[ScoredTrial]) -> Importance | None:
    merits = [t.merit.told for t in trials]
    return importance([t.trial.config for t in trials], merits, seed=results.study.search.seed)


def _importance_caption(found: Importance | None) -> str:
    method = (
        "Permutation importance in a random forest fitted to the ranks of the trials' last scores; bars show ± one "
        "standard deviation over the permutations."
    )
    if found is None:
        return method
    doubt = " That is little: read the bars with care." if found.r2_oob < 0.3 else ""
    return (
        f"{method} Over {found.trials} trials the forest explains R² = {found.r2_oob:.2f} of the ranks it did not "
        f"see.{doubt} It shows what moved scores in the space that was searched, not causes."
    )


def _parallel_order(by_importance: Sequence[str], trials: Sequence[ScoredTrial]) -> list[str]:
    """Parameters that vary, the important ones first."""
    seen: dict[str, set[str]] = {}
    for trial in trials:
        for name in {n for t in trials[:1] for n in t.trial.config} | set(trial.trial.config):
            seen.setdefault(name, set()).add(repr(trial.trial.config.get(name)))
    varying = sorted(name for name, values in seen.items() if len(values) > 1)
    return [*by_importance, *(name for name in varying if name not in by_importance)]


def _gpus(results: StudyResults) -> int:
    return max((t.gpus for t in results.trial_records), default=0)


def _with_shared_texts(figures: Mapping[str, Figure]) -> dict[str, Any]:
    """Hover texts, of which many marks share one, as numbers into one list: a third of the page's data."""
    texts: dict[str, int] = {}

    def shared(trace: Mapping[str, Any]) -> dict[str, Any]:
        if "hovertext" not in trace:
            return dict(trace)
        return {**trace, "hovertext": [texts.setdefault(text, len(texts)) for text in trace["hovertext"]]}

    drawn = {key: {**figure, "data": [shared(t) for t in figure["data"]]} for key, figure in figures.items()}
    return {"figures": drawn, "texts": list(texts)}


def _script_json(value: Any) -> Markup:
    """JSON that can't end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    safe = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Markup(safe)  # noqa: S704 — no character of it can leave the element
