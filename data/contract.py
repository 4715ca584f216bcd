"""The contract between data sets and the two stages: which tables there are, their columns, and what must hold.

A data set is a folder of Parquet files, one per table. `SCHEMAS` gives every fixed column; further features are found
by their prefix (`PREFIXES`). `data/README.md` explains each column; `data/checks/validate.py` checks what the
tables hold.
"""

from __future__ import annotations

import difflib
import json
import reprlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prectr.shared.errors import PrectrError
from prectr.shared.run.schema import read_json
from prectr.shared.storage.unpacking import open_parquet
from prectr.shared.strict_json import loads

PAIR_SPLITS = ("train", "validation", "test", "test_types", "unlabelled")
IMPRESSION_SPLITS = ("train", "validation", "test", "new_users", "open")
EVALUATED_SPLITS = ("test", "new_users", "open")
SEARCH = "search"
EVENT_TYPES = (SEARCH, "purchase")
"""What every log knows; any other name may stand in `event_type` too, and is then an event without a page."""

_LEVEL_NAMES_KEY = b"level_names"
_ROW_GROUP = 1 << 18
MOST_COLUMNS = 1000
"""Of a table: a file with many thousands is no table of anybody's, and takes minutes to say so."""


def _schema(**columns: pa.DataType) -> pa.Schema:
    """Columns whose name ends in `__null` may hold nulls; the suffix is not part of the name."""
    nullable = {name: name.endswith("__null") for name in columns}
    return pa.schema([pa.field(name.removesuffix("__null"), kind, nullable[name]) for name, kind in columns.items()])


_string, _int64, _seconds = pa.string(), pa.int64(), pa.timestamp("s")

SCHEMAS: dict[str, pa.Schema] = {
    "items": _schema(item_id=_string, text=_string, category__null=_string),
    "users": _schema(user_id=_string),
    "pairs": _schema(
        query=_string, item_id__null=_string, item_text__null=_string, level__null=pa.int8(), split=_string
    ),
    "impressions": _schema(
        impression_id=_int64, page_id=_int64, user_id__null=_string, query=_string, query_category__null=_string,
        item_id=_string, position=pa.int32(), timestamp=_seconds, clicked=pa.bool_(), split=_string,
    ),
    "behaviours": _schema(
        user_id__null=_string, query__null=_string, query_category__null=_string, item_id=_string, clicked=pa.bool_(),
        timestamp=_seconds, event_type=_string, page_id__null=_int64,
    ),
    "queries": _schema(
        query=_string, query_category__null=_string, seen_in_training=pa.bool_(), has_gold_labels=pa.bool_()
    ),
    "gold": _schema(query=_string, item_id=_string, level=pa.int8()),
}  # fmt: skip

OPTIONAL = frozenset({"users", "queries", "gold"})
MAY_BE_ABSENT: dict[str, tuple[str, ...]] = {
    "items": ("category",),
    "pairs": ("item_id", "item_text"),
    "impressions": ("user_id", "query_category"),
    "behaviours": ("user_id", "query_category"),
    "queries": ("query_category",),
}
"""Columns that a file may lack; `read_table` then returns them as nulls. No two null users are taken for one,
and a null category is shared by nothing: what backs off to it finds nothing."""
OPTIONAL_COLUMNS: dict[str, dict[str, pa.DataType]] = {"impressions": {"weight": pa.float32()}}

PREFIXES: dict[str, dict[str, pa.DataType]] = {
    "items": {"num_": pa.float32(), "cat_": _string},
    "users": {"num_": pa.float32(), "cat_": _string},
    "impressions": {"ctx_num_": pa.float32(), "ctx_cat_": _string, "label_": pa.bool_()},
}


def expected_type(table: str, column: str) -> pa.DataType | None:
    schema = SCHEMAS[table]
    if column in schema.names:
        return schema.field(column).type
    if column in OPTIONAL_COLUMNS.get(table, {}):
        return OPTIONAL_COLUMNS[table][column]
    return next((kind for prefix, kind in PREFIXES.get(table, {}).items() if column.startswith(prefix)), None)


