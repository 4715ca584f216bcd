"""The evaluation protocol: how any ranker's scores are judged, whoever made them.

Four sets, all from test weeks: `exposed` (pages as shown), `open` (all candidates on sale, shown or not), `new_users`
(held-out users, their history cut to the last n pages) and slices of the exposed pages. Intervals are 95 %
percentiles of a bootstrap over users.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prectr.data.contract import has_table, read_table
from prectr.shared import metrics

LOW_LEVEL = 1  # levels up to this one count as irrelevant in `excess_low@10`

CROSS_SLICES = ("cross-user: same query", "cross-user: category", "cross-user: none")
"""The slices by how far cross-user events had to back off: to the query's category, or to nothing."""


@dataclass
class Judged:
    """What judging needs of a set of n impressions, beside a system's scores; every array is [n]."""

    clicked: np.ndarray
    page: np.ndarray
    user: np.ndarray
    gold_level: np.ndarray | None = None  # the evaluator's own; only `open` needs it
    weight: np.ndarray | None = None  # how much each impression counts in AUC, logloss, PCOC and ECE; None: all alike
    known: np.ndarray | None = None  # whether its user is known (see `users_of`); None: all are

    def weighted(self, metric: metrics.WeightedMetric) -> metrics.WeightedMetric:
        """The metric of impressions that count by their weight, beside how often each was drawn."""
        weight = self.weight
        return metric if weight is None else lambda drawn: metric(drawn * weight)

    def where(self, mask: np.ndarray) -> "Judged":
        """The impressions of a mask [n], without their gold level."""
        weight, known = (None if part is None else part[mask] for part in (self.weight, self.known))
        return Judged(self.clicked[mask], self.page[mask], self.user[mask], weight=weight, known=known)

    @property
    def known_users(self) -> np.ndarray:
        return np.ones(len(self.user), bool) if self.known is None else self.known

    def counts(self) -> dict[str, int]:
        return {
            "pages": len(np.unique(self.page)),
            "users": len(np.unique(self.user[self.known_users])),
            "impressions": len(self.page),
            "clicks": int(self.clicked.sum()),
        }


def users_of(user_id: pa.ChunkedArray, page_id: pa.ChunkedArray) -> np.ndarray:
    """Who stands or falls together in a bootstrap: [n] the user of an impression or, of an anonymous one, its page."""
    page = pc.binary_join_element_wise("\0page", page_id.cast(pa.string()), " ")
    return pc.coalesce(user_id, page).to_numpy(zero_copy_only=False)


def _interval(judged: Judged, metric: metrics.WeightedMetric, resamples: int, seed: int) -> list[float] | None:
    bounds = metrics.user_bootstrap(judged.user, metric, resamples=resamples, seed=seed)
    return None if bounds is None else list(bounds)


def exposed_measures(judged: Judged, probability: np.ndarray) -> dict[str, metrics.WeightedMetric]:
    """What is bootstrapped of pages as shown, by its name in `judge_exposed`."""
    clicked, known = judged.clicked, judged.known_users
    gauc_of_users = metrics.gauc_of_weights(clicked[known], probability[known], judged.user[known])

    def mean_loss(weights: np.ndarray) -> float | None:
        return metrics.logloss(clicked, probability, weights)

    def calibration(weights: np.ndarray) -> float | None:
        return metrics.pcoc(clicked, probability, weights)

    return {
        "auc": judged.weighted(metrics.auc_of_weights(clicked, probability)),
        "gauc_page": metrics.gauc_of_weights(clicked, probability, judged.page),
        "gauc_user": lambda weights: gauc_of_users(weights[known]),
        "ndcg@10": metrics.ndcg_at_k_of_weights(judged.page, probability, clicked),
        "mrr": metrics.mrr_of_weights(judged.page, probability, clicked),
        "logloss": judged.weighted(mean_loss),
        "pcoc": judged.weighted(calibration),
    }


def open_measures(judged: Judged, score: np.ndarray) -> dict[str, metrics.WeightedMetric]:
    """What is bootstrapped of open candidates, by its name in `judge_open`."""
    found = {
        "ndcg@10": metrics.ndcg_at_k_of_weights(judged.page, score, judged.clicked),
        "auc": metrics.auc_of_weights(judged.clicked, score),
    }
    if judged.gold_level is not None:
        low = metrics.excess_low_at_k_of_weights(judged.page, score, judged.gold_level, LOW_LEVEL)
        found["excess_low@10"] = low
    return found


