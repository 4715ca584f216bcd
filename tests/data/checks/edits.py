"""Small damage to the tables of a data set."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from prectr.data.contract import table_path


def change(folder: Path, table: str, edit: Callable[[pa.Table], pa.Table]) -> None:
    path = table_path(folder, table)
    original = pq.read_table(path)
    pq.write_table(edit(original).replace_schema_metadata(original.schema.metadata), path)


def put(column: str, row: int, value: object) -> Callable[[pa.Table], pa.Table]:
    """Replace one value."""

    def edit(rows: pa.Table) -> pa.Table:
        values = rows[column].to_pylist()
        values[row] = value
        kind = rows.schema.field(column).type
        return rows.set_column(rows.column_names.index(column), column, pa.array(values, kind))

    return edit


def put_number(column: str, row: int, value: int) -> Callable[[pa.Table], pa.Table]:
    """Replace one value by a number that the column's own type cannot hold."""
    return lambda rows: put(column, row, value)(column_as(column, pa.int64())(rows))


def column_as(column: str, kind: pa.DataType) -> Callable[[pa.Table], pa.Table]:
    return lambda rows: rows.set_column(rows.column_names.index(column), column, rows[column].cast(kind))
