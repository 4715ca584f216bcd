"""The recent rows of one index by key, in a few bytes a row. [O]

Nearly all lists are short: those of a new user hold some seven rows. An object for each would take ten times as much as
the rows do, so short lists lie in slots of 2, 4 or 8 rows, one behind the other in one array, and a list of one row is
the row itself. A list that outgrows its slot moves to a larger one; from nine rows on it has an array of its own.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from collections.abc import Callable, Sequence

import numpy as np

from prectr.rank.history.key_table import KeyTable

_CAPACITY = (0, 1, 2, 4, 4, 8, 8, 8, 8)  # of the slot of a short list, by its number of rows
_LONG = 255
_BLOCK = 64  # rows of a long list whose sum is kept

Values = Callable[[np.ndarray], np.ndarray]
"""From row numbers [n] to what an index sums of these rows: int64 [n, V], in units of 1 / TOTAL_SCALE."""


class RecentLists:
    """Row numbers by key, ascending; lists are numbered from 0 in the order of their first row.

    Args:
        first_row: where recent rows begin. values: of an index that sums some; never asked before its row is added.

    Attributes:
        numbers: of the lists, by key; keys are packed by `packed`.
    """

    def __init__(self, first_row: int = 0, values: Values | None = None) -> None:
        self.numbers = KeyTable()
        self._first_row, self._values = first_row, values
        # Rows count from `first_row` in all that follows.
        self._count = bytearray()  # of rows, by list; _LONG: it has an array of its own
        self._at = array("i")  # the row of a list of one, the slot of a short one
        self._slots = {capacity: _Slots(capacity) for capacity in (2, 4, 8)}
        self._long: dict[int, _Long] = {}

    def add(self, keys: np.ndarray, rows: np.ndarray) -> None:
        """Put rows [n], ascending, into the lists of their keys [n], mostly at the end."""
        numbers, rows = self.numbers.add_all(keys), rows - self._first_row
        new, place = np.unique(numbers, return_index=True)
        place = place[new >= len(self._count)]
        self._count.extend(b"\1" * len(place))
        self._at.frombytes(rows[place].astype(np.int32).tobytes())
        others = np.ones(len(rows), bool)
        others[place] = False
        for number, row in zip(numbers[others].tolist(), rows[others].tolist(), strict=True):
            self._insert(number, row)

    def remove(self, key: int, row: int) -> None:
        """Take a row out of its key's list, if it is there."""
        if (number := self.numbers.get(key)) < 0:
            return
        row -= self._first_row
        if (long := self._long.get(number)) is not None:
            long.remove(row)
            return
        rows = self._short(number)
        if row in rows:
            rows.remove(row)
            self._store(number, rows)

    def rows(self, number: int, begin: int = 0, end: int | None = None) -> np.ndarray:
        """Rows [begin, end) of a list, int64."""
        return np.array(self._relative(number)[begin:end], np.int64) + self._first_row

    def before(self, number: int, row: int) -> int:
        """How many rows of a list come before a row."""
        return bisect_left(self._relative(number), row - self._first_row)

    def total(self, number: int, begin: int, end: int) -> np.ndarray:
        """Sums int64 [V] of the values of rows [begin, end) of a list."""
        assert self._values is not None
        long = self._long.get(number)
        if long is None:
            return self._values(self.rows(number, begin, end)).sum(0)
        return long.sum_before(end, self._sum) - long.sum_before(begin, self._sum)

    def contents(self) -> dict[int, tuple[list[int], list[int]]]:
        """Rows of every list, and the sums of all their values, by key."""
        found = {}
        for number, key in enumerate(self.numbers.keys().tolist()):
            rows = self.rows(number).tolist()
            found[key] = rows, [] if self._values is None else self.total(number, 0, len(rows)).tolist()
        return found

    def _sum(self, rows: Sequence[int]) -> np.ndarray:
        assert self._values is not None
        return self._values(np.array(rows, np.int64) + self._first_row).sum(0)

    def _relative(self, number: int) -> Sequence[int]:
        long = self._long.get(number)
        return self._short(number) if long is None else long.rows

    def _short(self, number: int) -> list[int]:
        count, at = self._count[number], self._at[number]
        return [at] if count == 1 else self._slots[_CAPACITY[count]].read(at, count) if count else []

    def _insert(self, number: int, row: int) -> None:
        count = self._count[number]
        if count == _LONG:
            self._long[number].insert(row)
            return
        if 1 < count < _CAPACITY[count] and self._slots[_CAPACITY[count]].append(self._at[number], count, row):
            self._count[number] = count + 1
            return
        rows = self._short(number)
        insort(rows, row)
        self._store(number, rows)

    def _store(self, number: int, rows: list[int]) -> None:
        """Give a short list other rows, and as much room as they need."""
        if (capacity := _CAPACITY[self._count[number]]) > 1:
            self._slots[capacity].free.append(self._at[number])
        if len(rows) >= len(_CAPACITY):
            self._count[number], self._long[number] = _LONG, _Long(rows)
            return
        self._count[number] = len(rows)
        if len(rows) == 1:
            self._at[number] = rows[0]
        elif rows:
            self._at[number] = self._slots[_CAPACITY[len(rows)]].take(rows)


class _Slots:
    """Lists of at most `capacity` rows, one behind the other."""

    def __init__(self, capacity: int) -> None:
        self._capacity, self._rows = capacity, array("i")
        self.free = list[int]()

    def read(self, slot: int, count: int) -> list[int]:
        begin = slot * self._capacity
        return self._rows[begin : begin + count].tolist()

    def append(self, slot: int, count: int, row: int) -> bool:
        """Put a row behind the others of a slot that has room; False: it belongs among them."""
        end = slot * self._capacity + count
        if row <= self._rows[end - 1]:
            return False
        self._rows[end] = row
        return True

    def take(self, rows: list[int]) -> int:
        """A slot that holds these rows."""
        filled = array("i", rows + [0] * (self._capacity - len(rows)))
        if not self.free:
            self._rows.extend(filled)
            return len(self._rows) // self._capacity - 1
        slot = self.free.pop()
        self._rows[slot * self._capacity : (slot + 1) * self._capacity] = filled
        return slot


class _Long:
    """A list of many rows, with the sum of every block of them that somebody asked for."""

    def __init__(self, rows: list[int]) -> None:
        self.rows = array("i", rows)
        self._sums = list[np.ndarray]()  # of the first blocks: of one, of two, …

    def insert(self, row: int) -> None:
        if not self.rows or row > self.rows[-1]:
            self.rows.append(row)
        else:
            place = bisect_left(self.rows, row)
            self.rows.insert(place, row)
            del self._sums[place // _BLOCK :]

    def remove(self, row: int) -> None:
        place = bisect_left(self.rows, row)
        if place < len(self.rows) and self.rows[place] == row:
            del self.rows[place]
            del self._sums[place // _BLOCK :]

    def sum_before(self, end: int, sum_of: Callable[[Sequence[int]], np.ndarray]) -> np.ndarray:
        """The sum [V] of the values of the first `end` rows."""
        blocks = end // _BLOCK
        while len(self._sums) < blocks:
            done = len(self._sums)
            of_block = sum_of(self.rows[done * _BLOCK : (done + 1) * _BLOCK])
            self._sums.append(of_block + self._sums[-1] if done else of_block)
        rest = sum_of(self.rows[blocks * _BLOCK : end])
        return rest + self._sums[blocks - 1] if blocks else rest
