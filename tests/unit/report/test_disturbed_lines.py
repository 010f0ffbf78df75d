"""What others had a part in, in the words of report and terminal."""

from __future__ import annotations

from dataclasses import replace

from autotuner.report.facts.verdict import verdict
from tests.known_results import Known

FIGURES = {1.0: {"ttft_p90_ms": 50.0}, 2.0: {"ttft_p90_ms": 70.0}}


def study(*disturbed: tuple[str, ...]) -> Known:
    """Trials of two load levels each, with what disturbed each of them."""
    known = Known({"objective": "ttft_p90"})
    for number, reasons in enumerate(disturbed):
        known.trial(f"{number:04d}", FIGURES)
        (rung,) = known.rungs[f"{number:04d}"]
        marked = tuple(replace(m, disturbed=why) for m, why in zip(rung.measurements, reasons, strict=True))
        known.rungs[f"{number:04d}"] = (replace(rung, measurements=marked),)
    return known


def lines(known: Known) -> list[str]:
    return [line for line in verdict(known.results()).details if "disturbed" in line]


def test_the_verdict_says_how_much_was_disturbed_and_by_what() -> None:
    assert lines(study(("", ""), ("", ""))) == []
    assert lines(study(("", ""), ("", "others spin"))) == [
        "1 of 4 load points was disturbed, and the searcher was not told of trial 0001: in trial 0001 at concurrency 2 "
        "others spin. Such figures are too low or too slow: let the machine do less beside the study."
    ]
    (line,) = lines(study(("others spin", "others ask"), ("", "others spin")))
    assert line.startswith(
        "3 of 4 load points were disturbed, and the searcher was not told of 2 trials that rest on them"
    )
