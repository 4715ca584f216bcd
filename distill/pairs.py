"""The data set's (query, item text) pairs as arrays: what the teacher judges and the student learns from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.contract import read_table
from shared.seeds import generator


@dataclass(frozen=True)
class Pairs:
    """n distinct pairs in the order of the table. `level` [n] is -1 where nobody labelled the pair."""

    query: np.ndarray  # [n] str
    item_text: np.ndarray  # [n] str
    level: np.ndarray  # [n] int64

    def __len__(self) -> int:
        return len(self.query)

    def take(self, rows: np.ndarray) -> Pairs:
        return Pairs(self.query[rows], self.item_text[rows], self.level[rows])

    def sample(self, size: int, seed: int, *names: str) -> Pairs:
        """`size` pairs (or all), drawn without replacement in an order that does not depend on `size`."""
        return self.take(generator(seed, "sample pairs", *names).permutation(len(self))[:size])

    def keys(self) -> list[str]:
        """A name for each pair's two texts: sha256, 32 hex digits."""
        return [pair_key(query, text) for query, text in zip(self.query, self.item_text, strict=True)]


def pair_key(query: str, item_text: str) -> str:
    """Equal exactly for equal texts; the length in front keeps ("a", "bc") apart from ("ab", "c")."""
    return hashlib.sha256(f"{len(query)}:{query}{item_text}".encode()).hexdigest()[:32]


def read_pairs(data: Path) -> dict[str, Pairs]:
    """The table `pairs` by split, items replaced by their texts.

    Items may share a text, so equal (query, text, level) rows are kept once: a pair counts as often as it says
    something new.
    """
    table = read_table(data, "pairs")
    items = read_table(data, "items", ["item_id", "text"])
    row_of_item = pc.index_in(table["item_id"], value_set=items["item_id"].combine_chunks())
    text = pc.coalesce(table["item_text"], items["text"].combine_chunks().take(row_of_item.combine_chunks()))
    level = pc.fill_null(table["level"].cast(pa.int64()), -1)
    rows = pa.table({"query": table["query"], "item_text": text, "level": level, "split": table["split"]})
    rows = rows.group_by(["query", "item_text", "level", "split"], use_threads=False).aggregate([])
    return {
        split: _from_table(rows.filter(pc.equal(rows["split"], split)))
        for split in pc.unique(rows["split"]).to_pylist()
    }


def _from_table(rows: pa.Table) -> Pairs:
    return Pairs(
        query=np.array(rows["query"].to_pylist(), dtype=object),
        item_text=np.array(rows["item_text"].to_pylist(), dtype=object),
        level=rows["level"].to_numpy().astype(np.int64),
    )


def concatenate(parts: Sequence[Pairs]) -> Pairs:
    return Pairs(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("query", "item_text", "level")))
