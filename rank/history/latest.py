"""The rows of what was shown last: a click comes soon, or never. [O]"""

from __future__ import annotations

from array import array

import numpy as np

from prectr.rank.history.key_table import KeyTable

_MOST = (1 << 63) - 1
_GONE = -1


class _Half:
    def __init__(self) -> None:
        self.numbers, self.rows = KeyTable(), array("q")


class LatestRows:
    """Row numbers by page and item, of the `most` latest or at least half as many; 20 bytes each.

    Keys are hashes of 63 bits: among a million there is a pair of equal ones once in ten million logs.
    """

    def __init__(self, most: int) -> None:
        self._most_of_half, self._newer, self._older = max(most // 2, 1), _Half(), _Half()

    def get(self, page: int, item: int) -> int:
        """The row of an item of a page; -1: it was not put, or long ago."""
        key = hash((page, item)) & _MOST
        for half in (self._newer, self._older):
            if (number := half.numbers.get(key)) >= 0:
                return half.rows[number]
        return _GONE

    def put(self, page: int, item: int, row: int) -> None:
        if len(self._newer.rows) >= self._most_of_half:
            self._newer, self._older = _Half(), self._newer
        half = self._newer
        number = half.numbers.add(hash((page, item)) & _MOST)
        if number == len(half.rows):
            half.rows.append(row)
        else:
            half.rows[number] = row

    def forget(self, rows: np.ndarray) -> None:
        """Take rows [n] out."""
        for half in (self._newer, self._older):
            kept = np.array(half.rows, np.int64)
            half.rows = array("q", np.where(np.isin(kept, rows), _GONE, kept).tobytes())
