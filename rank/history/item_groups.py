"""Items that share a category, or an attribute within one: what the log counts a user's clicks by, beside the item."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

LEAST_SPLIT = 1.1  # groups per category; an attribute with fewer says hardly more than the category


def sorted_unique(values: pa.ChunkedArray) -> pa.Array:
    """The distinct values, ascending, without nulls."""
    unique = pc.drop_null(pc.unique(values))
    return unique.take(pc.sort_indices(unique))


def item_groups(items: pa.Table, item_category: np.ndarray, attributes: Sequence[str] | None) -> dict[str, np.ndarray]:
    """See `BehaviourLog.item_groups`; `attributes`: see `BehaviourLog.from_tables`."""
    groups = {"category": item_category}
    found = [name.removeprefix("cat_") for name in items.column_names if name.startswith("cat_")]
    for name in found if attributes is None else [name for name in attributes if name != "category"]:
        values = pc.fill_null(items[f"cat_{name}"], "").combine_chunks().dictionary_encode()
        pairs = item_category.astype(np.int64) * len(values.dictionary) + values.indices.to_numpy()
        distinct, codes = np.unique(pairs, return_inverse=True)
        if attributes is not None or len(distinct) > LEAST_SPLIT * len(np.unique(item_category)):
            groups[name] = codes.astype(np.int32)
    return groups
