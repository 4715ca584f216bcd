"""What a judge of relevance is chosen by: how it orders the items of a query, and whether it knows what was never a
candidate.
"""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

from prectr.distill.pairs import Pairs
from prectr.shared.metrics import query_order, spearman


def order(pairs: Pairs, score: np.ndarray, random_score: np.ndarray) -> float:
    """Mean Spearman within the queries of `pairs`, in [-1, 1], plus how often a graded pair scores above one with a
    random item, in [0, 1]: their sum, since a judge that is good at one and bad at the other teaches the bad one too
    [O]. Where no query has two levels the first is of all pairs; where there are no random pairs the second is left
    out.

    Args:
        pairs: n with gold levels. score: [n], more is better. random_score: [m], of pairs with random items.
    """
    found = query_order(pairs.query, pairs.level, score, random_score)
    within = found["within_query_spearman"]
    within = (spearman(pairs.level, score) or 0.0) if within is None else within
    return within + (found["auc_random"] or 0.0)


def expected_level(level_prob: np.ndarray) -> np.ndarray:
    """[n, K] -> [n]: what a judge of levels orders items by."""
    return level_prob @ np.arange(level_prob.shape[1])


def expected_of_logits(logits: np.ndarray) -> np.ndarray:
    """[n, K] logits -> [n] expected levels."""
    return expected_level(softmax(np.asarray(logits, np.float64), axis=1))
