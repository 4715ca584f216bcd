"""The tables of a data set as views of an embedded database, and the questions that checks ask of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from prectr.data.checks.defects import Defect
from prectr.data.contract import MAY_BE_ABSENT, SCHEMAS, expected_type, table_path
from prectr.shared.errors import PrectrError
from prectr.shared.storage.duckdb import connect, identifier, literals, memory, parquet, threads
from prectr.shared.values.texts import plain_sql

CLICKS = ("impressions", "behaviours")

_VISIBLE = r"[^\s\p{Z}\p{Cc}\p{Cf}]"
"""A character that is neither space, control nor format (such as a zero-width space)."""

_NOT_PLAIN = "write single blanks between words, none at the ends, and composed characters (NFC): one query is one."
_UNREADABLE = "write a text with a visible character, or drop the row."
_SQL_TYPES = {pa.string(): "VARCHAR", pa.int64(): "BIGINT", pa.int32(): "INTEGER", pa.int8(): "TINYINT"}
_SQL_TYPES |= {pa.float32(): "FLOAT", pa.bool_(): "BOOLEAN", pa.timestamp("s"): "TIMESTAMP"}


class Checker:
    """Tables that can be read as views of an embedded database: the contract's columns and types, and `row`, from 0."""

    def __init__(self, folder: Path, tables: Sequence[str]) -> None:
        self.tables = tables
        self._scratch = tempfile.TemporaryDirectory(prefix="prectr-check-")
        self._database = connect(
            self._scratch.name, memory(), [folder], threads=threads(), preserve_insertion_order="false"
        )
        self.columns = {name: pq.read_schema(table_path(folder, name)).names for name in tables}
        for name, found in self.columns.items():
            casts = [_cast(column, _SQL_TYPES[_kind(name, column)]) for column in found]
            casts += [f"CAST(NULL AS VARCHAR) AS {c}" for c in MAY_BE_ABSENT.get(name, ()) if c not in found]
            source = parquet(table_path(folder, name), "file_row_number = true")
            self.ask(f"CREATE VIEW {name} AS SELECT file_row_number AS row, {', '.join(casts)} FROM {source}")

    def __enter__(self) -> Checker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._database.close()
        self._scratch.cleanup()

    def ask(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query.

        Raises:
            PrectrError: neither memory nor disk has room for it.
        """
        with self._room():
            return self._database.execute(sql, list(values)).fetchall()

    def table(self, sql: str) -> pa.Table:
        """They as Arrow has them."""
        with self._room():
            return self._database.sql(sql).to_arrow_table()

    @contextmanager
    def _room(self) -> Iterator[None]:
        try:
            yield
        except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
            reason = " ".join(str(error).split())[:300]
            raise PrectrError(
                f"{self._scratch.name}: checking the tables ran out of room ({reason}): free disk space there, or name "
                "another folder in TMPDIR."
            ) from error

    def where(self, table: str, column: str, condition: str, remedy: str, of: str | None = None) -> list[Defect]:
        """The defect of the rows for which `condition` is true, if there are any; `of` is what to look at instead of
        the table.
        """
        [(rows, first)] = self.ask(f"SELECT count(*), min(row) FROM {of or table} WHERE {condition}")
        return [self._defect(table, column, first, rows, remedy)] if rows else []

    def rows(self, table: str) -> Iterator[Defect]:
        """Every required value is there, numbers are finite, texts can be read: all asked in one pass."""
        checks: list[tuple[str, str, str]] = []
        for column in self.columns[table]:
            schema = SCHEMAS[table]
            if column not in schema.names or not schema.field(column).nullable:
                hint = "a value is required (write 'unknown' for a category)."
                checks.append((column, f"{identifier(column)} IS NULL", hint))
            if pa.types.is_floating(_kind(table, column)):
                checks.append((column, f"NOT isfinite({identifier(column)})", "write a finite number."))
            if (table, column) in {("items", "text"), ("pairs", "item_text"), ("behaviours", "event_type")} or (
                column == "query" and table != "gold"
            ):
                if column == "query":
                    checks.append((column, f"query <> {plain_sql('query')}", _NOT_PLAIN))
                checks.append((column, f"NOT regexp_matches({identifier(column)}, '{_VISIBLE}')", _UNREADABLE))
        counts = ", ".join(f"count(*) FILTER ({c}), min(row) FILTER ({c})" for _, c, _ in checks)
        [found] = self.ask(f"SELECT count(*), {counts} FROM {table}")
        if not found[0] and table in ("pairs", *CLICKS):
            others = "leave the click log out altogether" if table in CLICKS else "pairs for a teacher to judge"
            yield Defect(table, f"is empty: write rows, or {others}.")
        for (column, _, remedy), rows, first in zip(checks, found[1::2], found[2::2], strict=True):
            if rows:
                yield self._defect(table, column, first, rows, remedy)

    def one_of(self, table: str, column: str, allowed: Sequence[str]) -> list[Defect]:
        return self.where(table, column, f"{column} NOT IN {literals(allowed)}", f"use one of {', '.join(allowed)}.")

    def unique(self, table: str, column: str) -> Iterator[Defect]:
        repeated = (
            f"(SELECT {column} AS value, min(row) AS first FROM {table} WHERE {column} IS NOT NULL GROUP BY ALL "
            "HAVING count(*) > 1)"
        )
        found = self.ask(
            f"SELECT count(*), min(row), arg_min(first, row) FROM {table} JOIN {repeated} ON {column} = value "
            "WHERE row > first"
        )
        for rows, row, first in found:
            if rows:
                said = f"it occurs twice, first in row {first}: every row needs its own."
                yield self._defect(table, column, row, rows, said)

    def refers_to(self, table: str, column: str, other: str) -> list[Defect]:
        if other not in self.tables:
            return []
        remedy = f"{other}.parquet has no such {column}: add it there or drop the row."
        known = f"(SELECT {column} FROM {other} WHERE {column} IS NOT NULL)"
        return self.where(table, column, f"{column} IS NOT NULL AND {column} NOT IN {known}", remedy)

    def value(self, table: str, row: int, column: str) -> Any:
        return self.ask(f"SELECT {identifier(column)} FROM {table} WHERE row = ?", [row])[0][0]

    def _defect(self, table: str, column: str, row: int, rows: int, remedy: str) -> Defect:
        return Defect.of_rows(table, column, row, rows, self.value(table, row, column), remedy)


def _cast(column: str, kind: str) -> str:
    return f"CAST({identifier(column)} AS {kind}) AS {identifier(column)}"


def _kind(table: str, column: str) -> pa.DataType:
    kind = expected_type(table, column)
    assert kind is not None, "columns outside the contract were told before"
    return kind
