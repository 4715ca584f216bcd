"""Rows of strings, whatever the file is: nothing becomes a number here, so an id stays as it was written."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from prectr.data.converters.reading.files import (
    find_encoding,
    format_of,
    is_hub,
    open_bytes,
    open_hub,
    open_text,
    zero_byte,
)
from prectr.data.converters.reading.missing import require_columns
from prectr.data.converters.reading.values import as_text, value_at
from prectr.shared.errors import PrectrError
from prectr.shared.storage.unpacking import open_parquet
from prectr.shared.strict_json import loads

BATCH = 1 << 15
DELIMITERS = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
LONGEST_FIELD = LONGEST_LINE = 1 << 26
MOST_LINES = 1000
"""Of a row, what is looked at to tell whether a quote has swallowed rows."""
SHOWN_ROWS, MOST_BROKEN = 3, 1000
"""Rows with another number of fields that are told one by one, and with more of which the file is another one."""
_SPACE = re.compile(r"\s*")

_NULL = pa.scalar(None, pa.string())

Rows = Iterator[tuple[int, Sequence[Any]]]
"""Number of the row in its file, from 1 (of JSON lines: of the line), and the values."""


@dataclass(frozen=True)
class Reading:
    """How files are read; `auto` finds out, and says what it found."""

    format: str = "auto"
    encoding: str = "auto"
    delimiter: str = "auto"
    quoting: bool = True
    decimal: str = "."


def _raise(message: str) -> None:
    raise PrectrError(message)


def read_batches(
    path: Path,
    columns: Sequence[str],
    reading: Reading,
    tell: Callable[[str], None] = lambda line: None,
    refuse: Callable[[str], None] = _raise,
) -> Iterator[pa.RecordBatch]:
    """The columns of a file as strings (null where there is nothing), with `row`, the number of the row in the file.

    Args:
        columns: names in the file; of JSON also paths into objects, such as `event_attributes.object.object_id`.
        tell: is called with a line on what was found. refuse: with rows that do not fit the first line, which are then
            left out.

    Raises:
        PrectrError: what is wrong, with file, row and remedy.
    """
    if is_hub(path):
        yield from _hub(path, columns)
        return
    kind = format_of(path, reading.format)
    if kind == "parquet":
        yield from _parquet(path, columns)
        return
    encoding = find_encoding(path, reading.encoding)
    with open_text(path, encoding) as text:
        if kind == "csv":
            delimiter, rows = _csv(path, text, columns, reading, refuse)
            name = next((name for name, sign in DELIMITERS.items() if sign == delimiter), repr(delimiter))
            tell(f"{path.name}: {encoding}, fields parted by {name}")
        else:
            rows = _fields(path, read_objects(path, text, kind), columns)
            tell(f"{path.name}: {encoding}, {'one JSON object per line' if kind == 'jsonl' else 'a JSON array'}")
        yield from to_batches(path, rows, columns, empty_is_null=kind == "csv")


def to_batches(path: Path, rows: Rows, columns: Sequence[str], empty_is_null: bool = False) -> Iterator[pa.RecordBatch]:
    """Batches of a stream of rows; strings and nulls only.

    Args:
        empty_is_null: whether an empty string is one that is not there.
    """
    schema = pa.schema([("row", pa.int64()), *((name, pa.string()) for name in columns)])
    numbers: list[int] = []
    values: list[Sequence[Any]] = []

    def batch() -> pa.RecordBatch:
        arrays = [pa.array(numbers, pa.int64())]
        for name, column in zip(columns, zip(*values, strict=True), strict=True):
            try:
                cells = pa.array(column, pa.string())
                arrays.append(pc.if_else(pc.equal(cells, ""), _NULL, cells) if empty_is_null else cells)
            except (pa.ArrowException, UnicodeError, TypeError) as error:
                odd = next(number for number, value in zip(numbers, column, strict=True) if not _is_text(value))
                raise PrectrError(f"{path}: {name}, row {odd}: a value is no text ({error}): correct it.") from error
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    for number, row in rows:
        numbers.append(number)
        values.append(row)
        if len(numbers) == BATCH:
            yield batch()
            numbers, values = [], []
    if numbers:
        yield batch()


def _is_text(value: Any) -> bool:
    try:
        return value is None or bool(value.encode() or True)
    except (AttributeError, UnicodeError):
        return False


def _csv(
    path: Path, text: IO[str], columns: Sequence[str], reading: Reading, refuse: Callable[[str], None]
) -> tuple[str, Rows]:
    csv.field_size_limit(min(LONGEST_FIELD, sys.maxsize))
    first = text.readline(1 << 20)
    if not first.strip():
        raise PrectrError(f"{path}: the first line is empty: put the names of the columns there.")
    delimiter = _delimiter(first, columns, reading)
    physical = Lines(path, text, first)
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if reading.quoting else csv.QUOTE_NONE
    lines = csv.reader(physical, delimiter=delimiter, quoting=quoting, strict=True)
    try:
        header = [name.strip() for name in next(lines)]
    except (csv.Error, StopIteration) as error:
        raise PrectrError(
            f"{path}: the names of the columns cannot be read ({error}): correct the first line."
        ) from error
    require_columns(path, columns, header)
    twice = next((name for name in columns if header.count(name) > 1), None)
    if twice is not None:
        raise PrectrError(f"{path}: column {twice!r} occurs twice: rename one of them.")
    chosen = _chosen([header.index(name) for name in columns])

    def rows() -> Rows:
        number = broken = 0
        width, line = len(header), lines.line_num
        try:
            for fields in lines:
                begin, line = line + 1, lines.line_num
                if not fields:
                    continue
                number += 1
                if line > begin:
                    _refuse_swallowed(path, begin, physical.since(begin), delimiter, width)
                if len(fields) != width:
                    broken += 1
                    told = (
                        f"{path}: row {number} (line {begin}) has {len(fields)} fields but the first line names "
                        f"{width}: mend the row, or say --delimiter, or --quoting false if quotes mean nothing."
                    )
                    if broken > MOST_BROKEN:
                        raise PrectrError(told)
                    if broken <= SHOWN_ROWS:
                        refuse(told)
                    continue
                yield number, chosen(fields)
            if broken > SHOWN_ROWS:
                refuse(f"{path}: {broken - SHOWN_ROWS:,} more rows have another number of fields.")
        except csv.Error as error:
            raise PrectrError(
                f"{path}: row {number + 1} (line {line + 1}): {_told(error)}: double the quotes inside a quoted "
                "field, or say --quoting false if they mean nothing."
            ) from error

    return delimiter, rows()


def _chosen(places: Sequence[int]) -> Callable[[list[str]], Sequence[str]]:
    """What gives the fields of a row at these places."""
    return itemgetter(*places) if len(places) > 1 else lambda fields: [fields[place] for place in places]


class Lines:
    """The lines of a text, none longer than `LONGEST_LINE`; those of the row being read are remembered.

    Args:
        first: what was read of the text already.
    """

    def __init__(self, path: Path, text: IO[str], first: str = "") -> None:
        self._path, self._text, self._first, self._number = path, text, first, 0
        self._kept: deque[str] = deque(maxlen=MOST_LINES)

    def __iter__(self) -> Iterator[str]:
        line = self._first
        if not line.endswith(("\n", "\r")):
            line += self._text.readline(LONGEST_LINE)
        while line:
            self._number += 1
            if len(line) >= LONGEST_LINE:
                raise PrectrError(
                    f"{self._path}: line {self._number} has {LONGEST_LINE:,} characters or more: it is no table of "
                    "rows; name another file, or its --file_format."
                )
            if "\0" in line:
                raise PrectrError(zero_byte(self._path, self._number))
            self._kept.append(line)
            yield line
            line = self._text.readline(LONGEST_LINE)

    def since(self, number: int) -> list[str]:
        """The lines from this one on, at most the last `MOST_LINES`."""
        return list(self._kept)[-(self._number - number + 1) :]


def _refuse_swallowed(path: Path, begin: int, lines: Sequence[str], delimiter: str, fields: int) -> None:
    """Raises `PrectrError` for a row of several lines each of which is a row by itself: a quote that only opens, as an
    inch sign does, has swallowed them up to the next one.
    """
    if fields > 1 and all(line.count(delimiter) == fields - 1 for line in lines):
        raise PrectrError(
            f"{path}: line {begin}: a double quote opens a field that closes in line {begin + len(lines) - 1}, but "
            f"each line between has all {fields} fields: mend the quote, or say --quoting false if quotes mean nothing."
        )


def _told(error: csv.Error) -> str:
    """What the csv module means."""
    if "end of data" in str(error):
        return "a double quote opens a field that nothing closes"
    return "a quoted field goes on behind its closing quote" if "expected after" in str(error) else str(error)


def _delimiter(first: str, columns: Sequence[str], reading: Reading) -> str:
    """The one asked for; else the one with which the header has most of the columns asked for, then most columns."""
    if reading.delimiter != "auto":
        sign = DELIMITERS.get(reading.delimiter, reading.delimiter.replace("\\t", "\t"))
        if len(sign) != 1 or sign in '\r\n"':
            raise PrectrError(f"--delimiter {reading.delimiter}: say {', '.join(DELIMITERS)}, or a single character.")
        return sign

    def names(sign: str) -> list[str]:
        try:
            return [name.strip() for name in next(csv.reader([first], delimiter=sign))]
        except (csv.Error, StopIteration):
            return []

    return max(DELIMITERS.values(), key=lambda sign: (len(set(columns) & set(names(sign))), len(names(sign))))


def read_objects(path: Path, text: IO[str], kind: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file of JSON lines, or of one JSON array, with their numbers from 1; never the whole file.

    Raises:
        PrectrError: not JSON, or something else than objects.
    """
    for number, found in _lines(path, text) if kind == "jsonl" else _array(path, text):
        if not isinstance(found, dict):
            raise PrectrError(f"{path}: row {number} is a JSON {type(found).__name__}, not an object {{…}}: mend it.")
        yield number, found


