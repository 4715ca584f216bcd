"""What a judge of relevance is chosen by: how it orders the items of a query, and whether it knows what is relevant
from what was never a candidate.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import softmax

from prectr.distill.pairs import Pairs
from prectr.shared.metrics import auc_of_weights, query_order, spearman, user_bootstrap, within_query_spearman


def order(pairs: Pairs, score: np.ndarray, random_score: np.ndarray) -> float:
    """Mean Spearman within the queries of `pairs`, in [-1, 1], plus how often a pair of a level above 0 scores above a
    pair with a random item, in [0, 1]: their sum, since a judge that is good at one and bad at the other teaches the
    bad one too [O]. Graded pairs of level 0 are left out of the second: who says the same of them and of random pairs
    is right, and the more of them there are, the more it would cost to know. Where no query has two levels the first is
    of all pairs; where there are no random pairs, or none above level 0, the second is left out.

    Args:
        pairs: n with gold levels. score: [n], more is better. random_score: [m], of pairs with random items.
    """
    found = query_order(pairs.query, pairs.level, score, random_score)
    within = found["within_query_spearman"]
    within = (spearman(pairs.level, score) or 0.0) if within is None else within
    return within + (found["auc_relevant_random"] or 0.0)


def leads(
    graded: Pairs,
    random_query: np.ndarray,
    first: tuple[np.ndarray, np.ndarray],
    second: tuple[np.ndarray, np.ndarray],
    seed: int,
) -> bool:
    """Whether the `order` of one judge is higher than another's by more than chance: the 95 % interval of the
    difference, whole queries drawn with replacement, is above 0. Of fewer queries than an interval needs: whether it is
    higher.

    Args:
        graded: n pairs with gold levels. random_query: [m] of the pairs with random items.
        first, second: each judge's scores, [n] and [m].
    """
    orders = [_order_of_weights(graded, np.concatenate(scores)) for scores in (first, second)]

    def lead(weights: np.ndarray) -> float:
        one, other = (order_of(weights) for order_of in orders)
        return one - other

    queries = np.concatenate([graded.query, random_query])
    interval = user_bootstrap(queries, lead, seed=seed)
    return (lead(np.ones(len(queries))) if interval is None else interval[0]) > 0


def _order_of_weights(graded: Pairs, scores: np.ndarray) -> Callable[[np.ndarray], float]:
    """`order` of scores [n + m] as a function of how often each pair's query was drawn [n + m]."""
    relevant = np.flatnonzero(graded.level > 0)
    told_apart = np.append(relevant, np.arange(len(graded), len(scores)))
    queries, first, row_query = np.unique(graded.query, return_index=True, return_inverse=True)
    within = np.full(len(queries), np.nan)
    for query in range(len(queries)):
        rows = np.flatnonzero(row_query == query)
        value = within_query_spearman(row_query[rows], graded.level[rows], scores[rows])
        within[query] = np.nan if value is None else value
    ordered = np.flatnonzero(np.isfinite(within))
    said = scores[: len(graded)]
    above_random = auc_of_weights(np.arange(len(told_apart)) < len(relevant), scores[told_apart])

    def order_of(weights: np.ndarray) -> float:
        if len(ordered):
            drawn = weights[first[ordered]]
            mean = float(drawn @ within[ordered] / drawn.sum()) if drawn.sum() else 0.0
        else:
            rows = np.repeat(np.arange(len(graded)), weights[: len(graded)].astype(int))
            mean = spearman(graded.level[rows], said[rows]) or 0.0
        return mean + (above_random(weights[told_apart]) or 0.0)

    return order_of


def expected_level(level_prob: np.ndarray) -> np.ndarray:
    """[n, K] -> [n]: what a judge of levels orders items by."""
    return level_prob @ np.arange(level_prob.shape[1])


def expected_of_logits(logits: np.ndarray) -> np.ndarray:
    """[n, K] logits -> [n] expected levels."""
    return expected_level(softmax(np.asarray(logits, np.float64), axis=1))
