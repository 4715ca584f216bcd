"""Objects of a file, nested as they are: of JSON, of Parquet with lists and structs, or rows of a table by column."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from prectr.data.converters.reading.files import find_encoding, format_of, is_hub, open_bytes, open_text
from prectr.data.converters.reading.readers import Reading, read_batches, read_objects
from prectr.shared.errors import PrectrError
from prectr.shared.storage.unpacking import open_parquet

Objects = Iterator[tuple[int, dict[str, Any]]]
"""Number of the row or line, from 1, and what it says."""

Parser = Callable[[Path, IO[str]], Objects]
"""Reads the text of a file that is no JSON."""

_ROWS = 1 << 12


def open_objects(
    path: Path,
    reading: Reading,
    tell: Callable[[str], None],
    refuse: Callable[[str], None],
    columns: Sequence[str] = (),
    parser: Parser | None = None,
) -> Objects:
    """The objects of a file, one by one.

    Args:
        columns: those of a table that are wanted; none: it is no table. parser: of text that is no JSON.

    Raises:
        PrectrError: it cannot be read, or a column is missing.
    """
    kind = "jsonl" if parser else format_of(path, reading.format, "jsonl")
    if columns and (kind == "csv" or is_hub(path)):
        for batch in read_batches(path, columns, reading, tell, refuse):
            yield from ((row.pop("row"), row) for row in batch.to_pylist())
    elif kind == "parquet":
        yield from _parquet(path)
    else:
        encoding = find_encoding(path, reading.encoding)
        tell(f"{path.name}: {encoding}")
        if kind != "json" or (reading.format == "auto" and _begins_with_an_object(path, encoding)):
            kind = "jsonl"
        with open_text(path, encoding) as text:
            yield from parser(path, text) if parser else read_objects(path, text, kind)


def _begins_with_an_object(path: Path, encoding: str) -> bool:
    """Whether a file named `.json` has one object per line, as BigQuery exports them, and no array."""
    with open_text(path, encoding) as text:
        return text.read(1 << 10).lstrip().startswith("{")


def _parquet(path: Path) -> Objects:
    try:
        with open_bytes(path) as raw:
            packed = raw.read() if path.suffix.lower() in (".gz", ".zip") else None
            file = open_parquet(path, None, packed)
            number = 0
            for batch in file.iter_batches(_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (pa.ArrowException, ValueError, OverflowError) as error:  # a value may be no time of any calendar
        reason = " ".join(str(error).split())[:300]
        raise PrectrError(f"{path}: not a Parquet file, or a damaged one ({reason}): write it again.") from error