def _lines(path: Path, text: IO[str]) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(Lines(path, text), 1):
        if line.strip():
            try:
                yield number, loads(line)
            except ValueError as error:
                raise PrectrError(
                    f"{path}: line {number} is not a JSON object ({error}): mend it, or name the --file_format."
                ) from error


def _array(path: Path, text: IO[str]) -> Iterator[tuple[int, Any]]:
    decoder, number, expected, buffer, place = json.JSONDecoder(), 0, "[", "", 0
    reason = ""
    while True:
        if len(buffer) - place > LONGEST_LINE:
            raise PrectrError(
                f"{path}: after {number} objects: one of {LONGEST_LINE:,} characters or more, or no JSON: mend it."
            )
        chunk = text.read(max(1 << 20, len(buffer)))
        buffer, place = buffer[place:] + chunk, 0
        while True:
            place = _SPACE.match(buffer, place).end()  # type: ignore[union-attr]
            sign = buffer[place : place + 1]
            if not sign:
                break
            if sign not in expected:
                raise PrectrError(
                    f"{path}: after {number} objects: found {sign!r} where {' or '.join(expected)} should be: write a "
                    "JSON array of objects, or say --file_format jsonl for one object per line."
                )
            if sign == "]":
                return
            if sign != "{":
                expected, place = "{]" if sign == "[" else "{", place + 1
                continue
            try:
                found, place = decoder.raw_decode(buffer, place)
            except (ValueError, RecursionError) as error:
                reason = str(error)
                break
            number, expected = number + 1, ",]"
            yield number, found
        if not chunk:
            reason = reason if buffer[place:].strip() else "the array is not closed"
            raise PrectrError(f"{path}: after {number} objects: {reason}: the file is cut off, or not JSON; mend it.")


