"""A hash table from keys to numbers in two arrays: 8 bytes a key, and 4 a place, .3 to .6 of which are taken. [O]

In a dict key and number would be objects of their own.
"""

from __future__ import annotations

from array import array

import numpy as np

FULLEST = 0.6  # share of the places that are taken before there are twice as many
_FACTOR = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: Fibonacci hashing
_MOST = (1 << 64) - 1
_FREE = -1


class KeyTable:
    """Keys int64 >= 0, numbered from 0 in the order in which they are added; none is taken out."""

    def __init__(self) -> None:
        self._key_of = array("q")  # by number
        self._make_room(8)

    def __len__(self) -> int:
        return len(self._key_of)

    def get(self, key: int) -> int:
        """The number of a key; -1 where it was not added."""
        return self._number_of[self._place(key)]

    def add(self, key: int) -> int:
        """The number of a key, the next one where it is new."""
        place = self._place(key)
        number = self._number_of[place]
        if number == _FREE:
            if len(self) >= FULLEST * len(self._numbers):
                self._grow(len(self) + 1)
                place = self._place(key)
            number = self._number_of[place] = len(self)
            self._key_of.append(key)
        return number

    def add_all(self, keys: np.ndarray) -> np.ndarray:
        """The numbers int64 [n] of keys [n], the next ones where they are new."""
        found = self.find(keys)
        missing = np.flatnonzero(found < 0)
        if len(missing):
            distinct, first, of_missing = np.unique(keys[missing], return_index=True, return_inverse=True)
            order = np.argsort(first)
            number = np.empty(len(order), np.int64)
            number[order] = len(self) + np.arange(len(order))
            found[missing] = number[of_missing]
            self._grow(len(self) + len(order))
            self._fill(number, distinct)
            self._key_of.frombytes(distinct[order].astype(np.int64).tobytes())
        return found

    def find(self, keys: np.ndarray) -> np.ndarray:
        """The numbers int64 [n] of keys [n]; -1 where one was not added, or is negative."""
        found = np.full(len(keys), -1, np.int64)
        if not len(self):
            return found
        asked, key_of = np.flatnonzero(keys >= 0), np.frombuffer(self._key_of, np.int64)
        places = self._begin(keys[asked])
        while len(asked):
            there = self._numbers[places]
            same = (there != _FREE) & (key_of[there] == keys[asked])
            found[asked[same]] = there[same]
            going = ~same & (there != _FREE)
            asked, places = asked[going], (places[going] + 1) & (len(self._numbers) - 1)
        return found

    def keys(self) -> np.ndarray:
        """All keys int64 [n] in the order of their numbers."""
        return np.array(self._key_of, np.int64)

    def _place(self, key: int) -> int:
        """Where a key is, or would be put."""
        number_of, key_of, last = self._number_of, self._key_of, len(self._numbers) - 1
        place = (key * _FACTOR & _MOST) >> self._shift
        while (number := number_of[place]) != _FREE and key_of[number] != key:
            place = (place + 1) & last
        return place

    def _begin(self, keys: np.ndarray) -> np.ndarray:
        hashes: np.ndarray = keys.astype(np.uint64) * np.uint64(_FACTOR) >> np.uint64(self._shift)
        return hashes.astype(np.int64)

    def _make_room(self, bits: int) -> None:
        self._shift = 64 - bits
        self._numbers = np.full(1 << bits, _FREE, np.int32)
        # Read one by one, an array makes an object of numpy's own of every number.
        self._number_of = self._numbers.data

    def _grow(self, size: int) -> None:
        """Make room for `size` keys, if there is none."""
        bits = 64 - self._shift
        while size > FULLEST * (1 << bits):
            bits += 1
        if bits > 64 - self._shift:
            self._make_room(bits)
            self._fill(np.arange(len(self)), self.keys())

    def _fill(self, numbers: np.ndarray, keys: np.ndarray) -> None:
        """Put numbers [n] at the places of their keys [n], which are not there yet."""
        numbers, places, last = numbers.astype(np.int32), self._begin(keys), len(self._numbers) - 1
        while len(numbers):
            free = self._numbers[places] == _FREE
            # Of keys that come to one free place, one stays there.
            self._numbers[places[free]] = numbers[free]
            going = self._numbers[places] != numbers
            numbers, places = numbers[going], (places[going] + 1) & last