def table_path(folder: Path, table: str) -> Path:
    return Path(folder) / f"{table}.parquet"


def has_table(folder: Path, table: str) -> bool:
    return table_path(folder, table).exists()


def require_file(path: Path) -> None:
    """Refuse what is not there, and what would be waited for: a pipe or a device in place of a table.

    Raises:
        PrectrError: it is no regular file.
    """
    if not path.exists():
        raise PrectrError(f"{path} is missing: build the data set with `python -m data build`, or write that table.")
    if not path.is_file():
        raise PrectrError(f"{path} is a folder, a pipe or a device: write the table as a Parquet file.")


class TableWriter:
    """Writes a table in parts, each cast to the contract's types and checked for its columns.

    Example:
        >>> with TableWriter(folder, "items") as writer:
        ...     writer.write({"item_id": ids, "text": texts, "category": categories})
    """

    def __init__(self, folder: Path, table: str, level_names: Sequence[str] | None = None):
        self._path, self._table = table_path(folder, table), table
        self._writer: pq.ParquetWriter | None = None
        # `levels` reads the names back from the file's metadata.
        self._metadata = {_LEVEL_NAMES_KEY: json.dumps(list(level_names)).encode()} if level_names is not None else None

    def __enter__(self) -> TableWriter:
        return self

    def write(self, columns: Mapping[str, Any]) -> None:
        """Append rows; `columns` maps every column's name to an array.

        Raises:
            PrectrError: a column of mixed types, or one that is not in the contract or not of its kind.
        """
        rows = pa.table({name: _as_array(self._path, name, values) for name, values in columns.items()})
        check_columns(self._path, self._table, rows.schema)
        rows = cast_rows(self._path, rows, contract_schema(self._table, rows.column_names))
        rows = rows.replace_schema_metadata(self._metadata)
        if self._writer is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(self._path, rows.schema, compression="zstd")
        self._writer.write_table(rows, row_group_size=_ROW_GROUP)

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()


def write_table(folder: Path, table: str, columns: Mapping[str, Any], level_names: Sequence[str] | None = None) -> None:
    """Write a whole table; `level_names` (for `pairs`), lowest level first, are kept in the file's metadata."""
    with TableWriter(folder, table, level_names) as writer:
        writer.write(columns)


def _as_array(path: Path, name: str, values: Any) -> Any:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    try:
        return pa.array(values)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())[:120]
        raise PrectrError(f"{path}: {name}: its values are not of one type ({reason}): make them so.") from error


def contract_schema(table: str, columns: Sequence[str]) -> pa.Schema:
    return pa.schema([pa.field(name, expected_type(table, name)) for name in columns])


def read_table(folder: Path, table: str, columns: Sequence[str] | None = None) -> pa.Table:
    """One table, its columns and types checked (of its contents, only that they fit); `columns` reads only those.

    A column of the same kind is cast: large_string to string, int64 to int32, Parquet's timestamp[ms] to [s]. One of
    `MAY_BE_ABSENT` that the file lacks comes last, as nulls.
    """
    path = table_path(folder, table)
    if table not in SCHEMAS:
        raise PrectrError(f"There is no table {table!r} in the contract; the tables are {', '.join(SCHEMAS)}.")
    require_file(path)
    try:
        found = pq.read_schema(path)
        check_columns(path, table, found)
        absent = [name for name in MAY_BE_ABSENT.get(table, ()) if name not in found.names]
        wanted = list(columns) if columns is not None else [*found.names, *absent]
        present = [name for name in wanted if name not in absent]
        open_parquet(path, present).close()
        rows = pq.read_table(path, columns=present)
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise PrectrError(f"{path} is not a Parquet file, or a damaged one ({reason}): write it again.") from error
    for name in absent:
        rows = rows.append_column(name, pa.nulls(rows.num_rows, _string)) if name in wanted else rows
    return cast_rows(path, rows.select(wanted), contract_schema(table, wanted))


