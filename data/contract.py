"""The contract between data sets and the two stages: which tables there are, their columns, and what must hold.

A data set is a folder of Parquet files, one per table. `SCHEMAS` gives every fixed column; further features are found
by their prefix (`PREFIXES`). `data/README.md` explains each column. What satisfies `validate` can be trained on.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shared.config import PrectrError

PAIR_SPLITS = ("train", "validation", "test", "test_types", "unlabelled")
IMPRESSION_SPLITS = ("train", "validation", "test", "new_users", "open")
EVALUATED_SPLITS = ("test", "new_users", "open")
EVENT_TYPES = ("search", "purchase")

_LEVEL_NAMES_KEY = b"level_names"
_ROW_GROUP = 1 << 18


def _schema(**columns: pa.DataType) -> pa.Schema:
    """Columns whose name ends in `__null` may hold nulls; the suffix is not part of the name."""
    nullable = {name: name.endswith("__null") for name in columns}
    return pa.schema([pa.field(name.removesuffix("__null"), kind, nullable[name]) for name, kind in columns.items()])


_string, _int64, _seconds = pa.string(), pa.int64(), pa.timestamp("s")

SCHEMAS: dict[str, pa.Schema] = {
    "items": _schema(item_id=_string, text=_string, category=_string),
    "users": _schema(user_id=_string),
    "pairs": _schema(
        query=_string, item_id__null=_string, item_text__null=_string, level__null=pa.int8(), split=_string
    ),
    "impressions": _schema(
        impression_id=_int64, page_id=_int64, user_id=_string, query=_string, query_category=_string, item_id=_string,
        position=pa.int32(), timestamp=_seconds, clicked=pa.bool_(), split=_string,
    ),
    "behaviours": _schema(
        user_id=_string, query__null=_string, query_category=_string, item_id=_string, clicked=pa.bool_(),
        timestamp=_seconds, event_type=_string, page_id__null=_int64,
    ),
    "queries": _schema(query=_string, query_category=_string, seen_in_training=pa.bool_(), has_gold_labels=pa.bool_()),
    "gold": _schema(query=_string, item_id=_string, level=pa.int8()),
}  # fmt: skip

OPTIONAL = frozenset({"users", "queries", "gold"})

PREFIXES: dict[str, dict[str, pa.DataType]] = {
    "items": {"num_": pa.float32(), "cat_": _string},
    "users": {"num_": pa.float32(), "cat_": _string},
    "impressions": {"ctx_num_": pa.float32(), "ctx_cat_": _string},
}


def _expected_type(table: str, column: str) -> pa.DataType | None:
    schema = SCHEMAS[table]
    if column in schema.names:
        return schema.field(column).type
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
    """One table, its columns and types checked (contents are `validate`'s business); `columns` reads only those.

    A column of the same kind is cast: large_string to string, int64 to int32, Parquet's timestamp[ms] to [s].
    """
    path = table_path(folder, table)
    if table not in SCHEMAS:
        raise PrectrError(f"There is no table {table!r} in the contract; the tables are {', '.join(SCHEMAS)}.")
    if not path.exists():
        raise PrectrError(f"{path} is missing: build the data set with `python -m data build`, or write that table.")
    try:
        schema = pq.read_schema(path)
    except pa.ArrowInvalid as error:
        raise PrectrError(f"{path} is not a Parquet file ({error}): write it again.") from error
    _check_columns(path, table, schema)
    rows = pq.read_table(path, columns=list(columns) if columns is not None else None)
    return rows.cast(_contract_schema(table, rows.column_names), safe=False)


def levels(folder: Path) -> list[str]:
    """Names of the relevance levels 0..K-1: from the metadata of `pairs`, or `level 0`.. up to the highest level."""
    path = table_path(folder, "pairs")
    pairs = read_table(folder, "pairs", ["level"])
    highest = pc.max(pairs["level"]).as_py()
    stored = (pq.read_schema(path).metadata or {}).get(_LEVEL_NAMES_KEY)
    names = json.loads(stored) if stored else [f"level {level}" for level in range((highest or 0) + 1)]
    if highest is None or len(names) <= max(highest, 1):
        raise PrectrError(
            f"{path}: level: the highest is {highest} but {len(names)} levels are named: label at least two levels, "
            "and name as many as there are."
        )
    return names


def reconstructed(folder: Path) -> str:
    """What a data set says of itself that was not observed (`reconstructed` in summary.json), for every table of
    figures made from it; empty where it says nothing.
    """
    summary = Path(folder) / "summary.json"
    return str(json.loads(summary.read_text(encoding="utf-8")).get("reconstructed", "")) if summary.exists() else ""


def _check_columns(path: Path, table: str, schema: pa.Schema) -> None:
    for field in SCHEMAS[table]:
        if field.name not in schema.names:
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
            raise PrectrError(f"{path}: column {field.name!r} is not in the contract: {remedy}.")
        if not _same_kind(field.type, expected):
            raise PrectrError(f"{path}: column {field.name!r} is {field.type}: write it as {expected}.")


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


class _Checker:
    """One table under validation; every failure names file, column, row, what was found and what to do."""

    def __init__(self, folder: Path, table: str):
        self.path = table_path(folder, table)
        self.table = table
        self.rows = read_table(folder, table)

    def column(self, name: str) -> pa.ChunkedArray:
        return self.rows[name]

    def where(self, split: str) -> pa.Table:
        return self.rows.filter(pc.equal(self.rows["split"], split))

    def fail_where(self, bad: pa.ChunkedArray | np.ndarray, column: str, message: str) -> None:
        """Raise for the first true row of `bad` (a null counts as false)."""
        mask = bad if isinstance(bad, np.ndarray) else pc.fill_null(bad, False).to_numpy(zero_copy_only=False)
        if mask.any():
            row = int(mask.argmax())
            found = self.rows[column][row].as_py()
            raise PrectrError(f"{self.path}: {column}, row {row}: found {found!r}: {message}")

    def no_nulls(self) -> None:
        for name in self.rows.column_names:
            schema = SCHEMAS[self.table]
            if name in schema.names and schema.field(name).nullable:
                continue
            self.fail_where(self.column(name).is_null(), name, "a value is required (write 'unknown' for a category).")
            if pa.types.is_floating(self.column(name).type):
                self.fail_where(pc.invert(pc.is_finite(self.column(name))), name, "write a finite number.")

    def one_of(self, column: str, allowed: Sequence[str]) -> None:
        known = pc.is_in(self.column(column), pa.array(allowed))
        self.fail_where(pc.invert(known), column, f"use one of {', '.join(allowed)}.")

    def unique(self, column: str) -> None:
        codes = self.column(column).combine_chunks().dictionary_encode().indices.to_numpy()
        _, first = np.unique(codes, return_index=True)
        repeated = np.ones(len(codes), bool)
        repeated[first] = False
        self.fail_where(repeated, column, "it occurs twice: every row needs its own.")

    def refers_to(self, column: str, other: _Checker) -> None:
        known = pc.is_in(self.column(column), other.column(column).combine_chunks())
        missing = pc.and_(pc.invert(known), self.column(column).is_valid())
        self.fail_where(missing, column, f"{other.path.name} has no such {column}: add it there or drop the row.")


def validate(folder: Path) -> None:
    """Check a data set whole: columns, types, references, splits, and that nothing held out is trained on.

    Raises:
        PrectrError: the first thing found wrong, as one sentence with file, column, row, what was found, what to do.
    """
    folder = Path(folder)
    tables = {name: _Checker(folder, name) for name in SCHEMAS if name not in OPTIONAL or has_table(folder, name)}
    for table in tables.values():
        table.no_nulls()
    _validate_items(tables)
    _validate_pairs(tables, len(levels(folder)))
    _validate_impressions(tables)
    _validate_behaviours(tables)
    if "queries" in tables:
        _validate_queries(tables)
    if "gold" in tables:
        _validate_gold(tables, len(levels(folder)))


def _validate_items(tables: dict[str, _Checker]) -> None:
    items = tables["items"]
    items.unique("item_id")
    items.fail_where(pc.equal(pc.utf8_trim_whitespace(items.column("text")), ""), "text", "an item needs a text.")
    if "users" in tables:
        tables["users"].unique("user_id")


def _validate_pairs(tables: dict[str, _Checker], num_levels: int) -> None:
    pairs = tables["pairs"]
    pairs.one_of("split", PAIR_SPLITS)
    both_or_none = pc.equal(pairs.column("item_id").is_null(), pairs.column("item_text").is_null())
    pairs.fail_where(both_or_none, "item_id", "give exactly one of item_id and item_text.")
    pairs.refers_to("item_id", tables["items"])
    unlabelled = pc.equal(pairs.column("split"), "unlabelled")
    wrong = pc.not_equal(unlabelled, pairs.column("level").is_null())
    pairs.fail_where(wrong, "level", "a level is null exactly where split is 'unlabelled'.")
    _level_range(pairs, num_levels)


def _level_range(table: _Checker, num_levels: int) -> None:
    outside = pc.or_(pc.less(table.column("level"), 0), pc.greater_equal(table.column("level"), num_levels))
    table.fail_where(outside, "level", f"levels go from 0 to {num_levels - 1}.")


def _validate_impressions(tables: dict[str, _Checker]) -> None:
    impressions = tables["impressions"]
    impressions.one_of("split", IMPRESSION_SPLITS)
    impressions.unique("impression_id")
    impressions.refers_to("item_id", tables["items"])
    if "users" in tables:
        impressions.refers_to("user_id", tables["users"])
    is_open = pc.equal(impressions.column("split"), "open")
    wrong = pc.not_equal(is_open, pc.less(impressions.column("position"), 0))
    impressions.fail_where(wrong, "position", "positions count from 0, and are -1 exactly in split 'open'.")
    _one_value_per_page(impressions)

    ends = {split: impressions.where(split) for split in IMPRESSION_SPLITS}
    for earlier, later in (("train", "validation"), ("validation", "test"), ("train", "test")):
        if ends[earlier].num_rows and ends[later].num_rows:
            last, first = pc.max(ends[earlier]["timestamp"]).as_py(), pc.min(ends[later]["timestamp"]).as_py()
            if last >= first:
                raise PrectrError(
                    f"{impressions.path}: timestamp: split {earlier!r} ends at {last} but {later!r} begins at {first}: "
                    "split by time."
                )
    held_out = pc.unique(ends["new_users"]["user_id"])
    trained = pc.is_in(impressions.column("split"), pa.array(["train", "validation"]))
    leaked = pc.and_(trained, pc.is_in(impressions.column("user_id"), held_out))
    impressions.fail_where(leaked, "user_id", "this user of split 'new_users' may not be trained on: drop the rows.")


def _one_value_per_page(impressions: _Checker) -> None:
    keys = impressions.rows.select(["split", "page_id"])
    for column in ("user_id", "query", "query_category", "timestamp"):
        pages = keys.append_column(column, impressions.column(column)).group_by(["split", "page_id"])
        counts = pages.aggregate([(column, "count_distinct")])
        mixed = counts.filter(pc.greater(counts[f"{column}_count_distinct"], 1))
        if mixed.num_rows:
            page = mixed["page_id"][0].as_py()
            raise PrectrError(
                f"{impressions.path}: {column}: page {page} has several: give each page one user, query and time."
            )


def _validate_behaviours(tables: dict[str, _Checker]) -> None:
    behaviours = tables["behaviours"]
    behaviours.one_of("event_type", EVENT_TYPES)
    behaviours.refers_to("item_id", tables["items"])
    for column in ("query", "page_id"):
        is_search = pc.equal(behaviours.column("event_type"), "search")
        wrong = pc.equal(is_search, behaviours.column(column).is_null())
        behaviours.fail_where(wrong, column, "given exactly where event_type is 'search'.")
    seconds = behaviours.column("timestamp").cast(_int64).to_numpy()
    pages = pc.fill_null(behaviours.column("page_id"), np.iinfo(np.int64).max).to_numpy()
    back = (seconds[1:] < seconds[:-1]) | ((seconds[1:] == seconds[:-1]) & (pages[1:] < pages[:-1]))
    behaviours.fail_where(np.append(False, back), "timestamp", "sort the table by (timestamp, page_id), nulls last.")


def _validate_queries(tables: dict[str, _Checker]) -> None:
    queries, impressions, pairs = tables["queries"], tables["impressions"], tables["pairs"]
    queries.unique("query")
    impressions.refers_to("query", queries)
    pairs.refers_to("query", queries)
    unseen = queries.rows.filter(pc.invert(queries.column("seen_in_training")))["query"].combine_chunks()
    for table, sides in ((impressions, ["train", "validation"]), (pairs, ["train", "validation", "unlabelled"])):
        training = pc.is_in(table.column("split"), pa.array(sides))
        leaked = pc.and_(training, pc.is_in(table.column("query"), unseen))
        table.fail_where(leaked, "query", "queries.parquet says it is not seen in training: drop the row or say so.")


def _validate_gold(tables: dict[str, _Checker], num_levels: int) -> None:
    gold, impressions = tables["gold"], tables["impressions"]
    gold.refers_to("item_id", tables["items"])
    _level_range(gold, num_levels)
    evaluated = pc.is_in(impressions.column("split"), pa.array(EVALUATED_SPLITS))
    needed = impressions.rows.filter(evaluated).group_by(["query", "item_id"]).aggregate([])
    missing = needed.join(gold.rows.select(["query", "item_id"]), ["query", "item_id"], join_type="left anti")
    if missing.num_rows:
        query, item = missing["query"][0].as_py(), missing["item_id"][0].as_py()
        raise PrectrError(
            f"{gold.path}: level: {missing.num_rows} shown pairs have none, such as query {query!r} and item {item!r}: "
            f"label every pair of the splits {', '.join(EVALUATED_SPLITS)}."
        )
