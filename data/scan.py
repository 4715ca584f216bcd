"""A table of the contract a part at a time, for whoever must not hold it whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prectr.data.contract import SCHEMAS, cast_rows, check_columns, contract_schema, require_file, table_path
from prectr.shared.errors import PrectrError
from prectr.shared.storage.unpacking import open_parquet

ROWS_AT_ONCE = 1 << 17


def scan_table(
    folder: Path,
    table: str,
    columns: Sequence[str] | None = None,
    rows_at_once: int = ROWS_AT_ONCE,
    split: str | None = None,
) -> Iterator[pa.Table]:
    """The rows that `read_table` returns, in their order, at most `rows_at_once` of them at a time.

    Args:
        columns: reads only those. split: only the rows of this split; row groups without any are not read.

    Raises:
        PrectrError: as `read_table`; a value that does not fit its type is found when its part is read.
    """
    return scan_file(table_path(folder, table), table, columns, rows_at_once, split)


def scan_file(
    path: Path,
    table: str,
    columns: Sequence[str] | None = None,
    rows_at_once: int = ROWS_AT_ONCE,
    split: str | None = None,
) -> Iterator[pa.Table]:
    """As `scan_table`, of a file that holds rows of `table` under another name."""
    require_file(path)
    try:
        file = open_parquet(path, columns)
        found = file.schema_arrow.names
        check_columns(path, table, file.schema_arrow)
        absent = [field.name for field in SCHEMAS[table] if field.nullable and field.name not in found]
        names = list(columns) if columns is not None else [*found, *absent]
        read = [name for name in names if name in found]
        if split is not None and "split" not in read:
            read.append("split")
        for batch in file.iter_batches(rows_at_once, row_groups=_row_groups(file, split), columns=read):
            rows = pa.Table.from_batches([batch])
            if split is not None:
                rows = rows.filter(pc.field("split") == split)
            for name in names:
                if name not in found:
                    rows = rows.append_column(name, pa.nulls(rows.num_rows))
            yield cast_rows(path, rows.select(names), contract_schema(table, names))
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise PrectrError(f"{path} is not a Parquet file, or a damaged one ({reason}): write it again.") from error


def _row_groups(file: pq.ParquetFile, split: str | None) -> list[int]:
    """Those that may hold rows of a split, as far as their statistics tell."""
    groups = list(range(file.num_row_groups))
    if split is None:
        return groups
    place = file.schema_arrow.names.index("split")

    def may_hold(group: int) -> bool:
        known = file.metadata.row_group(group).column(place).statistics
        return known is None or not known.has_min_max or known.min <= split <= known.max

    return [group for group in groups if may_hold(group)]
