"""The contract between data sets and the two stages: which tables there are, their columns, and what must hold.

A data set is a folder of Parquet files, one per table. `SCHEMAS` gives every fixed column; further features are found
by their prefix (`PREFIXES`). `data/README.md` explains each column. Stage one trains on what satisfies
`validate_pairs`, which is here; `data/validate.py` checks the rest too.
"""

from __future__ import annotations

import difflib
import json
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shared.config import PrectrError

PAIR_SPLITS = ("train", "validation", "test", "test_types", "unlabelled")
IMPRESSION_SPLITS = ("train", "validation", "test", "new_users", "open")
EVALUATED_SPLITS = ("test", "new_users", "open")
SEARCH = "search"
EVENT_TYPES = (SEARCH, "purchase")
"""What every log knows; any other name may stand in `event_type` too, and is then an event without a page."""

_LEVEL_NAMES_KEY = b"level_names"
_ROW_GROUP = 1 << 18
_VISIBLE = r"[^\s\p{Z}\p{Cc}\p{Cf}]"
"""A character that is neither space, control nor format (such as a zero-width space)."""


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


def _expected_type(table: str, column: str) -> pa.DataType | None:
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
        """Append rows; `columns` maps every column's name to an array."""
        rows = pa.table(dict(columns))
        _check_columns(self._path, self._table, rows.schema)
        rows = rows.cast(_contract_schema(self._table, rows.column_names)).replace_schema_metadata(self._metadata)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, rows.schema, compression="zstd")
        self._writer.write_table(rows, row_group_size=_ROW_GROUP)

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()


def write_table(folder: Path, table: str, columns: Mapping[str, Any], level_names: Sequence[str] | None = None) -> None:
    """Write a whole table; `level_names` (for `pairs`), lowest level first, are kept in the file's metadata."""
    with TableWriter(folder, table, level_names) as writer:
        writer.write(columns)


def _contract_schema(table: str, columns: Sequence[str]) -> pa.Schema:
    return pa.schema([pa.field(name, _expected_type(table, name)) for name in columns])


def read_table(folder: Path, table: str, columns: Sequence[str] | None = None) -> pa.Table:
    """One table, its columns and types checked (of its contents, only that they fit); `columns` reads only those.

    A column of the same kind is cast: large_string to string, int64 to int32, Parquet's timestamp[ms] to [s]. One of
    `MAY_BE_ABSENT` that the file lacks comes last, as nulls.
    """
    path = table_path(folder, table)
    if table not in SCHEMAS:
        raise PrectrError(f"There is no table {table!r} in the contract; the tables are {', '.join(SCHEMAS)}.")
    if not path.exists():
        raise PrectrError(f"{path} is missing: build the data set with `python -m data build`, or write that table.")
    try:
        found = pq.read_schema(path)
        _check_columns(path, table, found)
        absent = [name for name in MAY_BE_ABSENT.get(table, ()) if name not in found.names]
        wanted = list(columns) if columns is not None else [*found.names, *absent]
        rows = pq.read_table(path, columns=[name for name in wanted if name not in absent])
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise PrectrError(f"{path} is not a Parquet file, or a damaged one ({reason}): write it again.") from error
    for name in absent:
        rows = rows.append_column(name, pa.nulls(rows.num_rows, _string)) if name in wanted else rows
    return _cast(path, rows.select(wanted), _contract_schema(table, wanted))


