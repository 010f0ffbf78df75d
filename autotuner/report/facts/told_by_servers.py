"""What the servers of one trial told while they were pressed, from the study's folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from autotuner.metrics.load_level import LoadLevel
from autotuner.metrics.telemetry import TelemetrySample
from autotuner.results.result import StudyResults
from autotuner.results.storage.telemetry_file import read_telemetry, telemetry_file_name


@dataclass(frozen=True)
class ToldSpan:
    """One run of a load point. ``start_s`` counts from the trial's first one, each laid at the end of the one before.

    Samples are on the run's own clock, those in it alone.
    """

    rung: int
    level: LoadLevel
    start_s: float
    length_s: float
    samples: tuple[TelemetrySample, ...]


def told_by_servers(results: StudyResults, trial_id: str) -> tuple[ToldSpan, ...]:
    """Every sampled load point of the trial's ended rungs, in order; empty where nobody asked."""
    return tuple(_spans(results, trial_id))


def _spans(results: StudyResults, trial_id: str) -> Iterator[ToldSpan]:
    start_s = 0.0
    for record in results.rung_records.get(trial_id, ()):
        for run in read_telemetry(results.folder.telemetry / telemetry_file_name(trial_id, record.rung)):
            samples = tuple(sample for sample in run.telemetry.samples if 0 <= sample.at_s <= run.length_s)
            yield ToldSpan(record.rung, run.level, start_s, run.length_s, samples)
            start_s += run.length_s
