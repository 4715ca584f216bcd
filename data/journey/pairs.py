"""Chooses the (query, item) pairs for stage one: the few with gold levels, and many for the teacher to label.

A judged query has about one item of each level: what fits, what differs in a facet or is a substitute, a near miss of
the same category, and something else. Near misses are items whose text looks like the query.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from prectr.data.journey.draws import uniform
from prectr.data.journey.needs import Needs
from prectr.data.journey.pages import NOTHING, Pages
from prectr.data.journey.searches import Households, Searches
from prectr.data.splits import FIRST_VALIDATION, RELATED, SUBSTITUTE

_VALIDATION_WORDINGS = 0.15
"""Share of the wordings seen in training whose gold pairs are for validation, not for training."""

_NEAR_MISSES = 6
_BLOCK = 1024


@dataclass(frozen=True)
class PairCounts:
    """Pairs wanted in each split; fewer are made where the needs run out."""

    train: int
    validation: int
    test: int
    test_types: int
    unlabelled: int


@dataclass(frozen=True)
class Pairs:
    """Codes, one per pair."""

    query: np.ndarray
    item: np.ndarray
    split: np.ndarray


def make_pairs(
    searches: Searches, pages: Pages, households: Households, needs: Needs, counts: PairCounts, seed: int
) -> Pairs:
    """All splits of `pairs`; no held-out wording, week or household enters train, validation or unlabelled."""
    in_training = (searches.week < FIRST_VALIDATION) & ~households.held_out[searches.user]
    training = np.unique(searches.query[in_training])
    everything = np.arange(len(needs.queries))
    held_out = needs.held_out(everything)
    gold = needs.has_gold[needs.queries.need]
    all_unknown = ~(needs.fits & ~needs.kind_without_gold).any(1)[needs.queries.need]
    is_validation = uniform(seed, "validation wordings", needs.queries.wording) < _VALIDATION_WORDINGS

    finder = _CandidateFinder(needs, seed)
    known_item = ~needs.kind_without_gold[needs.catalogue.kind.of]
    any_item = np.ones(len(known_item), bool)
    plans: list[tuple[str, int, np.ndarray, np.ndarray]] = [
        ("train", counts.train, training[gold[training] & ~is_validation[training]], known_item),
        ("validation", counts.validation, training[gold[training] & is_validation[training]], known_item),
        ("test", counts.test, everything[gold & held_out], known_item),
        ("test_types", counts.test_types, everything[all_unknown], any_item),
    ]
    parts = [
        Pairs(*_judged(split, count, queries, items, needs, finder, seed)) for split, count, queries, items in plans
    ]
    shown = np.unique(_shown_pairs(searches, pages, in_training), axis=0)
    parts.append(Pairs(*_unlabelled(counts.unlabelled, training, shown, needs, finder, seed)))
    return Pairs(*(np.concatenate([getattr(part, name) for part in parts]) for name in Pairs.__dataclass_fields__))


def _judged(
    split: str,
    count: int,
    queries: np.ndarray,
    item_allowed: np.ndarray,
    needs: Needs,
    finder: _CandidateFinder,
    seed: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One pair of each level for as many queries as `count` takes, all needs in turn."""
    queries = _needs_in_turn(queries, needs, seed)[: count // 2]
    query, item = finder.candidates(queries, ("need", "substitute", "related", "near", "any"), split)
    query, item = query[item_allowed[item]], item[item_allowed[item]]
    level = needs.levels(query, item)
    place = np.empty(len(needs.queries), np.int64)
    place[queries] = np.arange(len(queries))
    order = np.lexsort((uniform(seed, f"judged {split}", query, item), level, place[query]))
    query, item, level = query[order], item[order], level[order]
    first = np.append(True, (query[1:] != query[:-1]) | (level[1:] != level[:-1]))[: len(query)]
    query, item = query[first][:count], item[first][:count]
    return query, item, np.full(len(query), split)


def _unlabelled(
    count: int, queries: np.ndarray, shown: np.ndarray, needs: Needs, finder: _CandidateFinder, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Half from pages shown in training weeks; the rest lexical near misses, same category, same need, and anything."""
    queries = _needs_in_turn(queries, needs, seed)
    chosen = []
    for source, share in (("near", 0.2), ("related", 0.12), ("need", 0.08), ("any", 0.1)):
        pairs = np.stack(finder.candidates(queries, (source,), "unlabelled"), 1)
        order = np.argsort(uniform(seed, f"unlabelled {source}", pairs[:, 0], pairs[:, 1]), kind="stable")
        chosen.append(pairs[order[: round(share * count)]])
    chosen.append(shown[np.argsort(uniform(seed, "unlabelled shown", shown[:, 0], shown[:, 1]), kind="stable")])
    pairs = np.concatenate(chosen)
    pairs = pairs[np.sort(np.unique(pairs, axis=0, return_index=True)[1])][:count]
    return pairs[:, 0], pairs[:, 1], np.full(len(pairs), "unlabelled")


def _shown_pairs(searches: Searches, pages: Pages, rows: np.ndarray) -> np.ndarray:
    chosen = np.flatnonzero(rows)
    row, position = np.nonzero(pages.item[chosen] != NOTHING)
    return np.stack([searches.query[chosen[row]], pages.item[chosen[row], position]], 1)


def _needs_in_turn(queries: np.ndarray, needs: Needs, seed: int) -> np.ndarray:
    """The queries in an order that asks every need once, then every need a second time, and so on."""
    need, draw = needs.queries.need[queries], uniform(seed, "order of queries", queries)
    order = np.lexsort((draw, need))
    turn = np.arange(len(need)) - np.searchsorted(need[order], need[order])
    return queries[order[np.lexsort((draw[order], turn))]]


class _CandidateFinder:
    """Draws items for queries, from the need, its substitutes, its category, by looks, or from anywhere."""

    _DRAWS = {"need": 16, "substitute": 2, "related": 3, "any": 3}

    def __init__(self, needs: Needs, seed: int):
        self.needs, self.seed = needs, seed
        kind_of_item = needs.catalogue.kind.of
        masks = {"need": needs.fits, "substitute": (needs.level == SUBSTITUTE), "related": (needs.level == RELATED)}
        self._lists = {source: _item_lists(mask[:, kind_of_item]) for source, mask in masks.items()}
        texts, self._text_of_item = np.unique(needs.catalogue.text.astype(str), return_inverse=True)
        self._vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4), sublinear_tf=True, dtype=np.float32)
        self._text_vectors = self._vectorizer.fit_transform(texts)

    def candidates(self, queries: np.ndarray, sources: tuple[str, ...], name: str) -> tuple[np.ndarray, np.ndarray]:
        """Distinct (query, item) pairs of the sources asked for."""
        find: dict[str, Callable[[np.ndarray, str], np.ndarray]] = {"near": self._near, "any": self._any}
        found = []
        for source in sources:
            items = find[source](queries, name) if source in find else self._listed(source, queries, name)
            found.append(np.stack([np.repeat(queries, items.shape[1]), items.ravel()], 1))
        pairs = np.unique(np.concatenate(found), axis=0)
        pairs = pairs[pairs[:, 1] != NOTHING]
        return pairs[:, 0], pairs[:, 1]

    def _listed(self, source: str, queries: np.ndarray, name: str) -> np.ndarray:
        start, items = self._lists[source]
        need = self.needs.queries.need[queries]
        count = start[need + 1] - start[need]
        draws = uniform(self.seed, f"{name} {source}", queries[:, None], np.arange(self._DRAWS[source]))
        place = start[need][:, None] + (draws * count[:, None]).astype(np.int64)
        return np.where(count[:, None] > 0, items[place.clip(max=len(items) - 1)], NOTHING)

    def _any(self, queries: np.ndarray, name: str) -> np.ndarray:
        draws = uniform(self.seed, f"{name} any", queries[:, None], np.arange(self._DRAWS["any"]))
        return (draws * len(self.needs.catalogue)).astype(np.int64)

    def _near(self, queries: np.ndarray, name: str) -> np.ndarray:
        """For each query one item of each of the texts most like it (char n-gram TF-IDF)."""
        vectors = self._vectorizer.transform(self.needs.queries.text[queries])
        members = np.argsort(self._text_of_item, kind="stable")
        start = np.searchsorted(self._text_of_item[members], np.arange(self._text_vectors.shape[0] + 1))
        found = []
        for first in range(0, len(queries), _BLOCK):
            likeness = (vectors[first : first + _BLOCK] @ self._text_vectors.T).toarray()
            text = np.argpartition(-likeness, _NEAR_MISSES, axis=1)[:, :_NEAR_MISSES]
            draws = uniform(self.seed, f"{name} near", queries[first : first + _BLOCK, None], text)
            found.append(members[start[text] + (draws * (start[text + 1] - start[text])).astype(np.int64)])
        return np.concatenate(found)


def _item_lists(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Offsets [needs + 1] and item codes of a bool [needs, items], padded so that an empty list can be addressed."""
    need, item = np.nonzero(mask)
    return np.searchsorted(need, np.arange(len(mask) + 1)), np.append(item, 0)