def judge_exposed(judged: Judged, probability: np.ndarray, resamples: int, seed: int) -> dict[str, Any]:
    """Ranking and calibration on pages as the old policy showed them; `probability` [n] is P(click).

    Weights of impressions count in all but GAUC, NDCG and MRR, which rank within a page or user; of anonymous users
    there is no GAUC. NDCG and MRR are those of pages with a click.
    """
    clicked = judged.clicked
    gauc_page, page_coverage = metrics.gauc(clicked, probability, judged.page)
    known = judged.known_users
    gauc_user, user_coverage = metrics.gauc(clicked[known], probability[known], judged.user[known])
    bootstrapped = exposed_measures(judged, probability)
    every_row = np.ones(len(clicked))
    return {
        "auc": metrics.auc(clicked, probability, judged.weight),
        "gauc_page": gauc_page,
        "gauc_user": gauc_user,
        "ndcg@10": bootstrapped["ndcg@10"](every_row),
        "mrr": bootstrapped["mrr"](every_row),
        "logloss": metrics.logloss(clicked, probability, judged.weight),
        "pcoc": metrics.pcoc(clicked, probability, judged.weight),
        "ece": metrics.ece(clicked, probability, judged.weight),
        "n": judged.counts(),
        "ci95": {name: _interval(judged, metric, resamples, seed) for name, metric in bootstrapped.items()},
        "coverage": {"gauc_page": page_coverage, "gauc_user": user_coverage * float(known.mean())},
    }


def judge_open(judged: Judged, score: np.ndarray, resamples: int, seed: int) -> dict[str, Any]:
    """Ranking among everything on sale: positives are in-need purchases, shown or not; `score` [n] any number.

    `excess_low@10` is None where gold levels do not say how low a candidate is.
    """
    bootstrapped = open_measures(judged, score)
    every_row = np.ones(len(score))
    figures = {name: metric(every_row) for name, metric in bootstrapped.items()}
    intervals = {name: _interval(judged, metric, resamples, seed) for name, metric in bootstrapped.items()}
    return {"excess_low@10": None, **figures, "n": judged.counts(), "ci95": {"excess_low@10": None, **intervals}}


def judge_new_users(
    judged: Judged, probability: Mapping[int, np.ndarray], resamples: int, seed: int
) -> dict[str, dict[str, Any]]:
    """The ladder: AUC on the same pages of new users, per number of past pages their history was cut to."""
    return {
        "new_users": {str(n): metrics.auc(judged.clicked, p, judged.weight) for n, p in probability.items()},
        "new_users_ci95": {
            str(n): _interval(judged, judged.weighted(metrics.auc_of_weights(judged.clicked, p)), resamples, seed)
            for n, p in probability.items()
        },
        "new_users_n": judged.counts(),
    }


def judge_slices(
    judged: Judged, probability: np.ndarray, slices: Mapping[str, np.ndarray], resamples: int, seed: int
) -> dict[str, Any]:
    """AUC, PCOC and size of each named part of the exposed impressions; `slices` maps a name to a mask [n]."""
    result = {}
    for name, mask in slices.items():
        part = judged.where(mask)
        result[name] = {
            "auc": metrics.auc(part.clicked, probability[mask], part.weight),
            "gauc_page": metrics.gauc(part.clicked, probability[mask], part.page)[0],
            "pcoc": metrics.pcoc(part.clicked, probability[mask], part.weight),
            "n": part.counts(),
            "ci95": {
                "auc": _interval(
                    part, part.weighted(metrics.auc_of_weights(part.clicked, probability[mask])), resamples, seed
                )
            },
        }
    return result


def exposed_slices(
    query: np.ndarray,
    training_queries: np.ndarray,
    seen_query: np.ndarray | None,
    has_gold: np.ndarray | None,
    cross_depth: np.ndarray,
) -> dict[str, np.ndarray]:
    """Masks [n] of the slices that every report shows.

    Args:
        query: [n] query of each impression. training_queries: [m] query of each training impression, for head (the
            queries with half of the training impressions), torso (the next 40 %) and tail (the rest and unseen ones).
        seen_query, has_gold: [n] bool, or None where the data set does not say.
        cross_depth: [n], how far cross-user events had to back off.
    """
    names, counts = np.unique(training_queries, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    share = dict(zip(names[order], before / max(counts.sum(), 1), strict=True))
    place = np.array([share.get(q, 1.0) for q in query])
    slices = {
        "query head": place < 0.5,
        "query torso": (place >= 0.5) & (place < 0.9),
        "query tail": place >= 0.9,
    }
    if seen_query is not None:
        slices |= {"query seen": seen_query, "query unseen": ~seen_query}
    if has_gold is not None:
        slices |= {"type with gold labels": has_gold, "type without gold labels": ~has_gold}
    slices |= {name: cross_depth == depth for depth, name in enumerate(CROSS_SLICES)}
    return {name: mask for name, mask in slices.items() if mask.any()}


def gold_levels(impressions: pa.Table, data: Path) -> np.ndarray:
    """The gold level of each impression's query and item, -1 where there is none: int64 [n]."""
    if not has_table(data, "gold"):
        return np.full(len(impressions), -1)
    rows = impressions.select(["query", "item_id"]).append_column("row", pa.array(np.arange(len(impressions))))
    joined = rows.join(read_table(data, "gold"), ["query", "item_id"], join_type="left outer").sort_by("row")
    return pc.fill_null(joined["level"], -1).to_numpy().astype(np.int64)
