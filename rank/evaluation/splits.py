"""How much there was to learn from and to judge by: each split's dates and sizes. [O]"""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from prectr.data.contract import table_path
from prectr.shared.storage.duckdb import identifier, out_of_core, parquet

SPLITS = ("train", "validation", "test", "new_users", "open")
"""In the order in which a report names them."""

COUNTED = {"pages": "page_id", "users": "user_id", "queries": "query"}


def describe_splits(data: Path, label: str, scratch: Path) -> dict[str, dict[str, Any]]:
    """Of each split of `impressions.parquet`: `first` and `last` day (ISO dates), `pages`, distinct `users` (anonymous
    ones are none; without a column of users there is none) and `queries`, `impressions` and `clicks`.

    Args:
        label: the column that is predicted, of which a true value is a click. scratch: where what is too large for
            memory is put meanwhile.
    """
    known = pq.read_schema(table_path(data, "impressions")).names
    counts = (f"count(DISTINCT {identifier(column)})" if column in known else "0" for column in COUNTED.values())
    names = ("first", "last", *COUNTED, "impressions", "clicks")
    with out_of_core(scratch, [data]) as database:
        rows = database.sql(
            f"SELECT split::VARCHAR, min(timestamp)::DATE::VARCHAR, max(timestamp)::DATE::VARCHAR, "
            f"{', '.join(counts)}, count(*), coalesce(sum({identifier(label)}::INT), 0)::BIGINT "
            f"FROM {parquet(table_path(data, 'impressions'))} GROUP BY split"
        ).fetchall()
    found = {split: dict(zip(names, facts, strict=True)) for split, *facts in rows}
    return {split: found[split] for split in SPLITS if split in found}