def cast_rows(path: Path, rows: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = []
    for field in schema:
        column = rows[field.name]
        try:
            # A time may lose its milliseconds; a level of 256 may not become 0.
            columns.append(column.cast(field.type, safe=not pa.types.is_timestamp(field.type)))
        except pa.ArrowInvalid as error:
            if not pa.types.is_integer(field.type):
                raise PrectrError(f"{path}: {field.name}: {error}: write it as {field.type}.") from error
            limits, values = np.iinfo(field.type.to_pandas_dtype()), column.cast(pa.float64(), safe=False)
            outside = pc.or_(pc.less(values, float(limits.min)), pc.greater(values, float(limits.max)))
            row = pc.index(outside, True).as_py()
            raise PrectrError(
                f"{path}: {field.name}, row {row}: found {column[row].as_py()}: write a number that fits {field.type}."
            ) from None
    return pa.Table.from_arrays(columns, schema=schema.with_metadata(rows.schema.metadata))


def levels(folder: Path) -> list[str]:
    """Names of the relevance levels 0..K-1: from the metadata of `pairs`, or `level 0`.. up to the highest level.

    With names in the metadata no pair need have a level: a teacher that needs no gold can then say all of them.

    Raises:
        PrectrError: fewer than two levels, a level without a name, or metadata that holds no names.
    """
    path = table_path(folder, "pairs")
    column = read_table(folder, "pairs", ["level"])["level"]
    highest = pc.max(column).as_py()
    stored = (pq.read_schema(path).metadata or {}).get(_LEVEL_NAMES_KEY)
    names = _parse_names(path, stored) if stored else [f"level {level}" for level in range((highest or 0) + 1)]
    if len(names) < 2:
        found = "no row has one" if highest is None else f"the highest is {highest} but {len(names)} levels are named"
        raise PrectrError(
            f"{path}: level: {found}: label pairs with at least two levels, 0 the lowest, and name them all (where no "
            "pair has one, the names alone will do: `write_table(folder, 'pairs', columns, level_names)`)."
        )
    outside = pc.fill_null(pc.or_(pc.less(column, 0), pc.greater_equal(column, len(names))), False)
    if pc.any(outside).as_py():
        row = pc.index(outside, True).as_py()
        raise PrectrError(f"{path}: level, row {row}: found {column[row].as_py()}: {level_remedy(names)}")
    return names


def level_remedy(names: Sequence[str]) -> str:
    """What to do about a level without a name."""
    return f"levels go from 0 to {len(names) - 1} ({', '.join(names)}): correct it, or name more levels."


def _parse_names(path: Path, stored: bytes) -> list[str]:
    try:
        names = loads(stored)
    except ValueError:
        names = None
    is_list = isinstance(names, list) and all(isinstance(name, str) and name.strip() for name in names)
    if not is_list or len(set(names)) < len(names):
        raise PrectrError(
            f"{path}: metadata {_LEVEL_NAMES_KEY.decode()!r}: found {_short.repr(stored)}: write a JSON list of "
            "distinct names, lowest level first."
        )
    return names


def own_names(folder: Path) -> dict[str, list[str]]:
    """What a shop calls the columns, as its conversion was told: column -> names or paths; empty for other tables.

    Whoever writes tables may write anything beside them: what is no such list is passed over.
    """
    path = folder / "summary.json"
    found = read_json(path) if path.exists() else {}
    for key in ("conversion", "names"):
        found = found.get(key) if isinstance(found, dict) else None
    names = found.items() if isinstance(found, dict) else ()
    return {
        column: words for column, words in names if isinstance(words, list) and all(isinstance(w, str) for w in words)
    }


def reconstructed(folder: Path) -> str:
    """What a data set says of itself that was not observed (`reconstructed` in summary.json), for every table of
    figures made from it; empty where it says nothing.
    """
    summary = Path(folder) / "summary.json"
    if not summary.exists():
        return ""
    found = read_json(summary)
    return str(found.get("reconstructed", "")) if isinstance(found, dict) else ""


def column_faults(table: str, schema: pa.Schema) -> Iterator[tuple[str, str]]:
    """What is wrong with the columns of a table, as (column, sentence): missing, unknown, twice, or of another kind."""
    if len(schema) > MOST_COLUMNS:
        said = f"it has {len(schema):,} columns, and a table of this contract has at most {MOST_COLUMNS:,}"
        yield schema.names[0], f"{said}: keep those that data/README.md names."
        return
    spellings: dict[str, str] = {}
    for name in schema.names:
        before = spellings.setdefault(name.lower(), name)
        if before != name:
            yield name, f"columns {before!r} and {name!r} differ in case alone: rename one of them."
    for name in sorted(name for name, times in Counter(schema.names).items() if times > 1):
        yield name, f"column {name!r} occurs twice: keep one of them."
    unknown = [name for name in schema.names if expected_type(table, name) is None]
    absent = [field for field in SCHEMAS[table] if field.name not in schema.names]
    explained = set()
    for field in absent:
        if field.name not in MAY_BE_ABSENT.get(table, ()):
            near = difflib.get_close_matches(field.name, unknown, 1)
            explained.update(near)
            hint = f" (is it {near[0]!r}?)" if near else ""
            yield (
                field.name,
                f"column {field.name!r} ({field.type}) is missing{hint}; found {', '.join(schema.names)}: "
                "add it or rename one.",
            )
    for name in unknown:
        if name not in explained:
            yield name, f"column {name!r} is not in the contract: {_remedy_of_unknown(table, name, schema)}."
    for field in schema:
        expected = expected_type(table, field.name)
        if expected is not None and not _same_kind(field.type, expected):
            yield (
                field.name,
                f"column {field.name!r} is {field.type}: write it as {expected}{_hint(field.type, expected)}.",
            )


def _remedy_of_unknown(table: str, name: str, schema: pa.Schema) -> str:
    prefixes = " or ".join(f"{prefix}..." for prefix in PREFIXES.get(table, {}))
    remedy = f"rename it to {prefixes}, or drop it" if prefixes else "drop it"
    others = set(SCHEMAS[table].names) | set(OPTIONAL_COLUMNS.get(table, {}))
    near = difflib.get_close_matches(name, others - set(schema.names), 1)
    return f"is it {near[0]!r}? If so rename it, else {remedy}" if near else remedy


def _hint(found: pa.DataType, expected: pa.DataType) -> str:
    if pa.types.is_floating(found) and pa.types.is_integer(expected):
        return " (in pandas: astype('Int64'), which knows gaps)"
    if pa.types.is_floating(found) and pa.types.is_string(expected):
        return " as the source had it, '123' and not '123.0' (in pandas: read_csv(..., dtype=str))"
    if pa.types.is_integer(found) and pa.types.is_timestamp(expected):
        return " (in pandas: to_datetime(..., unit='s'), or unit='ms' where they are milliseconds)"
    return ""


def check_columns(path: Path, table: str, schema: pa.Schema) -> None:
    for _, fault in column_faults(table, schema):
        raise PrectrError(f"{path}: {fault}")


def _same_kind(found: pa.DataType, expected: pa.DataType) -> bool:
    if pa.types.is_null(found):
        return True
    if pa.types.is_dictionary(found):
        return _same_kind(found.value_type, expected)
    if pa.types.is_timestamp(found) and pa.types.is_timestamp(expected):
        return found.tz is None
    kinds = (_is_string, pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
    return any(kind(found) and kind(expected) for kind in kinds)


def _is_string(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


_short = reprlib.Repr()
_short.maxstring = _short.maxother = 80
