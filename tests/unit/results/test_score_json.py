"""Scores as they are kept: interval and unsure terms come back, and scores from before there were any are read."""

from __future__ import annotations

import dataclasses
import json

from autotuner.results.storage.score_json import decode_score, encode_score
from autotuner.scoring import Score
from tests.scores import made_score


def kept(score: Score) -> Score:
    return decode_score(json.loads(json.dumps(encode_score(score))))


def test_what_a_point_is_sure_of_is_kept() -> None:
    score = made_score(5.0, "throughput")
    point = dataclasses.replace(score.points[0], interval=(4.0, 6.0), unsure=("ttft_p90_ms",))
    score = dataclasses.replace(score, points=(point,))
    assert kept(score) == score
    assert kept(score).points == (point,)


def test_of_an_earlier_score_it_is_not_known() -> None:
    data = encode_score(made_score(5.0, "throughput"))
    for point in data["points"]:
        del point["interval"], point["unsure"]
    (found,) = decode_score(data).points
    assert (found.interval, found.unsure) == (None, ())
