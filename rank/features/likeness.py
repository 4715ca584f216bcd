"""What makes two items alike: attributes that they share, texts that are equal or read alike; a row per item of the
log. [O]

The codes are those of the catalogue's own values, not of a vocabulary that was learnt: what a past event has in common
with a candidate is known before any training row is read, and of rare values too.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prectr.rank.features.frozen_vectors import FrozenVectors
from prectr.rank.history.codes import encode

_COMPARED = ("item_id", "text", "category")


@dataclass(frozen=True)
class Likeness:
    """Of every item of the log what it is compared by.

    Attributes:
        attributes: columns of the items table: `item_id`, `text`, `category` and the `cat_*`. Where ids live
            briefly, an equal text is what says that it is the same thing again.
        codes: int32 [items of the log, A]; equal values of an attribute have equal codes, 0 is an unknown value.
        text: int32 [items of the log], the row of each item's text in `vectors`; -1: the catalogue lacks the item.
        vectors: of the catalogue's texts; None: items are compared by their attributes alone.
    """

    attributes: tuple[str, ...]
    codes: np.ndarray
    text: np.ndarray
    vectors: FrozenVectors | None = None

    @classmethod
    def of(cls, items: pa.Table, log_items: pa.Array, vectors: FrozenVectors | None = None) -> "Likeness":
        """
        Args:
            items: the contract's table. log_items: the log's item ids; one that the table lacks is unknown throughout.
            vectors: of the distinct texts of `items`, in their order.
        """
        names = [name for name in items.column_names if name in _COMPARED or name.startswith("cat_")]
        row = encode(log_items, items["item_id"].combine_chunks())
        codes = np.zeros((len(log_items), len(names)), np.int32)
        for place, name in enumerate(names):
            codes[:, place] = _codes(items, name, row) + 1
        return cls(tuple(names), codes, _codes(items, "text", row), vectors)


def _codes(items: pa.Table, column: str, row: np.ndarray) -> np.ndarray:
    """Which of a column's distinct values the rows [n] have, int32 [n]; -1 for none, and for the row -1."""
    if not items.num_rows:
        return np.full(len(row), -1, np.int32)
    values = pc.fill_null(items[column].combine_chunks().dictionary_encode().indices, -1).to_numpy()
    return np.where(row >= 0, values[row], -1).astype(np.int32)