def _fields(path: Path, objects: Iterator[tuple[int, dict[str, Any]]], columns: Sequence[str]) -> Rows:
    missing, seen, number = set(columns), dict[str, None](), 0
    for number, found in objects:
        seen.update(dict.fromkeys(found) if missing else {})
        values = [value_at(found, name) for name in columns]
        missing -= {name for name, value in zip(columns, values, strict=True) if value is not None}
        yield number, [as_text(path, number, name, value) for name, value in zip(columns, values, strict=True)]
    if missing and number:
        require_columns(path, [name for name in columns if name in missing and name not in seen], list(seen))


def _parquet(path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    try:
        with open_bytes(path) as raw:
            file = open_parquet(path, columns, raw.read() if path.suffix.lower() in (".gz", ".zip") else None)
            require_columns(path, columns, file.schema_arrow.names)
            for name in columns:
                _require_single(path, name, file.schema_arrow.field(name).type)
            start = 1
            for batch in file.iter_batches(BATCH, columns=list(columns)):
                texts = [_strings(path, name, batch.column(name)) for name in columns]
                rows = pa.array(range(start, start + batch.num_rows), pa.int64())
                yield pa.RecordBatch.from_arrays([rows, *texts], names=["row", *columns])
                start += batch.num_rows
    except (pa.ArrowException, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise PrectrError(f"{path}: not a Parquet file, or a damaged one ({reason}): write it again.") from error


def _hub(path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    start = 1
    try:
        for table in open_hub(path).with_format("arrow").iter(BATCH):
            require_columns(path, columns, table.column_names)
            for batch in table.select(columns).combine_chunks().to_batches():
                texts = [_strings(path, name, batch.column(name)) for name in columns]
                rows = pa.array(range(start, start + batch.num_rows), pa.int64())
                yield pa.RecordBatch.from_arrays([rows, *texts], names=["row", *columns])
                start += batch.num_rows
    except (pa.ArrowException, ConnectionError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise PrectrError(f"{path}: it cannot be read on after row {start - 1} ({reason}): try again.") from error


def _require_single(path: Path, name: str, kind: pa.DataType) -> None:
    if pa.types.is_nested(kind) or pa.types.is_binary(kind):
        raise PrectrError(f"{path}: column {name!r} is {kind}: write it as strings or numbers.")


def _strings(path: Path, name: str, column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    _require_single(path, name, column.type)
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    texts = column.cast(pa.string())
    texts.validate(full=True)  # Parquet says what is UTF-8, and nobody has looked
    return pc.if_else(pc.equal(texts, ""), None, texts)
