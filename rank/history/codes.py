"""From strings to codes: the position of each value in a vocabulary."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

FEW = 10_000  # a hash table of so few values is made again for every call
REMEMBERED = 16
AT_ONCE, KEPT = 2_000, 50_000  # values of a page, which are asked for many times; of so many the codes are kept


def encode(values: pa.Array | pa.ChunkedArray, vocabulary: pa.Array | Grown) -> np.ndarray:
    """The position int32 [n] of each value in `vocabulary`; -1 where it is null or not in it.

    A large vocabulary that is asked for again is looked up in its sorted hashes, in time that hardly depends on its
    size: a table of values is prepared part by part, and its vocabularies are the same in each.
    """
    if isinstance(vocabulary, Grown):
        return vocabulary.encode(values)
    if len(vocabulary) > max(FEW, len(values)) and (sorted_ := _sorted_hashes(vocabulary)) is not None:
        return sorted_.encode(values)
    codes = pc.index_in(values, value_set=vocabulary, skip_nulls=True)
    return pc.fill_null(codes, -1).to_numpy().astype(np.int32, copy=False)


class Grown:
    """A vocabulary that grows: values that are added get the codes behind those of an array.

    A value can be dropped: from then on it is unknown, until it is added again under a new code.
    """

    def __init__(self, base: pa.Array) -> None:
        self._base = base
        self._hashes = _SortedHashes(base) if len(base) and pa.types.is_string(base.type) else None
        self._asked: dict[str | None, int] = {}  # codes of the base
        self._more: dict[str, int] = {}
        self._added: list[str] = []
        self._dropped: set[str] = set()

    def __len__(self) -> int:
        return len(self._base) + len(self._added)

    def __getitem__(self, code: int) -> pa.Scalar:
        return self._base[code] if code < len(self._base) else pa.scalar(self._added[code - len(self._base)])

    def add(self, value: str) -> int:
        """The code of a value, a new one where it has none."""
        code = int(self.encode(pa.array([value], pa.string()))[0])
        if code < 0:
            code = self._more[value] = len(self)
            self._added.append(value)
        return code

    def drop(self, value: str) -> None:
        self._dropped.add(value)
        self._more.pop(value, None)

    def keep(self, size: int) -> None:
        """Take back what was added from code `size` on."""
        for value in self._added[size - len(self._base) :]:
            self._more.pop(value, None)
        del self._added[size - len(self._base) :]

    def encode(self, values: pa.Array | pa.ChunkedArray) -> np.ndarray:
        """As the function `encode`."""
        codes = self._few_of_base(values) if len(values) <= AT_ONCE else self._of_base(values)
        if self._dropped:
            dropped = pc.is_in(values, value_set=pa.array(sorted(self._dropped), pa.string()))
            codes = np.where(dropped.to_numpy(**_copied(dropped)), np.int32(-1), codes)
        if self._more and (missing := np.flatnonzero(codes < 0)).size:
            codes = codes.copy()
            codes[missing] = [self._more.get(value, -1) for value in values.take(pa.array(missing)).to_pylist()]
        return codes

    def _of_base(self, values: pa.Array | pa.ChunkedArray) -> np.ndarray:
        if not len(self._base):
            return np.full(len(values), -1, np.int32)
        if self._hashes is not None and self._hashes.is_distinct:
            return self._hashes.encode(values)
        return encode(values, self._base)

    def _few_of_base(self, values: pa.Array | pa.ChunkedArray) -> np.ndarray:
        listed = values.to_pylist()
        asked = self._asked  # replaced when it is full, never emptied: another thread may be reading it
        found = {value: asked.get(value, -1) for value in listed}
        if new := [value for value, code in found.items() if code < 0]:
            codes = self._of_base(pa.array(new, pa.string())).tolist()
            known = {value: code for value, code in zip(new, codes, strict=True) if code >= 0}
            if len(asked) + len(known) > KEPT:
                asked = self._asked = {}
            asked.update(known)
            found.update(known)
        return np.array([found[value] for value in listed], np.int32)


def _copied(values: pa.Array | pa.ChunkedArray) -> dict[str, bool]:
    """What `to_numpy` of booleans has to be told."""
    return {} if isinstance(values, pa.ChunkedArray) else {"zero_copy_only": False}


class _SortedHashes:
    def __init__(self, vocabulary: pa.Array) -> None:
        self._vocabulary = vocabulary  # keeps its address from being given to another
        hashes = _hashes(vocabulary)
        order = np.argsort(hashes)
        self._order, self._hashes = order.astype(np.int32), hashes[order]
        # Two values of one hash are one in a million vocabularies; such a one is looked up as a small one is.
        self.is_distinct = bool((self._hashes[1:] != self._hashes[:-1]).all())

    def encode(self, values: pa.Array | pa.ChunkedArray) -> np.ndarray:
        if isinstance(values, pa.ChunkedArray):
            values = values.combine_chunks()
        hashes = _hashes(values)
        place = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        codes = self._order[place]
        # A value that is not in the vocabulary may have the hash of one that is.
        same = pc.fill_null(pc.equal(self._vocabulary.take(pa.array(codes)), values), False)
        return np.where(same.to_numpy(zero_copy_only=False), codes, np.int32(-1))


def _hashes(values: pa.Array) -> np.ndarray:
    """uint64 [n], the same in every process; of a null, that of the empty string."""
    strings = pc.fill_null(values.cast(pa.string()), "").to_numpy(zero_copy_only=False)
    return pd.util.hash_array(strings, categorize=False)


_recent: OrderedDict[tuple[int, int, int], pa.Array | _SortedHashes] = OrderedDict()
"""The last vocabularies by their address: themselves where they were asked for once, their hashes where again."""
_recent_lock = Lock()


def _sorted_hashes(vocabulary: pa.Array) -> _SortedHashes | None:
    data = vocabulary.buffers()[2] if pa.types.is_string(vocabulary.type) else None
    if data is None or vocabulary.null_count:
        return None
    key = (data.address, vocabulary.offset, len(vocabulary))
    with _recent_lock:
        found = _recent.pop(key, None)
        if found is None:
            found = vocabulary
        elif not isinstance(found, _SortedHashes):
            found = _SortedHashes(vocabulary)
        _recent[key] = found
        while len(_recent) > REMEMBERED:
            _recent.popitem(last=False)
    return found if isinstance(found, _SortedHashes) and found.is_distinct else None
