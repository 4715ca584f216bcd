"""Recent rows behind a memory-mapped log's: every lookup is the base's slice followed by the recent rows' slice.

Row numbers go on behind the base's, so that whoever holds row numbers holds them of both. A list of an index is the
base's list with the recent rows of the same key behind it; a position in it is a number by which begin and end can be
told, as in the base. Most keys have no recent row: of those the base alone is asked. [O]
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np

from prectr.rank.history.index import TOTAL_SCALE, BehaviourIndex
from prectr.rank.history.recent_lists import RecentLists

_SHIFT = 32
_LOW = (1 << _SHIFT) - 1
"""Numbers of lists and positions with recent rows have the recent list's number, from 1, above these bits."""


class Growing:
    """An array [n, ...] that is appended to; `values` is what there is.

    An array that has been read stays as it was: more room is other memory.
    """

    def __init__(self, dtype: type | np.dtype, width: tuple[int, ...] = ()) -> None:
        self._room = np.zeros((64, *width), dtype)
        self._size = 0

    @property
    def values(self) -> np.ndarray:
        return self._room[: self._size]

    def keep(self, size: int) -> None:
        """Take back what was appended from place `size` on."""
        self._room, self._size = self._room[:size].copy(), size

    def append(self, part: np.ndarray) -> None:
        size = self._size + len(part)
        if size > len(self._room):
            room = np.zeros((max(size, 2 * len(self._room)), *self._room.shape[1:]), self._room.dtype)
            room[: self._size] = self.values
            self._room = room
        self._room[self._size : size] = part
        self._size = size


class Behind:
    """A column of the base [n, ...] with the recent rows' behind it, read like an array by row numbers."""

    def __init__(self, base: np.ndarray) -> None:
        self.base = base
        self.recent = Growing(base.dtype, base.shape[1:])

    def __len__(self) -> int:
        return len(self.base) + len(self.recent.values)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.base.shape[1:])

    @property
    def dtype(self) -> np.dtype:
        return self.base.dtype

    def __getitem__(self, rows: int | np.ndarray) -> np.ndarray:
        rows, first, recent = np.asarray(rows), len(self.base), self.recent.values
        is_recent = rows >= first
        if not is_recent.any():
            return self.base[rows]
        found = np.zeros((*rows.shape, *self.base.shape[1:]), self.base.dtype)
        if not is_recent.all():
            found[~is_recent] = self.base[rows[~is_recent]]
        found[is_recent] = recent[rows[is_recent] - first]
        return found[()]


class JoinedIndex(BehaviourIndex):
    """An index of the base with recent lists behind its own.

    The number of a list, and a position in one, are the base's where the key has no recent row. Where it has, the
    recent list's number stands above them, and a position counts from the list's own beginning.
    """

    def __init__(self, base: BehaviourIndex, recent: RecentLists) -> None:
        super().__init__(base.sizes, base.keys, base.offsets, base.rows, base.totals)
        self.base, self.recent = base, recent
        self._base_list = array("i")  # of each recent list; -1 as long as nobody asked

    def lookup(self, *codes: np.ndarray) -> np.ndarray:
        in_base = [np.where(code < size, code, -1) for code, size in zip(codes, self.base.sizes, strict=True)]
        lists = self.base.lookup(*in_base)
        numbers = self.recent.numbers
        if not len(numbers):
            return lists
        found = numbers.find(packed(codes))
        known = np.flatnonzero(found >= 0)
        if not len(known):
            return lists
        self._base_list.extend([-1] * (len(numbers) - len(self._base_list)))
        for number, of_base in zip(found[known].tolist(), lists[known].tolist(), strict=True):
            self._base_list[number] = of_base
        lists = lists.astype(np.int64)
        lists[known] |= (found[known] + 1) << _SHIFT
        return lists

    def until(self, lists: np.ndarray, before_row: np.ndarray) -> np.ndarray:
        if not len(self.recent.numbers):
            return self.base.until(lists, before_row)
        of_base = lists & _LOW
        found = self.base.until(of_base, before_row)
        for place in np.flatnonzero(lists > _LOW).tolist():
            number = int(lists[place] >> _SHIFT) - 1
            in_base = int(found[place] - self.base.offsets[of_base[place]])
            in_recent = self.recent.before(number, int(before_row[place]))
            found[place] = ((number + 1) << _SHIFT) + in_base + in_recent
        return found

    def since(self, lists: np.ndarray, since_row: np.ndarray, stop: np.ndarray) -> np.ndarray:
        return np.minimum(self.until(lists, since_row), stop)

    def total_between(self, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
        joined = end > _LOW
        if not joined.any():
            return self.base.total_between(begin, end)
        assert self.base.totals is not None
        total = np.zeros((len(end), self.base.totals.shape[1]), np.int64)
        total[~joined] = self.base.totals[end[~joined]] - self.base.totals[begin[~joined]]
        for place in np.flatnonzero(joined).tolist():
            number, offset, length = self._parts(int(end[place]))
            first, last = int(begin[place]) & _LOW, int(end[place]) & _LOW
            of_base = offset + min(first, length), offset + min(last, length)
            total[place] = self.base.totals[of_base[1]] - self.base.totals[of_base[0]]
            total[place] += self.recent.total(number, max(first - length, 0), max(last - length, 0))
        return total / TOTAL_SCALE

    def take_back(self, begin: np.ndarray, end: np.ndarray, n_last: int) -> np.ndarray:
        joined = end > _LOW
        if not joined.any():
            return self.base.take_back(begin, end, n_last)
        found = np.full((len(end), n_last), -1, np.int64)
        found[~joined] = self.base.take_back(begin[~joined], end[~joined], n_last)
        for place in np.flatnonzero(joined).tolist():
            number, offset, length = self._parts(int(end[place]))
            last = int(end[place]) & _LOW
            first = max(int(begin[place]) & _LOW, last - n_last)
            rows = [
                np.asarray(self.base.rows[offset + min(first, length) : offset + min(last, length)], np.int64),
                self.recent.rows(number, max(first - length, 0), max(last - length, 0)),
            ]
            found[place, : last - first] = np.concatenate(rows)[::-1]
        return found

    def _parts(self, position: int) -> tuple[int, int, int]:
        """The recent list of a position; where the base's list begins and how long it is."""
        number = (position >> _SHIFT) - 1
        of_base = self._base_list[number]
        offset = int(self.base.offsets[of_base])
        return number, offset, int(self.base.offsets[of_base + 1]) - offset


def packed(codes: Sequence[np.ndarray]) -> np.ndarray:
    """Keys of recent lists int64 [n], of one or two codes [n] each; codes may grow, so each has the room of its type.
    -1 where a code is."""
    keys = np.asarray(codes[0]).astype(np.int64)
    for code in codes[1:]:
        keys = (keys << 31) | np.maximum(code, 0)
    return np.where(np.logical_or.reduce([np.asarray(code) < 0 for code in codes]), -1, keys)
