"""Writes a behaviour index of any size: its rows are dealt into ranges of keys that fit into memory, then sorted.

A sample of the keys says where ranges end (a sample sort), every row goes to its range's file, and each range in turn
is sorted as `BehaviourIndex.build` sorts a whole index; so the files are the same, byte for byte, as of an index built
in memory. A key with more rows than a range should have is a range of its own: its rows are in order as they come. [O]
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from prectr.rank.history.index import Part, known_rows, lists_of, row_type
from prectr.shared.atomic import own_folder
from prectr.shared.storage.npy import NpyWriter

ROWS_IN_MEMORY = 1 << 21
"""Rows of a range, about; sorting takes some 40 bytes for each."""
MOST_RANGES = 256
SAMPLED = 64
"""Every so-manieth key is in the sample."""

Parts = Callable[[], Iterator[Part]]


def write_index(
    folder: Path, name: str, parts: Parts, sizes: Sequence[int], num_rows: int, rows_in_memory: int = ROWS_IN_MEMORY
) -> None:
    """Write the files of one index into `folder`, where they appear when they are whole; nothing if they are there.

    Args:
        parts: called once per pass; yields the index's rows in ascending order, in one part or more.
        sizes: the number of codes of each part of the key. num_rows: of the log; decides the type of row numbers.
    """
    if (folder / f"{name}.offsets.npy").exists():
        return  # a killed run had come to its end
    rows_in_memory = max(rows_in_memory, num_rows // MOST_RANGES)
    sample = np.concatenate([known_rows(part, sizes)[0][::SAMPLED] for part in parts()])
    begins = range_begins(sample, rows_in_memory)
    with own_folder(folder, name) as spill:
        spill.mkdir()
        record = _deal(spill, parts, sizes, begins, row_type(num_rows))
        with IndexFiles(spill, name, record) as lists:
            for number in range(len(begins) + 1):
                held = np.memmap(spill / str(number), record, "r") if (spill / str(number)).stat().st_size else None
                one_key = has_one_key(begins, number)
                step = rows_in_memory if one_key else max(len(held) if held is not None else 1, 1)
                for start in range(0, 0 if held is None else len(held), step):
                    lists.append(np.array(held[start : start + step]))  # type: ignore[index]
        if not (folder / f"{name}.offsets.npy").exists():  # another process may have been given the same index
            move_whole(spill, name, folder)


def move_whole(spill: Path, name: str, folder: Path) -> None:
    """Put the files of an index where they belong; offsets come last, and say that it is whole."""
    for part in ("totals", "rows", "keys", "offsets"):
        if (written := spill / f"{name}.{part}.npy").exists():
            os.replace(written, folder / written.name)


def range_begins(sample: np.ndarray, rows_in_memory: int) -> np.ndarray:
    """The first key of every range but the first, ascending; a frequent key is alone in its range."""
    cuts = np.sort(sample)[:: max(rows_in_memory // SAMPLED, 1)][1:]
    keys, times = np.unique(cuts, return_counts=True)
    return np.unique(np.concatenate([keys, keys[times > 1] + 1]))


def has_one_key(begins: np.ndarray, number: int) -> bool:
    """Whether a range is a frequent key's own: its rows are in order as they come."""
    return bool(0 < number < len(begins) and begins[number] == begins[number - 1] + 1)


def _deal(spill: Path, parts: Parts, sizes: Sequence[int], begins: np.ndarray, row: type) -> np.dtype:
    """Append every row to the file of its range; returns what a record of these files is."""
    record = np.dtype([])
    with ExitStack() as stack:
        files = [stack.enter_context(open(spill / str(number), "wb")) for number in range(len(begins) + 1)]
        for part in parts():
            records, ends = dealt(part, sizes, begins, row)
            record = records.dtype
            for file, piece in zip(files, np.split(records, ends[:-1]), strict=True):
                piece.tofile(file)
    return record


def dealt(part: Part, sizes: Sequence[int], begins: np.ndarray, row: type) -> tuple[np.ndarray, np.ndarray]:
    """The rows of a part that have a key, as records (key, row, and values where there are some) in the order of their
    ranges, and where each range's end [R]."""
    keys, rows, values = known_rows(part, sizes)
    fields: list[tuple[Any, ...]] = [("key", np.int64), ("row", row)]
    if values is not None:
        fields.append(("values", values.dtype, values.shape[1:]))
    records = np.empty(len(keys), np.dtype(fields))
    records["key"], records["row"] = keys, rows
    if values is not None:
        records["values"] = values
    number = np.searchsorted(begins, keys, "right").astype(np.uint16)
    ends = np.cumsum(np.bincount(number, minlength=len(begins) + 1))
    return records[np.argsort(number, kind="stable")], ends


class IndexFiles:
    """The files of an index, to which ranges are appended in the order of their keys."""

    def __init__(self, folder: Path, name: str, record: np.dtype) -> None:
        self._stack, self._last_key, self._length = ExitStack(), -1, 0

        def file(part: str, dtype: type, width: tuple[int, ...] = ()) -> NpyWriter:
            return self._stack.enter_context(NpyWriter(folder / f"{name}.{part}.npy", dtype, width))

        self._keys, self._offsets = file("keys", np.int64), file("offsets", np.int64)
        self._rows = file("rows", record["row"].type)
        self._totals: NpyWriter | None = None
        if "values" in (record.names or ()):
            self._sum = np.zeros(record["values"].shape, np.int64)
            self._totals = file("totals", np.int64, record["values"].shape)
            self._totals.append(self._sum[None])

    def append(self, records: np.ndarray) -> None:
        """Append rows whose keys are the last one appended or above it, in any order among themselves."""
        values = records["values"] if self._totals is not None else None
        self.append_lists(*lists_of(records["key"], records["row"], values))

    def append_lists(self, keys: np.ndarray, begins: np.ndarray, rows: np.ndarray, totals: np.ndarray | None) -> None:
        """Append what `lists_of` made of such rows; `totals` is changed."""
        new = slice(int(keys[0] == self._last_key), None)
        self._keys.append(keys[new])
        self._offsets.append(begins[new] + self._length)
        self._rows.append(rows)
        if self._totals is not None and totals is not None:
            totals += self._sum
            self._totals.append(totals)
            self._sum = totals[-1].copy()
        self._length, self._last_key = self._length + len(rows), int(keys[-1])

    def __enter__(self) -> IndexFiles:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self._offsets.append(np.array([self._length] * 2))
        self._stack.__exit__(*error)  # type: ignore[arg-type]
