"""What the shop knows when a week begins: what is on sale, at what price, and what sold. Only earlier weeks count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from prectr.data.journey.raw import Catalogue, Codes, Purchases
from prectr.data.splits import LAST_WEEK

WINDOW = 6
"""Weeks that an item stays on sale after it was last sold anywhere, and over which sales are counted."""

_FLOOR = 0.02


@dataclass(frozen=True)
class Shelf:
    """Arrays indexed by week 0..52, each from strictly earlier weeks."""

    chain_sales: np.ndarray
    """float32 [weeks, items]: purchases anywhere in the six weeks before."""
    price: np.ndarray
    """float32 [weeks, items]: mean shelf price in the last earlier week that sold it."""
    discount: np.ndarray
    """float32 [weeks, items]: mean discount share in that same week, 0..1."""
    stores: Codes
    """Stores, and the store of each sale."""
    sales: Purchases
    """Lines of items in the catalogue, in order of week."""

    def on_sale(self, week: int) -> np.ndarray:
        """bool [items]: sold anywhere in the six weeks before."""
        return self.chain_sales[week] > 0

    def store_sales(self, week: np.ndarray, store: np.ndarray, item: np.ndarray) -> np.ndarray:
        """Purchases of each item at each store in the six weeks before each week."""
        place = np.searchsorted(self.stores.names, store)
        known = self._key(self.stores.of, self.sales.item, self.sales.week)
        known.sort()
        until, since = (np.searchsorted(known, self._key(place, item, week - back)) for back in (0, WINDOW))
        return (until - since).astype(np.float32)

    def _key(self, store: np.ndarray, item: np.ndarray, week: np.ndarray) -> np.ndarray:
        span = LAST_WEEK + WINDOW + 1
        return (store * np.int64(self.chain_sales.shape[1]) + item) * span + week + WINDOW

    def popularity(self, first_week: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Yield (week, sold, expected) for each week from `first_week`: sales of the six weeks before.

        Both are float32 [items, stores]; `expected` is what the store would have sold, had it the chain's tastes. The
        arrays are overwritten when the next week is asked for.
        """
        sold = np.zeros((self.chain_sales.shape[1], len(self.stores)), np.float32)
        for week in range(1, LAST_WEEK + 1):
            if week >= first_week:
                total = sold.sum()
                chain, size = sold.sum(1), sold.sum(0)
                yield week, sold, np.outer(chain, size / max(total, 1)).astype(np.float32)
            self._add(sold, week, 1)
            self._add(sold, week - WINDOW, -1)

    def _add(self, sold: np.ndarray, week: int, sign: int) -> None:
        first, last = np.searchsorted(self.sales.week, [week, week + 1])
        np.add.at(sold, (self.sales.item[first:last], self.stores.of[first:last]), np.float32(sign))


def log_popularity(sold: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Log of sales at the store, smoothed by what the chain's sales would let one expect there."""
    return np.log(sold + expected + _FLOOR)


def stock_shelf(purchases: Purchases, catalogue: Catalogue) -> Shelf:
    """Week by week, what earlier weeks' sales tell; an item not yet priced has its catalogue price."""
    sales = purchases.take(np.flatnonzero(purchases.item >= 0))
    sales = sales.take(np.argsort(sales.week, kind="stable"))
    shape = (LAST_WEEK + 2, len(catalogue))
    cell = sales.week.astype(np.int64) * shape[1] + sales.item

    def per_week(weights: np.ndarray | None, rows: np.ndarray) -> np.ndarray:
        values = None if weights is None else weights[rows].astype(np.float64)
        return np.bincount(cell[rows], values, shape[0] * shape[1]).reshape(shape)

    everything = np.arange(len(cell))
    until = np.cumsum(per_week(None, everything), 0)
    before = np.vstack([np.zeros((1, shape[1])), until[:-1]])
    window = before.copy()
    window[WINDOW + 1 :] -= before[1:-WINDOW]

    priced = np.flatnonzero(np.isfinite(sales.shelf_price))
    count = per_week(None, priced)
    last = np.maximum.accumulate(np.where(count > 0, np.arange(shape[0])[:, None], 0), 0)
    last = np.vstack([np.zeros((1, shape[1]), np.int64), last[:-1]])
    known = last > 0
    mean_price = np.divide(per_week(sales.shelf_price, priced), count, out=np.zeros(shape), where=count > 0)
    mean_discount = np.divide(per_week(sales.discount, priced), count, out=np.zeros(shape), where=count > 0)
    price = np.where(known, np.take_along_axis(mean_price, last, 0), catalogue.price)
    discount = np.where(known, np.take_along_axis(mean_discount, last, 0), 0)
    chain_sales, price, discount = (values.astype(np.float32) for values in (window, price, discount))
    return Shelf(chain_sales, price, discount, Codes.encode(sales.store), sales)
