"""What makes two items alike: the attributes that they share, read off a row per item of the log. [O]

The codes are those of the catalogue's own values, not of a vocabulary that was learnt: what a past event has in common
with a candidate is known before any training row is read, and of rare values too.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prectr.rank.history.codes import encode


@dataclass(frozen=True)
class Likeness:
    """Of every item of the log what it is compared by.

    Attributes:
        attributes: columns of the items table: `item_id`, `category` and the `cat_*`.
        codes: int32 [items of the log, A]; equal values of an attribute have equal codes, 0 is an unknown value.
    """

    attributes: tuple[str, ...]
    codes: np.ndarray

    @classmethod
    def of(cls, items: pa.Table, log_items: pa.Array) -> "Likeness":
        """
        Args:
            items: the contract's table. log_items: the log's item ids; one that the table lacks is unknown throughout.
        """
        names = [name for name in items.column_names if name in ("item_id", "category") or name.startswith("cat_")]
        row = encode(log_items, items["item_id"].combine_chunks())
        codes = np.zeros((len(log_items), len(names)), np.int32)
        for place, name in enumerate(names):
            values = items[name].combine_chunks().dictionary_encode().indices
            of_items = pc.fill_null(values, -1).to_numpy().astype(np.int32) + 1
            codes[:, place] = np.where(row >= 0, of_items[row], 0) if len(of_items) else 0
        return cls(tuple(names), codes)
