"""What irrelevant means: queries with items drawn at random, as pairs of the lowest level.

Graded pairs were all candidates once: a search had found them, or a person thought them worth grading. A judge taught
on them alone never sees a lamp offered for milk, and says of such a pair whatever it likes [O, measured: DESIGN §10].
That the lowest level means irrelevant is the contract of the table `pairs` (data/README.md); where it means something
better, set `unrelated_share` 0.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

from prectr.distill.pairs import Pairs, concatenate
from prectr.shared.seeds import generator

LIKE_QUERY, LIKE_RELEVANT = 0.1, 0.2
"""Cosines of character 3-5-grams from which an item may be relevant: with the query, and with an item of the query's
upper levels. Of random pairs of the default data 1.4 % are of a level above the lowest; of those below both bounds
.05 %, and they are 96 % [O, measured]. Of the pairs that people gave the top level the check would let pass 1.5 % on
Home Depot and 2.6 % in an electronics shop, of random ones it draws 3 % and 6 % anew.
"""

ATTEMPTS = 5
"""Draws for a pair; one whose items are too like each time is left out."""

COMPARED_AT_ONCE = 4096
"""Pairs whose items are compared with all relevant ones of their queries together; bounds the memory."""


def draw_unrelated(gold: Pairs, size: int, num_levels: int, seed: int) -> Pairs:
    """`size` distinct pairs (or fewer) of a query of `gold` and an item text of `gold`, of level 0.

    A query comes as often as it has gold pairs. None is a pair of `gold`, and an item that is like the query or its
    relevant items (level in the upper half of `num_levels`) is drawn anew.

    Args:
        gold: the training split's pairs; no other text is seen.
    """
    if not len(gold) or size <= 0:
        return gold.take(np.array([], int))
    shop = _Likeness(gold, num_levels)
    found: dict[tuple[int, int], None] = {}
    for number in range(2 * -(-size // len(gold))):
        draws = generator(seed, "unrelated", number)
        query = shop.query_of[draws.permutation(len(gold))]
        drawn = draws.integers(len(shop.texts), size=(ATTEMPTS, len(gold)))
        query, drawn = query[: size - len(found)], drawn[:, : size - len(found)]
        chosen = np.full(len(query), -1)
        for text in drawn:
            missing = np.flatnonzero(chosen < 0)
            fits = missing[~shop.may_be_relevant(query[missing], text[missing])]
            chosen[fits] = text[fits]
        found |= dict.fromkeys(pair for pair in zip(query.tolist(), chosen.tolist(), strict=True) if pair[1] >= 0)
        if len(found) == size:
            break
    pairs = np.array(list(found), np.int64).reshape(-1, 2)
    return Pairs(shop.queries[pairs[:, 0]], shop.texts[pairs[:, 1]], np.zeros(len(pairs), np.int64))


def with_unrelated(gold: Pairs, unrelated: Pairs, share: float, budget: int | None = None) -> Pairs:
    """`gold` and behind it as many of `unrelated` as make `share` of the whole; with a `budget` the first of both, so
    many pairs together.
    """
    share = share if len(unrelated) else 0.0
    if budget is not None:
        gold = gold.take(np.arange(min(len(gold), round(budget * (1 - share)))))
    return concatenate([gold, unrelated.take(np.arange(min(len(unrelated), how_many(len(gold), share))))])


def how_many(num_gold: int, share: float) -> int:
    """Unrelated pairs that are `share` of all, in [0, 1), beside so many of gold."""
    return round(num_gold * share / (1 - share))


class _Likeness:
    """Queries and item texts of `gold`, by number, and which may belong together."""

    def __init__(self, gold: Pairs, num_levels: int) -> None:
        self.queries, self.query_of = np.unique(gold.query, return_inverse=True)
        self.texts, text_of = np.unique(gold.item_text, return_inverse=True)
        self.graded = self.query_of * len(self.texts) + text_of
        hashing = HashingVectorizer(
            analyzer="char_wb", ngram_range=(3, 5), n_features=1 << 18, alternate_sign=False, norm=None
        )
        weigh = TfidfTransformer(sublinear_tf=True)
        self.text_vectors = csr_array(weigh.fit_transform(hashing.transform(self.texts)), dtype=np.float32)
        self.query_vectors = csr_array(weigh.transform(hashing.transform(self.queries)), dtype=np.float32)
        upper = gold.level >= num_levels / 2
        order = np.argsort(self.query_of[upper], kind="stable")
        self.relevant = text_of[upper][order]
        self.start = np.searchsorted(self.query_of[upper][order], np.arange(len(self.queries) + 1))

    def may_be_relevant(self, query: np.ndarray, text: np.ndarray) -> np.ndarray:
        """Pairs [n], by number -> bool [n]."""
        starts = range(0, len(query), COMPARED_AT_ONCE)
        parts = [self._may_be_relevant(*(part[at : at + COMPARED_AT_ONCE] for part in (query, text))) for at in starts]
        return np.concatenate([np.zeros(0, bool), *parts])

    def _may_be_relevant(self, query: np.ndarray, text: np.ndarray) -> np.ndarray:
        first, counts = self.start[query], self.start[query + 1] - self.start[query]
        row = np.repeat(np.arange(len(query)), counts)
        relevant = self.relevant[np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts - first, counts)]
        nearest = np.zeros(len(query))
        np.maximum.at(nearest, row, _cosines(self.text_vectors[text[row]], self.text_vectors[relevant]))
        with_query = _cosines(self.query_vectors[query], self.text_vectors[text])
        is_graded = np.isin(query * len(self.texts) + text, self.graded)
        return (with_query >= LIKE_QUERY) | (nearest >= LIKE_RELEVANT) | is_graded


def _cosines(left: csr_array, right: csr_array) -> np.ndarray:
    return np.asarray(left.multiply(right).sum(1)).ravel()
