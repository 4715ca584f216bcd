"""DuckDB for what no memory need hold: sorts and distinct values of Parquet files of any size.

Its sorts spill to disk, so that memory stays within `THREADS` times `MB_PER_THREAD`, whatever the tables' size; a
machine of one core gets what two would.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from prectr.shared.errors import PrectrError
from prectr.shared.run import launch

THREADS, MB_PER_THREAD = 4, 192
"""Threads at most; DuckDB asks for 125 MB for each to sort with."""
LEAST_THREADS = 2
"""What so many threads get is the least there is: with half of it a sort of 20 million rows ran out."""


def connect(spill: Path | str, memory: str, **settings: str | int) -> duckdb.DuckDBPyConnection:
    """A database that keeps at most `memory` ("768MB") in memory, spills into the folder `spill`, and fetches nothing
    from anywhere.
    """
    return duckdb.connect(
        config={
            "memory_limit": memory,
            "temp_directory": str(spill),
            "autoinstall_known_extensions": False,
            **settings,
        }
    )


@contextmanager
def out_of_core(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that spills into a hidden folder inside `folder`, gone when the block ends.

    Raises:
        PrectrError: the disk is full, or a file cannot be read; DuckDB's own words say which.
    """
    # Its own for each of several launched processes; what a killed one left is cleared away by its successor.
    spill = Path(folder) / f".spill-{launch.rank()}"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = min(cores, THREADS)
    connection = connect(spill, f"{max(threads, LEAST_THREADS) * MB_PER_THREAD}MB", threads=threads)
    try:
        yield connection
    except (duckdb.Error, OSError) as error:  # a result read as Arrow fails as an OSError
        reason = " ".join(str(error).split())
        raise PrectrError(f"sorting in {folder} failed ({reason}): free disk space there, or mend the file.") from error
    finally:
        connection.close()
        shutil.rmtree(spill, ignore_errors=True)


def distinct(database: duckdb.DuckDBPyConnection, file: Path, column: str) -> pa.Array:
    """The distinct strings of a Parquet file's column, in the order of their bytes, nulls left out; none if there is
    no such column."""
    if column not in pq.read_schema(file).names:
        return pa.array([], pa.string())
    found = database.sql(
        f"SELECT DISTINCT {column}::VARCHAR AS value FROM read_parquet({quoted(file)}) "
        f"WHERE {column} IS NOT NULL ORDER BY value"
    )
    return found.to_arrow_table()["value"].cast(pa.string()).combine_chunks()


def quoted(path: Path) -> str:
    """A path as a string of SQL."""
    return "'" + str(path).replace("'", "''") + "'"
