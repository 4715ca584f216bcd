"""One pass over a table's file, a batch at a time: whether it can be read at all, and what one row alone can tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prectr.data.checks.defects import Defect
from prectr.data.contract import SCHEMAS, column_faults, expected_type, table_path
from prectr.shared.storage.unpacking import open_parquet
from prectr.shared.values.times import FIRST, LAST

BATCH = 1 << 16
NO_PAGE = np.iinfo(np.int64).max

MILLISECONDS = "these are milliseconds read as seconds: divide them by 1,000."
NO_TIME = "that is seconds read as milliseconds, or no time at all: write seconds since 1970."
FUTURE = "it lies in the future: correct it."
UNSORTED = "sort the table by (timestamp, page_id), nulls last."
AS_FLOATS = "ids were numbers and read as floats: write them as the source has them, '123' and not '123.0'."


def scan(folder: Path, table: str) -> tuple[list[Defect], bool]:
    """What is wrong with a table's file, columns, texts, whole numbers, ids, times and, in behaviours, order; and
    whether, for all that, another engine can read it.

    Memory is that of a batch of rows, however long the table is.
    """
    path = table_path(folder, table)
    if not path.is_file():
        return [Defect(table, "is a folder, a pipe or a device: write the table as a Parquet file.")], False
    try:
        file = open_parquet(path)
        faults = [Defect(table, fault) for _, fault in column_faults(table, file.schema_arrow)]
        # Rows of a table whose columns are wrong would only repeat it.
        if faults:
            return faults, False
        found = _Scan(table)
        return [*found.run(file)], found.readable
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        return [Defect(table, f"is not a Parquet file, or a damaged one ({reason}): write it again.")], False


class _Scan:
    """The defects of a table, each counted and with its first row."""

    def __init__(self, table: str) -> None:
        self.table = table
        self.found: dict[tuple[str, str], tuple[int, int, Any]] = {}
        self.latest = int((datetime.now(UTC) + timedelta(days=1)).timestamp())
        self.last = (np.iinfo(np.int64).min, 0)
        self.readable = True
        self.ids = {name: [0, 0] for name in ("item_id", "user_id") if name in SCHEMAS[table].names}

    def run(self, file: pq.ParquetFile) -> Iterator[Defect]:
        first = 0
        for batch in file.iter_batches(BATCH):
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                self._column(name, column, first)
            if self.table == "behaviours":
                self._order(batch, first)
            first += batch.num_rows
        for (column, remedy), (row, rows, value) in self.found.items():
            yield Defect.of_rows(self.table, column, row, rows, value, remedy)
        for column, (ids, floats) in self.ids.items():
            if ids and ids == floats:
                yield Defect(self.table, f"{column}: every one ends in '.0': {AS_FLOATS}")

    def _note(
        self, column: str, remedy: str, bad: pa.Array | np.ndarray, told: Callable[[int], Any], first: int
    ) -> None:
        mask = bad if isinstance(bad, np.ndarray) else pc.fill_null(bad, False).to_numpy(zero_copy_only=False)
        if mask.any():
            row = int(mask.argmax())
            at, rows, value = self.found.get((column, remedy), (first + row, 0, told(row)))
            self.found[column, remedy] = (at, rows + int(mask.sum()), value)
            self.readable &= remedy in (NO_TIME, FUTURE, UNSORTED)

    def _column(self, name: str, column: pa.Array, first: int) -> None:
        kind: Any = expected_type(self.table, name)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_string(kind) and not pa.types.is_null(column.type):
            self._texts(name, column, first)
        elif pa.types.is_integer(kind) and kind.bit_width < 64 and not pa.types.is_null(column.type):
            limits, values = np.iinfo(kind.to_pandas_dtype()), column.cast(pa.float64(), safe=False)
            outside = pc.or_(pc.less(values, float(limits.min)), pc.greater(values, float(limits.max)))
            self._note(name, f"write a number that fits {kind}.", outside, lambda row: column[row].as_py(), first)
        elif pa.types.is_timestamp(column.type):
            seconds = _seconds(column)
            ahead = pc.and_(pc.greater(seconds, self.latest), pc.less(seconds, LAST))
            self._note(name, MILLISECONDS, pc.greater_equal(seconds, LAST), _told(seconds), first)
            self._note(name, NO_TIME, pc.less(seconds, FIRST), _told(seconds), first)
            self._note(name, FUTURE, ahead, _told(seconds), first)

    def _texts(self, name: str, column: pa.Array, first: int) -> None:
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            raw = column.cast(pa.binary()).to_pylist()
            bad = [value is not None and value.decode(errors="ignore").encode() != value for value in raw]
            self._note(name, "write it as UTF-8.", np.array(bad), raw.__getitem__, first)
            return
        if name in self.ids:
            self.ids[name][0] += len(column) - column.null_count
            if self.ids[name][0] and (first == 0 or self.ids[name][1]):
                self.ids[name][1] += pc.sum(pc.match_substring_regex(column, r"^\d+\.0$")).as_py() or 0

    def _order(self, batch: pa.RecordBatch, first: int) -> None:
        if not batch.num_rows:
            return
        seconds = pc.fill_null(_seconds(batch["timestamp"]), 0).to_numpy()
        pages = pc.fill_null(batch["page_id"].cast(pa.int64()), NO_PAGE).to_numpy()
        times, places = np.append(self.last[0], seconds), np.append(self.last[1], pages)
        back = (times[1:] < times[:-1]) | ((times[1:] == times[:-1]) & (places[1:] < places[:-1]))
        self._note("timestamp", UNSORTED, back, _told(_seconds(batch["timestamp"])), first)
        self.last = (seconds[-1], pages[-1])


def _seconds(times: pa.Array) -> pa.Array:
    return times.cast(pa.timestamp("s"), safe=False).cast(pa.int64())


def _told(seconds: pa.Array) -> Callable[[int], str]:
    """Times as text: numpy knows years that are beyond Python's calendar."""
    return lambda row: str(np.datetime64(seconds[row].as_py(), "s")).replace("T", " ")
