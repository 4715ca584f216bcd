"""A hash table from keys to numbers in two arrays: 12 bytes a place, .3 to .6 of which are taken. [O]

In a dict key and number would be objects of their own.
"""

from __future__ import annotations

import numpy as np

FULLEST = 0.6  # share of the places that are taken before there are twice as many
_FACTOR = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: Fibonacci hashing
_MOST = (1 << 64) - 1
_FREE = -1


class KeyTable:
    """Keys int64 >= 0, numbered from 0 in the order in which they are added; none is taken out."""

    def __init__(self) -> None:
        self._size = 0
        self._make_room(8)

    def __len__(self) -> int:
        return self._size

    def get(self, key: int) -> int:
        """The number of a key; -1 where it was not added."""
        place = self._place(key)
        return -1 if self._key_of[place] == _FREE else self._number_of[place]

    def add(self, key: int) -> int:
        """The number of a key, the next one where it is new."""
        place = self._place(key)
        if self._key_of[place] == key:
            return self._number_of[place]
        if self._size >= FULLEST * len(self._keys):
            self._grow()
            place = self._place(key)
        number = self._size
        self._key_of[place], self._number_of[place] = key, number
        self._size += 1
        return number

    def find(self, keys: np.ndarray) -> np.ndarray:
        """The numbers int64 [n] of keys [n]; -1 where one was not added, or is negative."""
        found = np.full(len(keys), -1, np.int64)
        asked = np.flatnonzero(keys >= 0)
        places = self._begin(keys[asked])
        while len(asked):
            there = self._keys[places]
            same = there == keys[asked]
            found[asked[same]] = self._numbers[places[same]]
            going = ~same & (there != _FREE)
            asked, places = asked[going], (places[going] + 1) & (len(self._keys) - 1)
        return found

    def keys(self) -> np.ndarray:
        """All keys int64 [n] in the order of their numbers."""
        taken = np.flatnonzero(self._keys != _FREE)
        keys = np.empty(self._size, np.int64)
        keys[self._numbers[taken]] = self._keys[taken]
        return keys

    def _place(self, key: int) -> int:
        """Where a key is, or would be put."""
        key_of, last = self._key_of, len(self._keys) - 1
        place = (key * _FACTOR & _MOST) >> self._shift
        while key_of[place] != key and key_of[place] != _FREE:
            place = (place + 1) & last
        return place

    def _begin(self, keys: np.ndarray) -> np.ndarray:
        hashes: np.ndarray = keys.astype(np.uint64) * np.uint64(_FACTOR) >> np.uint64(self._shift)
        return hashes.astype(np.int64)

    def _make_room(self, bits: int) -> None:
        self._shift = 64 - bits
        self._keys, self._numbers = np.full(1 << bits, _FREE, np.int64), np.zeros(1 << bits, np.int32)
        # Read one by one, an array makes an object of numpy's own of every number.
        self._key_of, self._number_of = self._keys.data, self._numbers.data

    def _grow(self) -> None:
        keys = self.keys()
        self._make_room(65 - self._shift)
        numbers, places, last = np.arange(len(keys), dtype=np.int32), self._begin(keys), len(self._keys) - 1
        while len(numbers):
            free = self._keys[places] == _FREE
            # Of keys that come to one free place, one stays there.
            self._keys[places[free]] = keys[numbers[free]]
            stays = self._keys[places] == keys[numbers]
            self._numbers[places[stays]] = numbers[stays]
            numbers, places = numbers[~stays], (places[~stays] + 1) & last
