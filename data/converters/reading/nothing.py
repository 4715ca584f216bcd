"""Cells that only say that there is nothing, as nulls: counted, so that it can be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection

import pyarrow as pa
import pyarrow.compute as pc

from prectr.shared.values.missing import MISSING


class Nothing:
    """What was found of it, column by column.

    Args:
        as_written: columns that are left alone.
    """

    _WORDS = pa.array(sorted(MISSING), pa.string())

    def __init__(self, as_written: Collection[str] = ()) -> None:
        self._as_written, self._found = set(as_written), Counter[str]()

    def null(self, name: str, cells: pa.Array) -> pa.Array:
        """The cells of a column with nulls for the words of `MISSING`, in any case, with blanks round them."""
        if name in self._as_written or not pa.types.is_string(cells.type):
            return cells
        empty = pc.is_in(pc.utf8_lower(pc.utf8_trim_whitespace(cells)), value_set=self._WORDS)
        self._found[name] += pc.sum(pc.and_(empty, pc.is_valid(cells))).as_py() or 0
        return pc.if_else(empty, pa.scalar(None, pa.string()), cells)

    def say(self, tell: Callable[[str], None]) -> None:
        """Tell how many there were."""
        for name, cells in self._found.items():
            if cells:
                tell(f"{name}: {cells:,} cells say null, NaN, None, inf or nothing but blanks: nothing is there")
