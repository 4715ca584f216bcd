"""Strings that were added one by one, in their own letters and some twenty bytes each. [O]

In a dict a string and its number would be objects of their own: of a user's name two hundred bytes.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import count

import numpy as np
import pyarrow as pa

from prectr.rank.history.codes import Grown
from prectr.rank.history.key_table import KeyTable

_MOST = (1 << 63) - 1


class Names:
    """Distinct strings, numbered from 0 in the order in which they are added."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._hashes = KeyTable()
        self._letters, self._ends = bytearray(), array("q")
        for name in names:
            self.add(name)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, number: int) -> str:
        return self._bytes(number).decode(errors="surrogatepass")

    def get(self, name: str) -> int:
        """The number of a name; -1 where it was not added, or dropped since."""
        return self._find(name)[0]

    def add(self, name: str) -> int:
        """The number of a name, the next one where it has none."""
        number, key = self._find(name)
        if number < 0:
            number = self._hashes.add(key)
            self._letters += _letters(name)
            self._ends.append(len(self._letters))
        return number

    def drop(self, name: str) -> None:
        """Forget a name, and its letters; nobody has its number from then on."""
        if (number := self.get(name)) >= 0:
            begin, end = self._place(number)
            self._letters[begin:end] = b"\xff" * (end - begin)  # which is no letter

    def _find(self, name: str) -> tuple[int, int]:
        """The number of a name, -1 if it has none, and the key that it has, or would have: two names of one hash, of
        which there is hardly ever a pair, are told apart by another."""
        letters = _letters(name)
        for salt in count():
            key = hash((name, salt) if salt else name) & _MOST
            number = self._hashes.get(key)
            if number < 0 or self._bytes(number) == letters:
                return number, key
        raise AssertionError

    def _place(self, number: int) -> tuple[int, int]:
        return self._ends[number - 1] if number else 0, self._ends[number]

    def _bytes(self, number: int) -> bytes:
        begin, end = self._place(number)
        return bytes(self._letters[begin:end])


class GrownNames(Grown):
    """A vocabulary that grows, of people rather than of things: there is no end to them."""

    def __init__(self, base: pa.Array) -> None:
        super().__init__(base)
        self._names = Names()

    def __len__(self) -> int:
        return len(self._base) + len(self._names)

    def __getitem__(self, code: int) -> pa.Scalar:
        return self._base[code] if code < len(self._base) else pa.scalar(self._names[code - len(self._base)])

    def add(self, value: str) -> int:
        return int(self.add_all([value])[0])

    def add_all(self, values: Sequence[str | None]) -> np.ndarray:
        """As `add`, of n values, int64 [n]; -1 where one is None."""
        codes = self.encode(pa.array(values, pa.string())).astype(np.int64)
        for place in np.flatnonzero(codes < 0).tolist():
            if (value := values[place]) is not None:
                codes[place] = len(self._base) + self._names.add(value)
        return codes

    def drop(self, value: str) -> None:
        super().drop(value)
        self._names.drop(value)

    def keep(self, size: int) -> None:
        raise NotImplementedError("a name is taken back by `drop`")

    def encode(self, values: pa.Array | pa.ChunkedArray) -> np.ndarray:
        codes = super().encode(values)
        if len(self._names) and (missing := np.flatnonzero(codes < 0)).size:
            codes = codes.copy()
            codes[missing] = [self._code(value) for value in values.take(pa.array(missing)).to_pylist()]
        return codes

    def _code(self, value: str | None) -> int:
        number = -1 if value is None else self._names.get(value)
        return -1 if number < 0 else len(self._base) + number


def _letters(name: str) -> bytes:
    return name.encode(errors="surrogatepass")
