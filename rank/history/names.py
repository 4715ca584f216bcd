"""Strings that were added one by one, in their own letters and some twenty bytes each. [O]

In a dict a string and its number would be objects of their own: of a user's name two hundred bytes.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from itertools import count

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


def _letters(name: str) -> bytes:
    return name.encode(errors="surrogatepass")
