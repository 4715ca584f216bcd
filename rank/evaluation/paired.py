"""Which of two systems is ahead, and by how much: the same users are drawn for both, so what they share cancels. [O]

An interval beside each system's own figure says how far that figure would move with other users; two such intervals may
overlap though one system is better for nearly every user. The interval of the difference says that.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from prectr.rank.evaluation.protocol import Judged, exposed_measures, open_measures
from prectr.shared import metrics

COMPARED = {"exposed": ("auc", "gauc_page", "ndcg@10", "mrr", "logloss"), "open": ("ndcg@10", "auc", "excess_low@10")}
"""Measures of which more, or less, is better; calibration has its best in between."""

Scores = Mapping[str, np.ndarray]
Measures = dict[str, metrics.WeightedMetric]


def differences(
    judged: Mapping[str, Judged], ours: Scores, theirs: Scores, resamples: int, seed: int
) -> dict[str, Any]:
    """Ours minus theirs, of every measure that is compared.

    Args:
        judged: impressions by set: `test` and, where there are any, `open` and `new_users_N`.
        ours, theirs: P(click) [n] of each set.

    Returns:
        For `exposed`, `open` and `new_users` a mapping of measures (of new users: known pages) to `gap` and `ci95`, the
        paired interval over users; None where it is undefined.
    """

    def gaps(
        name: str, measures: Callable[[Judged, np.ndarray], Measures], compared: tuple[str, ...]
    ) -> dict[str, Any]:
        rows = judged[name]
        one, other = measures(rows, ours[name]), measures(rows, theirs[name])
        return {
            measure: _interval_of(rows, _gap(one[measure], other[measure]), resamples, seed)
            for measure in compared
            if measure in one
        }

    found: dict[str, Any] = {"exposed": gaps("test", exposed_measures, COMPARED["exposed"])}
    if "open" in judged:
        found["open"] = gaps("open", open_measures, COMPARED["open"])
    rungs = sorted(int(name.removeprefix("new_users_")) for name in judged if name.startswith("new_users_"))
    if rungs:
        found["new_users"] = {str(n): gaps(f"new_users_{n}", _auc, ("auc",))["auc"] for n in rungs}
    return found


def _auc(judged: Judged, score: np.ndarray) -> Measures:
    return {"auc": judged.weighted(metrics.auc_of_weights(judged.clicked, score))}


def _gap(one: metrics.WeightedMetric, other: metrics.WeightedMetric) -> metrics.WeightedMetric:
    def gap(weights: np.ndarray) -> float | None:
        ours, theirs = one(weights), other(weights)
        return None if ours is None or theirs is None else ours - theirs

    return gap


def _interval_of(judged: Judged, gap: metrics.WeightedMetric, resamples: int, seed: int) -> dict[str, Any]:
    interval = metrics.user_bootstrap(judged.user, gap, resamples=resamples, seed=seed)
    return {"gap": gap(np.ones(len(judged.clicked))), "ci95": None if interval is None else list(interval)}