def _cast(path: Path, rows: pa.Table, schema: pa.Schema) -> pa.Table:
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

    Raises:
        PrectrError: fewer than two levels, a level without a name, or metadata that holds no names.
    """
    pairs = Checker(folder, "pairs", ["level"])
    highest = pc.max(pairs.column("level")).as_py()
    stored = (pq.read_schema(pairs.path).metadata or {}).get(_LEVEL_NAMES_KEY)
    names = _parse_names(pairs.path, stored) if stored else [f"level {level}" for level in range((highest or 0) + 1)]
    if highest is None or len(names) < 2:
        found = "no row has one" if highest is None else f"the highest is {highest} but {len(names)} levels are named"
        raise PrectrError(
            f"{pairs.path}: level: {found}: label pairs with at least two levels, 0 the lowest, and name them all."
        )
    level_range(pairs, names)
    return names


def _parse_names(path: Path, stored: bytes) -> list[str]:
    try:
        names = json.loads(stored)
    except ValueError:
        names = None
    is_list = isinstance(names, list) and all(isinstance(name, str) and name.strip() for name in names)
    if not is_list or len(set(names)) < len(names):
        raise PrectrError(
            f"{path}: metadata {_LEVEL_NAMES_KEY.decode()!r}: found {_short.repr(stored)}: write a JSON list of "
            "distinct names, lowest level first."
        )
    return names


def reconstructed(folder: Path) -> str:
    """What a data set says of itself that was not observed (`reconstructed` in summary.json), for every table of
    figures made from it; empty where it says nothing.
    """
    summary = Path(folder) / "summary.json"
    return str(json.loads(summary.read_text(encoding="utf-8")).get("reconstructed", "")) if summary.exists() else ""


def _check_columns(path: Path, table: str, schema: pa.Schema) -> None:
    twice = next((name for name in schema.names if schema.names.count(name) > 1), None)
    if twice is not None:
        raise PrectrError(f"{path}: column {twice!r} occurs twice: keep one of them.")
    for field in SCHEMAS[table]:
        if field.name not in schema.names and field.name not in MAY_BE_ABSENT.get(table, ()):
            near = difflib.get_close_matches(field.name, schema.names, 1)
            hint = f" (is it {near[0]!r}?)" if near else ""
            raise PrectrError(
                f"{path}: column {field.name!r} ({field.type}) is missing{hint}; found {', '.join(schema.names)}: "
                "add it or rename one."
            )
    for field in schema:
        expected = _expected_type(table, field.name)
        if expected is None:
            prefixes = " or ".join(f"{prefix}..." for prefix in PREFIXES.get(table, {}))
            remedy = f"rename it to {prefixes}, or drop it" if prefixes else "drop it"
            near = difflib.get_close_matches(field.name, set(SCHEMAS[table].names) - set(schema.names), 1)
            remedy = f"is it {near[0]!r}? If so rename it, else {remedy}" if near else remedy
            raise PrectrError(f"{path}: column {field.name!r} is not in the contract: {remedy}.")
        if not _same_kind(field.type, expected):
            has_gaps = pa.types.is_floating(field.type) and pa.types.is_integer(expected)
            hint = " (in pandas: astype('Int64'), which knows gaps)" if has_gaps else ""
            raise PrectrError(f"{path}: column {field.name!r} is {field.type}: write it as {expected}{hint}.")


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


class Checker:
    """One table under validation; every failure names file, column, row (from 0), what was found and what to do."""

    def __init__(self, folder: Path, table: str, columns: Sequence[str] | None = None):
        self.path = table_path(folder, table)
        self.table = table
        self.rows = read_table(folder, table, columns)

    def column(self, name: str) -> pa.ChunkedArray:
        return self.rows[name]

    def where(self, split: str) -> pa.Table:
        return self.rows.filter(pc.equal(self.rows["split"], split))

    def fail_where(self, bad: pa.ChunkedArray | np.ndarray, column: str, message: str) -> None:
        """Raise for the first true row of `bad` (a null counts as false)."""
        mask = bad if isinstance(bad, np.ndarray) else pc.fill_null(bad, False).to_numpy()
        if mask.any():
            self.fail(int(mask.argmax()), column, message)

    def fail(self, row: int, column: str, message: str) -> NoReturn:
        raise PrectrError(f"{self.path}: {column}, row {row}: found {self.show(row, column)}: {message}")

    def show(self, row: int, column: str) -> str:
        """A value on one line, its middle left out where it is long."""
        return _short.repr(self.rows[column][row].as_py())

    def codes(self, column: str) -> np.ndarray:
        """[rows] int: equal exactly where the values are; null is a value."""
        return pc.index_in(self.column(column), value_set=pc.unique(self.column(column))).to_numpy()

    def values(self) -> None:
        """Every required value is there; numbers are finite, strings are UTF-8."""
        for name in self.rows.column_names:
            if pa.types.is_string(self.column(name).type):
                self._utf8(name)
            schema = SCHEMAS[self.table]
            if name in schema.names and schema.field(name).nullable:
                continue
            self.fail_where(self.column(name).is_null(), name, "a value is required (write 'unknown' for a category).")
            if pa.types.is_floating(self.column(name).type):
                self.fail_where(pc.invert(pc.is_finite(self.column(name))), name, "write a finite number.")

    def _utf8(self, name: str) -> None:
        try:
            self.column(name).validate(full=True)
        except pa.ArrowInvalid as error:
            for row, value in enumerate(self.column(name).cast(pa.binary()).to_pylist()):
                if value is not None and value.decode(errors="ignore").encode() != value:
                    raise PrectrError(
                        f"{self.path}: {name}, row {row}: found {_short.repr(value)}: write it as UTF-8."
                    ) from error

    def visible(self, column: str) -> None:
        """Texts hold something to read."""
        visible = pc.match_substring_regex(self.column(column), _VISIBLE)
        self.fail_where(pc.invert(visible), column, "write a text with a visible character, or drop the row.")

    def one_of(self, column: str, allowed: Sequence[str]) -> None:
        known = pc.is_in(self.column(column), pa.array(allowed))
        self.fail_where(pc.invert(known), column, f"use one of {', '.join(allowed)}.")

    def unique(self, column: str) -> None:
        codes = self.codes(column)
        _, first = np.unique(codes, return_index=True)
        repeated = np.ones(len(codes), bool)
        repeated[first] = False
        if repeated.any():
            row = int(repeated.argmax())
            self.fail(row, column, f"it occurs twice, first in row {first[codes[row]]}: every row needs its own.")

    def refers_to(self, column: str, other: Checker) -> None:
        known = pc.is_in(self.column(column), other.column(column).combine_chunks())
        missing = pc.and_(pc.invert(known), self.column(column).is_valid())
        self.fail_where(missing, column, f"{other.path.name} has no such {column}: add it there or drop the row.")


def validate_pairs(folder: Path) -> None:
    """Check `pairs` and the items they name, which is all that stage one trains on.

    Raises:
        PrectrError: the first thing found wrong, as one sentence with file, column, row, what was found, what to do.
    """
    items, pairs = Checker(folder, "items", ["item_id", "text"]), Checker(folder, "pairs")
    for table in (items, pairs):
        table.values()
    check_items(items)
    check_pairs(pairs, items, levels(folder))


def check_items(items: Checker) -> None:
    """Every item once, with a text."""
    items.unique("item_id")
    items.visible("text")


def check_pairs(pairs: Checker, items: Checker, names: Sequence[str]) -> None:
    """Texts, references, splits and levels, of which a gold pair has one each."""
    pairs.one_of("split", PAIR_SPLITS)
    pairs.visible("query")
    pairs.visible("item_text")
    both_or_none = pc.equal(pairs.column("item_id").is_null(), pairs.column("item_text").is_null())
    pairs.fail_where(both_or_none, "item_id", "give exactly one of item_id and item_text.")
    pairs.refers_to("item_id", items)
    unlabelled = pc.equal(pairs.column("split"), "unlabelled")
    wrong = pc.not_equal(unlabelled, pairs.column("level").is_null())
    pairs.fail_where(wrong, "level", "a level is null exactly where split is 'unlabelled': change one of the two.")
    level_range(pairs, names)
    _one_judgement(pairs, "split", "a gold pair belongs to one split: drop one of the two rows.")
    _one_judgement(pairs, "level", "a gold pair has one level: drop one of the two rows, or merge them.")


def level_range(table: Checker, names: Sequence[str]) -> None:
    """Every level there is has a name."""
    outside = pc.or_(pc.less(table.column("level"), 0), pc.greater_equal(table.column("level"), len(names)))
    table.fail_where(
        outside, "level", f"levels go from 0 to {len(names) - 1} ({', '.join(names)}): correct it, or name more levels."
    )


def _one_judgement(pairs: Checker, column: str, message: str) -> None:
    """No two gold rows of one pair differ in `column`.

    Items that share a text remain different pairs: what is the same to read may differ in what the judge knew.
    """
    gold = np.flatnonzero(pc.not_equal(pairs.column("split"), "unlabelled").to_numpy())
    is_text = pairs.column("item_id").is_null().to_numpy()
    item = np.where(is_text, pairs.codes("item_text"), -1 - pairs.codes("item_id"))
    pair = (pairs.codes("query") * (2 * np.int64(len(is_text)) + 2) + item)[gold]
    order = np.argsort(pair, kind="stable")
    value = pairs.codes(column)[gold[order]]
    differs = (np.diff(pair[order]) == 0) & (np.diff(value) != 0)
    if differs.any():
        rows = np.stack([gold[order][:-1], gold[order][1:]], 1)[differs]
        first, row = (int(each) for each in rows[rows[:, 1].argmin()])
        text = "item_text" if is_text[row] else "item_id"
        pairs.fail(
            row,
            column,
            f"row {first} says {pairs.show(first, column)} of the same pair, query {pairs.show(row, 'query')} and "
            f"{text} {pairs.show(row, text)}: {message}",
        )
