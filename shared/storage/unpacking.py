"""Files that unpack to far more than lies on disk: 1.5 MB of Parquet or gzip may stand for 30 GB. [O]

Tables of rows pack well, rarely beyond 50 to 1. What goes beyond `MOST_TIMES` and is `LARGE` besides is refused before
memory is taken for it, in a sentence.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prectr.shared.errors import PrectrError

LARGE = 1 << 30
"""Bytes that no packing makes suspicious."""

MOST_TIMES = 250
"""What a file may unpack to, as a multiple of its size."""

_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}
_ROWS_AT_ONCE = 1 << 16


def most_bytes(size: int) -> int:
    """What a file of `size` bytes may unpack to."""
    return max(LARGE, MOST_TIMES * size)


class Unpacked(io.RawIOBase):
    """The bytes of an unpacked stream; too many are a `PrectrError`.

    Args:
        path: of the packed file, for its size and the message.
    """

    def __init__(self, packed: IO[bytes], path: Path) -> None:
        self._packed, self._path, self._read = packed, path, 0
        self._most = most_bytes(path.stat().st_size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._packed.read(len(buffer))
        self._read += len(part)
        if self._read > self._most:
            raise _too_much(self._path)
        buffer[: len(part)] = part
        return len(part)


def open_parquet(path: Path, columns: Sequence[str] | None = None, contents: bytes | None = None) -> pq.ParquetFile:
    """A Parquet file to be read in batches, or whole, whose columns fit what lies on disk.

    Args:
        columns: those that will be read; None: all. One that is not there is the caller's affair.
        contents: the file, where it was packed once more at `path`.

    Raises:
        PrectrError: a column's values take far more memory than the file takes disk.
        pyarrow.ArrowException, OSError: no Parquet file, or a damaged one.
    """
    source = path if contents is None else pa.BufferReader(contents)
    file = pq.ParquetFile(source, pre_buffer=False)  # buffered, a file read once ends up in memory whole
    size = path.stat().st_size if contents is None else len(contents)
    most = most_bytes(size)
    wanted = set(file.schema_arrow.names if columns is None else columns)
    total = 0
    texts: list[tuple[int, str, int]] = []
    for group in range(file.num_row_groups):
        chunks = file.metadata.row_group(group)
        for place in range(chunks.num_columns):
            chunk = chunks.column(place)
            name = chunk.path_in_schema.split(".")[0]
            if name not in wanted:
                continue
            total += max(chunk.total_uncompressed_size, chunk.num_values * _WIDTHS.get(chunk.physical_type, 0))
            # A text written once in a dictionary may stand in every row.
            is_text = chunk.physical_type not in _WIDTHS and chunk.has_dictionary_page
            if is_text and chunk.num_values * chunk.total_uncompressed_size > most:
                texts.append((group, name, chunk.num_values))
    if total > most:
        raise _too_much(path)
    if texts:
        names = sorted({name for _, name, _ in texts})
        again = path if contents is None else pa.BufferReader(contents)
        coded = pq.ParquetFile(again, pre_buffer=False, read_dictionary=names)
        longest = (rows * _longest(coded, group, name) for group, name, rows in texts)
        if total + sum(longest) > most:
            for group, name, _ in texts:
                for count in _bytes_of_texts(coded, group, name):
                    total += count
                    if total > most:
                        raise _too_much(path)
    return file


def _longest(coded: pq.ParquetFile, group: int, name: str) -> int:
    """Bytes of the longest text in a column's dictionary; its rows are not read."""
    batch = next(coded.iter_batches(1, row_groups=[group], columns=[name]), None)
    if batch is None or not pa.types.is_dictionary(batch.column(0).type):
        return 0
    return int(pc.max(pc.binary_length(batch.column(0).dictionary)).as_py() or 0)


def _bytes_of_texts(coded: pq.ParquetFile, group: int, name: str) -> Iterator[int]:
    """What a column's texts take, a batch at a time: read as they lie, as places in a dictionary."""
    for batch in coded.iter_batches(_ROWS_AT_ONCE, row_groups=[group], columns=[name]):
        column = batch.column(0)
        if pa.types.is_dictionary(column.type):
            lengths = pc.binary_length(column.dictionary).cast(pa.int64())
            yield pc.sum(lengths.take(column.indices)).as_py() or 0


def _too_much(path: Path) -> PrectrError:
    size = path.stat().st_size
    return PrectrError(
        f"{path}: {size:,} bytes that unpack to more than {most_bytes(size):,}, which no table of rows does: write the "
        "file again, or in several."
    )
