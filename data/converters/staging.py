"""The rows of a source on disk, as Parquet under an embedded database that joins, sorts and counts there too.

Everything a converter decides is a query over these views, so a log may be far larger than the memory.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from prectr.data.contract import TableWriter
from prectr.data.converters.reading.files import list_files
from prectr.data.converters.reading.nothing import Nothing
from prectr.data.converters.reading.numbers import with_points
from prectr.data.converters.reading.objects import Parser, open_objects
from prectr.data.converters.reading.readers import Reading, read_batches, to_batches
from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import progress_bar
from prectr.shared.storage.duckdb import connect, equal_batches, identifier, memory, parquet, threads

MB_PER_THREAD = 256
"""What the database may keep in memory, tables included; the rest of a sort or join goes to disk."""

KEPT = "rows"
"""Folder, beside the tables, of the rows they were made of: `--append` goes on from them."""

_SAID = ("told", "sources", "files")
"""What is kept with them."""

_FOLDER = "checkpoints"
"""`run_step` keeps it when a run is killed and removes it at the end, so that what was read need not be read again."""

_WRITTEN = 1 << 17


Settings = dict[type, Any]
"""Instances of the argument classes of a format, by class."""

RowsOf = Callable[[Path, int, dict[str, Any]], Iterable[list[Any]]]
"""File, number and content of a JSON object -> rows."""

Batches = Callable[[Callable[[str], None], Callable[[str], None]], Iterable[pa.RecordBatch]]


class Staging:
    """Views over what was read, and what is to be told of it.

    Attributes:
        told: lines on what was found, kept and dropped, for the terminal and `summary.json`.
        comes_from: the view whose files a view's rows are of, where that is another one.

    Args:
        work: where the tables are written. earlier: the folder `KEPT` of a data set whose rows come first.
        known: views of which nothing more is read than those.
    """

    def __init__(self, work: Path, earlier: Path | None = None, known: Collection[str] = ()) -> None:
        self.work, self.folder, self.earlier, self._known = work, work / _FOLDER, earlier, set(known)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.told: list[str] = []
        self.comes_from: dict[str, str] = {}
        self._refusals: list[str] = []
        self._files: dict[str, list[str]] = {}
        self._called: dict[str, str] = {}
        self._spill = self.folder / "spill"
        shutil.rmtree(self._spill, ignore_errors=True)
        self._database = connect(self._spill, memory(MB_PER_THREAD), [work], threads=threads())
        self._staged: list[str] = []

    def tell(self, line: str) -> None:
        if line not in self.told:
            self.told.append(line)

    def refuse(self, message: str) -> None:
        """Note what is wrong, to be told with all else that is."""
        if message not in self._refusals:
            self._refusals.append(message)

    def collect(self, check: Callable[[], None]) -> None:
        """Make a check, and note what it refuses."""
        try:
            check()
        except PrectrError as error:
            self.refuse(str(error))

    def raise_refusals(self) -> None:
        """Raises `PrectrError` for all that was noted; of several, each has a line."""
        if len(self._refusals) == 1:
            raise PrectrError(self._refusals[0])
        if self._refusals:
            lines = "".join(f"\n  {message}" for message in self._refusals)
            raise PrectrError(f"{len(self._refusals)} things to mend before this can be converted:{lines}")

    def named(self, column: str) -> str:
        """A view's column as the files call it."""
        return self._called.get(column, column)

    def was_named(self, column: str) -> bool:
        """Whether the command said which column of the files it is."""
        return column in self._called

    def origin(self, view: str, source: str) -> str:
        """The files of a view's rows; `source` where nothing is known of them."""
        return ", ".join(self._files.get(self.comes_from.get(view, view), [source]))

    def row_at(self, view: str, file: int | None, row: int, source: str) -> str:
        """Where a row stands, for messages: `log.csv, row 3`."""
        files = self._files.get(self.comes_from.get(view, view), [])
        return f"{files[file] if file is not None and file < len(files) else source}, row {row}"

    def place(self, view: str, column: str, file: int | None, row: int, source: str) -> str:
        """Where a value stands, for messages: `log.csv: price, row 3`."""
        files = self._files.get(self.comes_from.get(view, view), [])
        name = files[file] if file is not None and file < len(files) else source
        return f"{name}: {self.named(column)}, row {row}"

    def read(
        self,
        view: str,
        sources: Sequence[str],
        columns: dict[str, str],
        reading: Reading,
        as_written: Sequence[str] = (),
        numbers: Sequence[str] = (),
    ) -> None:
        """Make a view of the files: `row`, `file` and the columns (name in the view: name in the files), all strings.

        What only says that there is nothing (`prectr.shared.values.missing`) becomes null.

        Args:
            as_written: columns of the view where it may be a word, such as a level's name.
            numbers: columns of the view that may be written with a decimal comma.

        Raises:
            PrectrError: see `prectr.data.converters.reading.readers.read_batches`; or there is no row.
        """
        self._called |= columns
        files = self._list(view, sources)
        commas = [(columns[name], name in as_written) for name in numbers if reading.decimal == ","]
        names = list(dict.fromkeys(columns.values()))
        nothing = Nothing({columns[name] for name in as_written if name in columns})

        def batches(tell: Callable[[str], None], refuse: Callable[[str], None]) -> Iterator[pa.RecordBatch]:
            for number, path in files:
                for batch in read_batches(path, names, reading, tell, refuse):
                    for name, is_label in commas:
                        batch = with_points(path, batch, name, is_label, refuse)
                    arrays = [batch.column("row"), pa.array([number] * batch.num_rows, pa.int32())]
                    arrays += [nothing.null(name, batch.column(names.index(name) + 1)) for name in columns.values()]
                    yield pa.RecordBatch.from_arrays(arrays, names=["row", "file", *columns])
            nothing.say(tell)

        self.stage(view, sources, batches)

    def read_objects(
        self,
        view: str,
        sources: Sequence[str],
        names: Sequence[str],
        reading: Reading,
        rows_of: RowsOf,
        *,
        columns: Sequence[str] = (),
        parser: Parser | None = None,
    ) -> None:
        """Make a view of objects, each of which becomes any number of rows; columns as in `read`.

        Args:
            columns, parser: see `prectr.data.converters.reading.objects.open_objects`.
        """
        files = self._list(view, sources)
        nothing = Nothing()

        def batches(tell: Callable[[str], None], refuse: Callable[[str], None]) -> Iterator[pa.RecordBatch]:
            for number, path in files:
                objects = open_objects(path, reading, tell, refuse, columns, parser)
                rows = ((line, row) for line, found in objects for row in rows_of(path, line, found))
                for batch in to_batches(path, rows, names):
                    cells = [nothing.null(name, batch.column(name)) for name in names]
                    batch = pa.RecordBatch.from_arrays([batch.column("row"), *cells], names=["row", *names])
                    yield batch.append_column("file", pa.array([number] * batch.num_rows, pa.int32()))
            nothing.say(tell)

        self.stage(view, sources, batches)

    def _list(self, view: str, sources: Sequence[str]) -> list[tuple[int, Path]]:
        """The files that are read for a view, each with its number, behind those read before."""
        before = self._before(view)
        found = [] if view in self._known else list_files(sources)
        self._files[view] = [*before["files"], *map(str, found)]
        return list(enumerate(found, len(before["files"])))

    def _before(self, view: str) -> dict[str, list[str]]:
        """Of the rows that a view has of an earlier conversion: what was told, the sources, the files."""
        path = self.earlier / f"{view}.parquet" if self.earlier else None
        if path is None or not path.is_file():
            return {name: [] for name in _SAID}
        stored = pq.read_metadata(path).metadata
        return {name: json.loads(stored[name.encode()]) for name in _SAID}

    def stage(self, view: str, sources: Sequence[str], batches: Batches) -> None:
        """Make a view of batches, which are written to disk first unless an earlier, killed run has done it.

        Rows of a log that a file repeats of an earlier file are left out, and told.

        Args:
            sources: what is read, for messages.
            batches: gives them, and calls its arguments with lines to tell and with what is wrong.

        Raises:
            PrectrError: there is no row, or none of a file's that another has not.
        """
        path = self.folder / f"{view}.parquet"
        before = self._before(view)
        if not path.exists():
            said = {**before, "told": list(before["told"]), "wrong": []}
            said["sources"] = [*before["sources"], *([] if view in self._known else map(str, sources))]
            said["files"] = self._files.get(view, [])
            with atomic_write(path) as temporary, progress_bar(f"reading {view}", None) as advance:
                fresh = batches(said["told"].append, said["wrong"].append)
                earlier = self.earlier / path.name if before["files"] and self.earlier else None
                self._write(temporary, chain(_rows_of(earlier), fresh), advance, said)
        self._staged.append(view)
        stored = pq.read_metadata(path)
        said = {name: json.loads(stored.metadata[name.encode()]) for name in (*_SAID, "wrong")}
        self.told += said["told"]
        for message in said["wrong"]:
            self.refuse(message)
        rows, source = stored.num_rows, ", ".join(said["sources"])
        if not rows:
            self.raise_refusals()
            raise PrectrError(f"{source}: it holds no rows: name a source with some.")
        self.tell(f"{rows:,} rows read from {source}")
        self._database.execute(f"CREATE OR REPLACE VIEW {identifier(view)} AS SELECT * FROM {parquet(path)}")
        if len(said["files"]) > 1 and "timestamp" in self.columns(view):
            self._leave_out_repeated(view, said["files"])

    def _leave_out_repeated(self, view: str, files: Sequence[str]) -> None:
        """Take rows out of a view of which an earlier file has the same, as of a log whose files overlap."""
        rows = f"SELECT * FROM {parquet(self.folder / f'{view}.parquet')}"
        cells = [identifier(name) for name in self.columns(view) if name not in ("file", "row")]
        marked = f"SELECT *, hash({', '.join(cells)}) AS mark FROM ({rows})"
        self.table(
            f"{view}_repeated",
            f"""SELECT file, row, mark FROM (SELECT file, row, mark, min(file) OVER (PARTITION BY mark) AS first
                FROM ({marked}) WHERE timestamp IS NOT NULL) WHERE file > first""",
        )
        if not self.value(f"SELECT count(*) FROM {view}_repeated"):
            return
        left = f"SELECT * EXCLUDE (mark) FROM ({marked}) ANTI JOIN {view}_repeated USING (file, row, mark)"
        self.run(f"CREATE OR REPLACE VIEW {identifier(view)} AS {left}")
        for file, times, first, of in self.rows(
            f"""SELECT file, count(*), min(row), any_value(total) FROM {view}_repeated
                JOIN (SELECT file, count(*) AS total FROM ({rows}) GROUP BY file) USING (file)
                GROUP BY file ORDER BY file"""
        ):
            if times == of:
                self.refuse(f"{files[file]}: all its {of:,} rows are there already: name files with others.")
            self.tell(f"{files[file]}: {times:,} of {of:,} rows, the first row {first}, are there already: left out")
        self.raise_refusals()

    def keep_rows(self) -> None:
        """Move what was read beside the tables, for a later conversion to go on from."""
        (self.work / KEPT).mkdir(exist_ok=True)
        for view in self._staged:
            os.replace(self.folder / f"{view}.parquet", self.work / KEPT / f"{view}.parquet")

    @staticmethod
    def _write(
        path: Path,
        batches: Iterable[pa.RecordBatch],
        advance: Callable[[int], None],
        said: dict[str, list[str]],
    ) -> None:
        writer = None
        try:
            for batch in batches:
                writer = writer or pq.ParquetWriter(path, batch.schema)
                if batch.schema.names != writer.schema.names:
                    raise PrectrError("the rows kept beside the tables are of another version: convert all files anew.")
                writer.write_batch(batch)
                advance(batch.num_rows)
            writer = writer or pq.ParquetWriter(path, pa.schema([("row", pa.int64())]))
            writer.add_key_value_metadata({name: json.dumps(lines) for name, lines in said.items()})
        finally:
            if writer is not None:
                writer.close()

    def run(self, sql: str, **values: Any) -> None:
        """Run a statement of ours; `$name` in it stands for a value."""
        with _told():
            self._database.execute(sql, values or None)

    def table(self, name: str, sql: str, **values: Any) -> None:
        """Keep the result of a query under a name."""
        self.run(f"CREATE OR REPLACE TEMP TABLE {name} AS {sql}", **values)

    def keep(self, name: str, rows: pa.Table) -> None:
        """Keep rows of ours under a name."""
        self._database.register("given", rows)
        self.table(name, "SELECT * FROM given")
        self._database.unregister("given")

    def append(self, name: str, rows: pa.Table) -> None:
        """Add rows of ours to a table."""
        self._database.register("given", rows)
        self.run(f"INSERT INTO {name} SELECT * FROM given")
        self._database.unregister("given")

    def arrow(self, sql: str) -> pa.Table:
        with _told():
            return self._database.sql(sql).to_arrow_table()

    def rows(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        with _told():
            return self._database.execute(sql, values or None).fetchall()

    def value(self, sql: str, **values: Any) -> Any:
        """The first value of the first row, or None."""
        found = self.rows(sql, **values)
        return found[0][0] if found else None

    def columns(self, view: str) -> list[str]:
        return [row[0] for row in self.rows(f"DESCRIBE {view}")]

    def drop(self, view: str, why: str, condition: str) -> None:
        """Leave rows out of a table, and tell how many and why."""
        before = self.value(f"SELECT count(*) FROM {view}")
        self.run(f"DELETE FROM {view} WHERE {condition}")
        if gone := before - self.value(f"SELECT count(*) FROM {view}"):
            self.tell(f"{gone:,} of {before:,} rows of {view} dropped: {why}")

    def write(self, table: str, sql: str, level_names: Sequence[str] | None = None) -> None:
        """Write a query's result as a table of the contract, part by part."""
        with _told():
            reader = self._database.sql(sql).to_arrow_reader(_WRITTEN)
            with TableWriter(self.work, table, level_names) as writer, progress_bar(table, None) as advance:
                empty = True
                for batch in equal_batches(reader, _WRITTEN):
                    writer.write(dict(zip(batch.schema.names, batch.columns, strict=True)))
                    advance(batch.num_rows)
                    empty = False
                if empty:
                    writer.write({field.name: pa.array([], field.type) for field in reader.schema})

    def close(self) -> None:
        self._database.close()


def _rows_of(path: Path | None) -> Iterator[pa.RecordBatch]:
    """Rows kept by an earlier conversion."""
    if path is not None:
        yield from pq.ParquetFile(path).iter_batches(_WRITTEN)


@contextmanager
def open_staging(work: Path, earlier: Path | None = None, known: Collection[str] = ()) -> Iterator[Staging]:
    staging = Staging(work, earlier, known)
    try:
        yield staging
    except PrectrError:
        # Other flags or another file are another step: nobody would come back to what was read for this one.
        shutil.rmtree(staging.folder, ignore_errors=True)
        raise
    finally:
        staging.close()


@contextmanager
def _told() -> Iterator[None]:
    """What the database cannot do for want of disk or memory is the user's to mend; all else is a bug of ours."""
    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
        raise PrectrError(
            f"the database of the conversion ran out of room ({_line(error)}): free disk space."
        ) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
