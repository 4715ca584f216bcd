"""What was computed of pairs of a query and item texts, of the queries that were asked last. [O]"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import NamedTuple

import numpy as np


class _OfQuery(NamedTuple):
    texts: np.ndarray  # int64 [m], ascending
    values: np.ndarray  # float32 [m, W]


class KeptPairs:
    """A row of W numbers for every pair, computed when it is first asked for; for many threads.

    Args:
        compute: from a query and the numbers of distinct item texts, int64 [n], to float32 [n, W].
        most: pairs that are kept; the queries that were asked longest ago go first.
    """

    def __init__(self, compute: Callable[[str, np.ndarray], np.ndarray], most: int) -> None:
        self._compute, self._most = compute, most
        self._kept: OrderedDict[str, _OfQuery] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def of(self, query: str, texts: np.ndarray) -> np.ndarray:
        """float32 [n, W] of the query with each of n texts, which may repeat."""
        with self._lock:
            kept = self._kept.get(query)
            if kept is not None:
                self._kept.move_to_end(query)
        if kept is not None:
            place = np.minimum(np.searchsorted(kept.texts, texts), len(kept.texts) - 1)
            missing = kept.texts[place] != texts
            if not missing.any():
                return kept.values[place]
        new = np.unique(texts if kept is None else texts[missing])
        if not len(new):
            return self._compute(query, new)
        computed = _OfQuery(new, self._compute(query, new))
        self._add(query, computed)
        found = _merged(kept, computed)
        return found.values[np.searchsorted(found.texts, texts)]

    def keep(self, num_texts: int) -> None:
        """Forget pairs with texts from number `num_texts` on, which will be other texts."""
        with self._lock:
            for query, kept in list(self._kept.items()):
                size = int(np.searchsorted(kept.texts, num_texts))
                if size < len(kept.texts):
                    self._put(query, _OfQuery(kept.texts[:size].copy(), kept.values[:size].copy()))

    def _add(self, query: str, new: _OfQuery) -> None:
        with self._lock:
            self._put(query, _merged(self._kept.get(query), new))
            while self._size > self._most and len(self._kept) > 1:
                _, oldest = self._kept.popitem(last=False)
                self._size -= len(oldest.texts)

    def _put(self, query: str, found: _OfQuery) -> None:
        before = self._kept.pop(query, None)
        self._size -= 0 if before is None else len(before.texts)
        if len(found.texts):
            self._kept[query] = found
            self._size += len(found.texts)


def _merged(kept: _OfQuery | None, new: _OfQuery) -> _OfQuery:
    """Both; of what is in both, the new one."""
    if kept is None:
        return new
    other = ~np.isin(kept.texts, new.texts)
    texts = np.concatenate([kept.texts[other], new.texts])
    order = np.argsort(texts)
    return _OfQuery(texts[order], np.concatenate([kept.values[other], new.values])[order])
