"""DuckDB for what no memory need hold: sorts and distinct values of Parquet files of any size.

Its sorts spill to disk, so that memory stays within `THREADS` times `MB_PER_THREAD`, whatever the tables' size; a
machine of one core gets what two would.

SQL is built of names and paths that strangers chose: `identifier`, `literal` and `parquet` are the only ways they get
into it, everywhere in this project. And should a statement be wrong all the same, a connection opens no file outside
the folders it was given, loads no extension, and cannot be told otherwise.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from prectr.shared.atomic import own_folder
from prectr.shared.errors import PrectrError

THREADS, MB_PER_THREAD = 4, 192
"""Threads at most; DuckDB asks for 125 MB for each to sort with."""
LEAST_THREADS = 2
"""What so many threads get is the least there is: with half of it a sort of 20 million rows ran out."""


def threads() -> int:
    """Threads that a database gets on this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, THREADS)


def memory(mb_per_thread: int = MB_PER_THREAD) -> str:
    """What it may keep in memory on this machine, such as "768MB"."""
    return f"{max(threads(), LEAST_THREADS) * mb_per_thread}MB"


def connect(spill: Path | str, limit: str, folders: Iterable[Path], **settings: str | int) -> duckdb.DuckDBPyConnection:
    """A database that keeps at most `limit` ("768MB") in memory and spills into the folder `spill`.

    Args:
        folders: all that it may open is in these. settings: DuckDB's own, which nobody can change afterwards.
    """
    database = duckdb.connect(
        config={
            "memory_limit": limit,
            "temp_directory": str(spill),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            **settings,
        }
    )
    absolute = [os.path.abspath(folder) for folder in folders]
    # A pattern is allowed by its own text, a file by its name; `parquet` writes names as patterns.
    allowed = ", ".join(literal(each) for folder in absolute for each in dict.fromkeys((folder, glob.escape(folder))))
    database.execute(f"SET allowed_directories = [{allowed}]")
    database.execute("SET enable_external_access = false")
    database.execute("SET lock_configuration = true")
    return database


@contextmanager
def out_of_core(folder: Path, reads: Iterable[Path] = (), **settings: str | int) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that spills into a hidden folder inside `folder`, gone when the block ends.

    Args:
        reads: folders that it may open files of besides `folder`. settings: as for `connect`.

    Raises:
        PrectrError: the disk is full, or a file cannot be read; DuckDB's own words say which.
    """
    limit = str(settings.pop("memory_limit", memory()))
    # Several processes, of several machines too, open one in the same folder at once.
    with own_folder(Path(folder), "spill") as spill:
        connection = connect(spill, limit, [folder, *reads], **{"threads": threads(), **settings})
        try:
            yield connection
        except (duckdb.Error, OSError) as error:  # a result read as Arrow fails as an OSError
            reason = " ".join(str(error).split())
            raise PrectrError(
                f"sorting in {folder} failed ({reason}): free disk space there, or mend the file."
            ) from error
        finally:
            connection.close()


def distinct(database: duckdb.DuckDBPyConnection, file: Path, column: str) -> pa.Array:
    """The distinct strings of a Parquet file's column, in the order of their bytes, nulls left out; none if there is
    no such column."""
    if column not in pq.read_schema(file).names:
        return pa.array([], pa.string())
    found = database.sql(
        f"SELECT DISTINCT {identifier(column)}::VARCHAR AS value FROM {parquet(file)} "
        f"WHERE {identifier(column)} IS NOT NULL ORDER BY value"
    )
    return found.to_arrow_table()["value"].cast(pa.string()).combine_chunks()


def equal_batches(reader: pa.RecordBatchReader, rows: int) -> Iterator[pa.RecordBatch]:
    """A result in batches of exactly so many rows, the last of fewer; about two of them are in memory.

    The number that `to_arrow_reader` is given holds on one thread; on several a batch is DuckDB's own group of 122,880
    rows. Whatever is kept part by part must be cut alike on every machine.
    """
    held: list[pa.RecordBatch] = []
    missing = rows
    for batch in reader:
        while batch.num_rows >= missing:
            held.append(batch.slice(0, missing))
            batch, missing = batch.slice(missing), rows
            yield _joined(held)
        if batch.num_rows:
            held.append(batch)
            missing -= batch.num_rows
    if held:
        yield _joined(held)


def _joined(held: list[pa.RecordBatch]) -> pa.RecordBatch:
    """All of them as one; the list is empty afterwards, so that nothing is held twice."""
    whole = pa.concat_batches(held)
    held.clear()
    return whole


def identifier(name: str) -> str:
    """A name of a column, table or view as SQL writes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str | Path) -> str:
    """A string, or the path of a file to be written, as SQL writes it."""
    return "'" + str(text).replace("'", "''") + "'"


def literals(values: Iterable[str]) -> str:
    """Strings as a list in SQL, for IN."""
    return f"({', '.join(map(literal, values))})"


def parquet(file: Path, options: str = "") -> str:
    """A Parquet file as a table of SQL: that very file, though its path may hold signs that DuckDB takes for patterns.

    Args:
        options: of `read_parquet`, such as "file_row_number = true".
    """
    path = literal(glob.escape(os.path.abspath(file)))
    return f"read_parquet({path}{', ' if options else ''}{options})"
