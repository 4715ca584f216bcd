"""The impressions of a split, a part at a time: whole pages in the order of their numbers, straight from the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from prectr.data.contract import table_path
from prectr.data.scan import ROWS_AT_ONCE, scan_file
from prectr.rank.features.prepare import with_label
from prectr.shared.storage.duckdb import literal, out_of_core, parquet
from prectr.shared.storage.npy import NpyWriter, open_array


class PageParts:
    """Iterating yields (impressions, their rows in the split int64): whole pages, ascending by page_id.

    Where the table has a page's rows apart or its pages out of order, a sorted copy of the split is made on disk.

    Args:
        data: the data set's folder. label: the column that stands for `clicked`.
        scratch: a folder for the sorted copy; its owner removes it. rows_at_once: of a part, about.

    Attributes:
        num_rows, num_pages: of the split.
    """

    def __init__(
        self, data: Path, split: str, scratch: Path, label: str = "clicked", rows_at_once: int = ROWS_AT_ONCE
    ) -> None:
        self._path, self._split, self._label = table_path(data, "impressions"), split, label
        self._rows_at_once = rows_at_once
        self._rows: np.ndarray | None = None
        if not self._count():
            self._sort(scratch)
            self._count()

    def _count(self) -> bool:
        """Count rows and pages; returns whether the pages are in order."""
        self.num_rows = self.num_pages = 0
        last: int | None = None
        for part in scan_file(self._path, "impressions", ["page_id"], 1 << 20, self._split):
            page = part["page_id"].to_numpy()
            if not len(page):
                continue
            step = np.diff(page, prepend=page[:1] - 1 if last is None else last)
            if (step < 0).any():
                return False
            self.num_rows += len(page)
            self.num_pages += int(np.count_nonzero(step))
            last = int(page[-1])
        return True

    def _sort(self, scratch: Path) -> None:
        scratch.mkdir(parents=True, exist_ok=True)
        copy, rows = scratch / f"{self._split}.parquet", scratch / f"{self._split}.rows.npy"
        source = f"{parquet(self._path, 'file_row_number = true')} WHERE split = {literal(self._split)}"
        with out_of_core(scratch, [self._path.parent]) as database:
            database.execute(
                f"COPY (SELECT * EXCLUDE file_row_number FROM {source} ORDER BY page_id, file_row_number) "
                f"TO {literal(copy.absolute())} (FORMAT parquet, ROW_GROUP_SIZE {ROWS_AT_ONCE})"
            )
            numbered = f"SELECT page_id, row_number() OVER (ORDER BY file_row_number) - 1 AS row FROM {source}"
            with NpyWriter(rows, np.int64) as writer:
                for batch in database.sql(f"SELECT row FROM ({numbered}) ORDER BY page_id, row").to_arrow_reader(
                    1 << 20
                ):
                    writer.append(batch["row"].to_numpy())
        self._path, self._rows = copy, open_array(rows)

    def __iter__(self) -> Iterator[tuple[pa.Table, np.ndarray]]:
        held: pa.Table | None = None
        begin = 0
        for part in scan_file(self._path, "impressions", None, self._rows_at_once, self._split):
            held = part if held is None else pa.concat_tables([held, part])
            page = held["page_id"].to_numpy()
            # A page may go on in the next part, if there is one.
            last = begin + len(page) == self.num_rows
            whole = len(page) if last or not len(page) else int(np.searchsorted(page, page[-1]))
            if whole:
                yield self._labelled(held.slice(0, whole), begin)
                begin, held = begin + whole, held.slice(whole)

    def _labelled(self, impressions: pa.Table, begin: int) -> tuple[pa.Table, np.ndarray]:
        rows = np.arange(begin, begin + impressions.num_rows)
        return with_label(impressions, self._label), rows if self._rows is None else self._rows[rows]
