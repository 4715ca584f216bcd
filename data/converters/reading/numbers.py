"""Numbers with a decimal comma, `1.234,56`, as the point that all else here reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

_GROUPS = r"[.'\x{2019}\s\x{a0}\x{202f}]"
_COMMA = rf"^\s*[+-]?(\d{{1,3}}({_GROUPS}\d{{3}})+|\d+)(,\d+)?\s*$"
_POINT = r"^\s*[+-]?\d*\.\d+\s*$"


def with_points(
    path: Path, batch: pa.RecordBatch, name: str, is_label: bool, refuse: Callable[[str], None]
) -> pa.RecordBatch:
    """The batch, a column's numbers with a point; what is no number stays as it is, for others to refuse.

    Args:
        is_label: whether the column may hold words, of which nothing is refused here.
        refuse: is called with what is wrong: the first number that has a point where a comma should be.
    """
    cells = batch.column(name)
    written = pc.match_substring_regex(cells, _COMMA)
    plain = pc.replace_substring(pc.replace_substring_regex(cells, _GROUPS, ""), ",", ".")
    if not is_label:
        pointed = pc.and_(pc.match_substring_regex(cells, _POINT), pc.invert(written))
        rows = pc.indices_nonzero(pc.fill_null(pointed, False))
        if len(rows):
            first = rows[0].as_py()
            row, found = batch.column("row")[first].as_py(), cells[first].as_py()
            refuse(
                f"{path}: {name}, row {row}: found {found!r} where decimals stand behind a comma: write one, or leave "
                "--decimal out."
            )
    place = batch.schema.get_field_index(name)
    return batch.set_column(place, name, pc.if_else(pc.fill_null(written, False), plain, cells))
