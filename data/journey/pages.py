"""What the shop shows: the pages of a production-like search engine [reconstructed]. Its policy *is* the exposure bias.

Candidates are what was on sale in the weeks before: the need's categories, its substitutes, and a few others. They are
ranked by what the engine believes of their relevance (gold level through a confusion matrix), their popularity at that
store, and noise. Bought products are never forced onto a page: position alone would then predict clicks [O].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from prectr.data.journey.draws import gumbel, uniform
from prectr.data.journey.needs import Needs
from prectr.data.journey.raw import Purchases
from prectr.data.journey.searches import FIRST_WEEK, Searches
from prectr.data.journey.shelf import Shelf, log_popularity
from prectr.data.splits import LAST_WEEK, RELATED
from prectr.shared.run.console import progress

NOTHING = -1


@dataclass(frozen=True)
class Policy:
    """The engine [O]: most of what it shows has levels 2-3, and its noise leaves position nothing to tell [M].

    One impression in sixteen is clicked. One in thirteen would be, were relevance known and nothing left to chance.
    """

    shown: int = 12
    others: int = 10
    """Candidates from other categories, drawn at random from what is on sale."""
    confusion: tuple[tuple[float, ...], ...] = (
        (0.985, 0.010, 0.004, 0.001),
        (0.100, 0.800, 0.070, 0.030),
        (0.020, 0.100, 0.660, 0.220),
        (0.010, 0.030, 0.160, 0.800),
    )
    """Row: gold level; column: the level the engine believes, drawn once per (query, item): it errs consistently."""
    belief: tuple[float, ...] = (-6.0, -1.5, 2.0, 3.0)
    """Score of each believed level."""
    popularity: float = 1.0
    """Weight of the log popularity at the store."""
    noise: float = 0.7
    """Scale of the Gumbel noise of each (page, item)."""


@dataclass(frozen=True)
class Pages:
    """What each search was shown, best first; int arrays [searches, shown]."""

    item: np.ndarray
    """Catalogue row, -1 where the page is shorter."""
    level: np.ndarray
    """Gold level (for the evaluator only), -1 where the page is shorter."""
    clicked: np.ndarray
    """bool: bought in that basket, and of level >= 1."""


class Baskets:
    """Which items each basket holds."""

    def __init__(self, purchases: Purchases, num_items: int):
        self.num_items = num_items
        self.number = np.unique(purchases.basket)
        known = purchases.item >= 0
        self._keys = np.unique(self._key(purchases.basket[known], purchases.item[known]))

    def hold(self, basket: np.ndarray, item: np.ndarray) -> np.ndarray:
        """True where the item (-1: none) is in the basket; the arrays broadcast."""
        key = self._key(basket, np.maximum(item, 0))
        place = np.searchsorted(self._keys, key).clip(max=len(self._keys) - 1)
        return (self._keys[place] == key) & (item >= 0) & np.isin(basket, self.number)

    def _key(self, basket: np.ndarray, item: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.number, basket) * np.int64(self.num_items) + item


def show_pages(searches: Searches, shelf: Shelf, needs: Needs, baskets: Baskets, policy: Policy, seed: int) -> Pages:
    """Rank the candidates of every search, week by week, in blocks of about a million (search, candidate) cells."""
    item = np.full((len(searches), policy.shown), NOTHING, np.int32)
    level = np.full(item.shape, NOTHING, np.int8)
    weeks = progress(shelf.popularity(FIRST_WEEK), "pages", total=LAST_WEEK - FIRST_WEEK + 1, unit="weeks")
    for week, sold, expected in weeks:
        rows = np.flatnonzero(searches.week == week)
        if not len(rows) or not shelf.on_sale(week).any():
            continue
        candidates = _Candidates(searches, rows, shelf.on_sale(week), needs)
        for block in candidates.blocks():
            shown, shown_level = _rank(block, candidates, searches, shelf, needs, (sold, expected), policy, seed)
            item[block, : shown.shape[1]], level[block, : shown.shape[1]] = shown, shown_level
    clicked = baskets.hold(searches.basket[:, None], item) & (level >= RELATED)
    return Pages(item, level, clicked)


class _Candidates:
    """The candidates of one week's searches: a list for each need, kept one after the other."""

    _CELLS = 1 << 20

    def __init__(self, searches: Searches, rows: np.ndarray, on_sale: np.ndarray, needs: Needs):
        self.stock = np.flatnonzero(on_sale)
        self._needs, need_row = np.unique(needs.queries.need[searches.query[rows]], return_inverse=True)
        reach = needs.level[self._needs][:, needs.catalogue.kind.of[self.stock]] >= RELATED
        need, place = np.nonzero(reach)
        self._items = np.append(self.stock[place], NOTHING)
        start = np.searchsorted(need, np.arange(len(self._needs) + 1))
        self._start, self._count = start[:-1][need_row], np.diff(start)[need_row]
        self._order = np.argsort(self._count, kind="stable")
        self._rows = rows

    def blocks(self) -> list[np.ndarray]:
        """Searches, those with similarly many candidates together."""
        cells = np.cumsum(self._count[self._order] + 1)
        return np.split(self._rows[self._order], np.flatnonzero(np.diff(cells // self._CELLS)) + 1)

    def of(self, block: np.ndarray) -> np.ndarray:
        """int [searches, most candidates] catalogue rows, -1 beyond a search's own."""
        place = np.searchsorted(self._rows, block)
        start, count = self._start[place], self._count[place]
        column = np.arange(count.max(initial=0))
        table = self._items[(start[:, None] + column).clip(max=len(self._items) - 1)]
        return np.where(column < count[:, None], table, NOTHING)


def _rank(
    block: np.ndarray, candidates: _Candidates, searches: Searches, shelf: Shelf, needs: Needs,
    popularity: tuple[np.ndarray, np.ndarray], policy: Policy, seed: int,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Items and gold levels of the top of each search in `block`."""
    query, key = searches.query[block, None], searches.key[block, None]
    draws = uniform(seed, "other candidates", key, np.arange(policy.others))
    others = np.sort(candidates.stock[(draws * len(candidates.stock)).astype(np.int64)], 1)
    repeated = np.diff(others, axis=1, prepend=NOTHING) == 0
    others = np.where(repeated | (needs.levels(query, others) >= RELATED), NOTHING, others)
    item = np.hstack([candidates.of(block), others])

    level = needs.levels(query, item)
    product = needs.catalogue.product[item]
    error = uniform(seed, "confusion", query, product)
    believed = (error[..., None] > np.cumsum(policy.confusion, 1)[level, :-1]).sum(-1)
    store = np.searchsorted(shelf.stores.names, searches.store[block, None])
    sold, expected = (table[item, store] for table in popularity)
    score = np.take(policy.belief, believed) + policy.popularity * log_popularity(sold, expected)
    score += policy.noise * gumbel(seed, "page noise", key, product)
    score[item == NOTHING] = -np.inf

    top = np.argpartition(-score, min(policy.shown, score.shape[1]) - 1, axis=1)[:, : policy.shown]
    order = np.argsort(-np.take_along_axis(score, top, 1), axis=1, kind="stable")
    top = np.take_along_axis(top, order, 1)
    item = np.take_along_axis(item, top, 1)
    return item, np.where(item == NOTHING, NOTHING, np.take_along_axis(level, top, 1))
