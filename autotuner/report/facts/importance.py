"""Importance: how much each parameter moved the score of this study's trials.

A random forest is fitted to the *ranks* of the scores (an SLO penalty is exponential: on the scores themselves the
worst trials would decide alone); a parameter's importance is the drop of R² when its column is permuted (Breiman,
"Random forests", Machine Learning 45 (2001)), as a share of all drops.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autotuner.report.text import is_finite_number

FEWEST_TRIALS = 8
_TREES = 200
_REPEATS = 10


@dataclass(frozen=True)
class ParameterImportance:
    """``share`` of all drops, 0 to 1, with its standard deviation over the permutations."""

    name: str
    share: float
    deviation: float


@dataclass(frozen=True)
class Importance:
    """``r2_oob`` is the forest's R² on trials that a tree did not see: how far to trust the shares."""

    trials: int
    r2_oob: float
    parameters: tuple[ParameterImportance, ...]


def importance(configs: Sequence[Mapping[str, Any]], scores: Sequence[float], *, seed: int = 0) -> Importance | None:
    """Most important first; ``None`` with fewer than ``FEWEST_TRIALS`` trials, or nothing that varies."""
    names = sorted({name for config in configs for name in config})
    columns = {name: _encode([config.get(name, _ABSENT) for config in configs]) for name in names}
    varying = [name for name in names if len(np.unique(columns[name])) > 1]
    if len(configs) < FEWEST_TRIALS or not varying or len(set(scores)) < 2:
        return None
    from scipy.stats import rankdata
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    matrix = np.column_stack([columns[name] for name in varying])
    ranks = rankdata(np.asarray(scores, dtype=np.float64))
    forest = RandomForestRegressor(_TREES, min_samples_leaf=2, oob_score=True, random_state=seed).fit(matrix, ranks)
    drops = permutation_importance(forest, matrix, ranks, n_repeats=_REPEATS, random_state=seed)
    total = float(np.clip(drops.importances_mean, 0, None).sum()) or 1.0
    found = [
        ParameterImportance(name, max(0.0, float(mean)) / total, float(deviation) / total)
        for name, mean, deviation in zip(varying, drops.importances_mean, drops.importances_std, strict=True)
    ]
    found.sort(key=lambda p: (-p.share, p.name))
    return Importance(len(configs), float(forest.oob_score_), tuple(found))


_ABSENT = object()


def _encode(values: Sequence[Any]) -> NDArray[np.float64]:
    """Numbers as they are; all else, and a mix, by the order of its text. Absent is below all."""
    present = [v for v in values if v is not _ABSENT]
    if all(is_finite_number(v) for v in present):
        below = min(present) - 1 if present else 0
        return np.array([below if v is _ABSENT else float(v) for v in values], dtype=np.float64)
    texts = ["" if v is _ABSENT else "=" + json.dumps(v, sort_keys=True, default=str) for v in values]
    order = {text: i for i, text in enumerate(sorted(set(texts)))}
    return np.array([order[text] for text in texts], dtype=np.float64)
