"""One CSR index over the behaviour log: key -> the ascending row numbers of its events.

A window is a pair of row numbers `[since_row, before_row)`; the log is sorted by time, so the part of a key's list
inside a window is found by two binary searches, for all keys at once. [O]
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import numpy as np

from prectr.shared.storage.npy import open_array

# Totals are kept as whole multiples of 2^-24: sums are then exact, so that no later event can move an earlier total
# by a rounding error. float16 probabilities are such multiples.
TOTAL_SCALE = 1 << 24

MANY_KEYS = 20_000  # looked up in the keys' own order from there on: a batch then touches each part of them once
SINGLY = 64  # lists that are searched one by one: a step for all of them costs more
FEW = 1_000  # windows: their lists' ends are looked at before they are searched
MANY_PER_LIST = 2  # rows looked up at once, per list of the index: from there on it pays to narrow the lists first


class BehaviourIndex:
    """The lists of one kind of key, one after another, and where each begins.

    Arrays (memory-mapped when opened from a folder):
        keys: int64 [M], sorted, distinct; several codes are packed into one number.
        offsets: int64 [M + 2]; list m is `rows[offsets[m]:offsets[m + 1]]`; list M is empty and stands for unknown
        keys.
        rows: int32 [S] (int64 from 2^31 rows on), row numbers in the log, ascending within a list.
        totals: int64 [S + 1, V] or None; running sums of V values, in units of 1 / TOTAL_SCALE.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        keys: np.ndarray,
        offsets: np.ndarray,
        rows: np.ndarray,
        totals: np.ndarray | None = None,
    ):
        self.sizes = tuple(sizes)
        self.keys = keys
        self.offsets = offsets
        self.rows = rows
        self.totals = totals

    @classmethod
    def build(
        cls, codes: Sequence[np.ndarray], sizes: Sequence[int], rows: np.ndarray, values: np.ndarray | None = None
    ) -> BehaviourIndex:
        """Index `rows` (int [S], ascending) by `codes` (one int array [S] per part of the key; -1 leaves the row out).

        Args:
            sizes: the number of codes of each part, which fixes how parts are packed.
            values: float [S, V], summed along each list for `total`.
        """
        keys, first, rows, totals = lists_of(*known_rows(Part(codes, rows, values), sizes))
        offsets = np.append(first, [len(rows), len(rows)]).astype(np.int64)
        if totals is not None:
            totals = np.concatenate([np.zeros((1, totals.shape[1]), np.int64), totals])
        return cls(sizes, keys, offsets, rows.astype(row_type(int(rows.max(initial=0)))), totals)

    @classmethod
    def open(cls, folder: Path, name: str, sizes: Sequence[int]) -> BehaviourIndex:
        keys, offsets, rows = (open_array(folder / f"{name}.{part}.npy") for part in ("keys", "offsets", "rows"))
        totals = folder / f"{name}.totals.npy"
        return cls(sizes, keys, offsets, rows, open_array(totals) if totals.exists() else None)

    def lookup(self, *codes: np.ndarray) -> np.ndarray:
        """The list number [n] of each key, given by its parts [n]; an unknown key gets the empty list."""
        unknown = len(self.keys)
        codes = tuple(np.asarray(code) for code in codes)
        packed = _pack(codes, self.sizes)
        packed[reduce(np.logical_or, [code < 0 for code in codes])] = -1
        if unknown == 0:
            return np.zeros(len(packed), np.int64)
        found = self._search(packed)
        return np.where(self.keys[np.minimum(found, unknown - 1)] == packed, found, unknown)

    def bounds(self, lists: np.ndarray, since_row: np.ndarray, before_row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions [n] in `rows` where each list's events of the window begin and end; begin <= end."""
        stop = self.until(lists, before_row)
        return self.since(lists, since_row, stop), stop

    def until(self, lists: np.ndarray, before_row: np.ndarray) -> np.ndarray:
        """Where the events of windows [n] end, whenever they begin: the second half of `bounds`."""
        return self._bisect(*self._segment(lists, before_row), before_row)

    def since(self, lists: np.ndarray, since_row: np.ndarray, stop: np.ndarray) -> np.ndarray:
        """Where the events of windows [n] that end at the positions `stop` begin: the first half of `bounds`."""
        begin, end = self._segment(lists, since_row)
        return np.minimum(self._bisect(begin, np.minimum(end, stop), since_row), stop)

    def count(self, lists: np.ndarray, since_row: np.ndarray, before_row: np.ndarray) -> np.ndarray:
        """Number of events [n] of each list in the window."""
        begin, end = self.bounds(lists, since_row, before_row)
        return end - begin

    def total(self, lists: np.ndarray, since_row: np.ndarray, before_row: np.ndarray) -> np.ndarray:
        """Exact sums [n, V] of the indexed values over each list's events in the window."""
        return self.total_between(*self.bounds(lists, since_row, before_row))

    def total_between(self, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
        """As `total`, [n, V], of the events between two positions in `rows`."""
        if self.totals is None:
            raise ValueError("This index was built without values to sum.")
        return (self.totals[end] - self.totals[begin]) / TOTAL_SCALE

    def last(self, lists: np.ndarray, since_row: np.ndarray, before_row: np.ndarray, n_last: int) -> np.ndarray:
        """Row numbers int64 [n, n_last] of the latest events in the window, most recent first, padded with -1."""
        begin, end = self.bounds(lists, since_row, before_row)
        return self.take_back(begin, end, n_last)

    def last_row(self, lists: np.ndarray, since_row: np.ndarray, before_row: np.ndarray) -> np.ndarray:
        """Row number [n] of the latest event in the window, -1 if there is none."""
        return self.last(lists, since_row, before_row, 1)[:, 0]

    def take_back(self, begin: np.ndarray, end: np.ndarray, n_last: int) -> np.ndarray:
        """`rows[end - 1], rows[end - 2], ...` [n, n_last] down to `begin`, then -1."""
        positions = end[:, None] - 1 - np.arange(n_last)
        inside = positions >= begin[:, None]
        if not len(self.rows):
            return np.full(positions.shape, -1, np.int64)
        return np.where(inside, self.rows[np.where(inside, positions, 0)], -1).astype(np.int64)

    def _search(self, packed: np.ndarray) -> np.ndarray:
        """`np.searchsorted` of the keys [n]."""
        if len(self.keys) <= MANY_KEYS:
            return np.searchsorted(self.keys, packed)
        order = np.argsort(packed)
        found = np.empty(len(packed), np.int64)
        found[order] = np.searchsorted(self.keys, packed[order])
        return found

    def _segment(self, lists: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions [n] between which each list's first row number >= `row` [n] is to be searched for.

        What is looked at together is near in time: where the lists are few, the segment of each that all of `row` fall
        into is found first. It is short however long the log is.
        """
        begin, end = self.offsets[:-1], self.offsets[1:]
        if len(row) > MANY_PER_LIST * len(self.keys):
            earliest, latest = (np.full(len(begin), bound) for bound in (row.min(), row.max()))
            begin, end = self._bisect(begin, end, earliest), self._bisect(begin, end, latest)
        return begin[lists], end[lists]

    def _bisect(self, begin: np.ndarray, end: np.ndarray, row: np.ndarray) -> np.ndarray:
        """First position [n] in [begin, end) whose row number is >= `row`."""
        if len(row) <= SINGLY:
            return self._bisect_singly(begin, end, row)
        found = begin.copy()
        # Most lists are short and done after a step or two: only those that are not are looked at again.
        open_ = np.flatnonzero(begin < end)
        low, high, row = begin[open_], end[open_], row[open_]
        if 0 < len(open_) <= FEW:
            # A page that is shown now comes behind all rows of every list.
            behind = self.rows[high - 1] < row
            found[open_[behind]] = high[behind]
            open_, low, high, row = open_[~behind], low[~behind], high[~behind], row[~behind]
        if len(open_) <= SINGLY:
            found[open_] = self._bisect_singly(low, high, row)
            return found
        while len(open_):
            middle = (low + high) >> 1
            below = self.rows[middle] < row
            low, high = np.where(below, middle + 1, low), np.where(below, high, middle)
            going = low < high
            if not going.all():
                found[open_[~going]] = low[~going]
                open_, low, high, row = open_[going], low[going], high[going], row[going]
        return found

    def _bisect_singly(self, begin: np.ndarray, end: np.ndarray, row: np.ndarray) -> np.ndarray:
        rows = self.rows.data  # an array makes an object of its own of every number that is looked at
        spans = zip(row.tolist(), begin.tolist(), end.tolist(), strict=True)
        return np.array([bisect_left(rows, value, first, last) for value, first, last in spans], np.int64)


class Part(NamedTuple):
    """Some of the rows of an index: what `BehaviourIndex.build` takes, ascending from part to part."""

    codes: Sequence[np.ndarray]
    rows: np.ndarray
    values: np.ndarray | None = None


def row_type(last_row: int) -> type[np.signedinteger]:
    """What holds row numbers up to `last_row`: int32 as long as it can."""
    return np.int32 if last_row <= np.iinfo(np.int32).max else np.int64


def known_rows(part: Part, sizes: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Packed keys, rows and values of the rows that have a key."""
    codes, rows, values = part
    known = np.logical_and.reduce([code >= 0 for code in codes])
    if not known.all():
        codes, rows = [code[known] for code in codes], rows[known]
        values = None if values is None else values[known]
    return _pack(codes, sizes), rows, values


def lists_of(
    packed: np.ndarray, rows: np.ndarray, values: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Rows sorted by key: distinct keys, where the list of each begins, the rows, running sums of the values."""
    order = np.argsort(packed, kind="stable")
    packed = packed[order]
    first = np.flatnonzero(np.diff(packed, prepend=-1))
    totals = None
    if values is not None:
        totals = np.cumsum(np.rint(values[order].astype(np.float64) * TOTAL_SCALE).astype(np.int64), axis=0)
    return packed[first], first, rows[order], totals


def _pack(codes: Sequence[np.ndarray], sizes: Sequence[int]) -> np.ndarray:
    packed = codes[0].astype(np.int64)
    for code, size in zip(codes[1:], sizes[1:], strict=True):
        packed = packed * size + code
    return packed
